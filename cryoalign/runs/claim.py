"""Taking a run directory: what may be there before, and what becomes of it.

A finished run is refused without ``--overwrite``; an unfinished one is carried on, replaced or refused. Only files that
the old run lists as its own are ever removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from cryoalign.core.errors import CryoalignError, InputError
from cryoalign.runs import markers
from cryoalign.runs.lock import RunLock, exclusive, is_lock_file
from cryoalign.runs.record import RUN_JSON, RUN_LOG, WORK, parameter_differences, read_record, write_record


def claim(
    path: Path,
    lock: RunLock,
    *,
    new_record: dict[str, Any],
    inputs: Iterable[Path],
    resume: bool,
    overwrite: bool,
    may_differ: Collection[str],
) -> tuple[bool, list[str]]:
    """Take the lock of a run directory, decide about an earlier run, and write the record of the new one.

    Returns
    -------
    bool, list of str
        Whether an earlier run is carried on, and what the log should warn of.

    Raises
    ------
    InputError
        If the directory cannot be used. The lock is then not held, and RELION's FAILURE marker is there unless the
        directory belongs to another run.
    """
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_finished(path, read_record(path), overwrite)  # before anything in it is touched
            (path / WORK).mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be made a run directory: {error.strerror}", path=path) from None
        with exclusive(path / WORK):
            lock.acquire()
            try:
                return _decide(path, new_record, list(inputs), resume, overwrite, may_differ)
            except BaseException:
                lock.release()
                raise
    except CryoalignError:
        with suppress(OSError):
            markers.mark_failure_if_unmarked(path)
        raise


def _decide(
    path: Path,
    new: dict[str, Any],
    inputs: list[Path],
    resume: bool,
    overwrite: bool,
    may_differ: Collection[str],
) -> tuple[bool, list[str]]:
    old = read_record(path)
    notes: list[str] = []
    _refuse_finished(path, old, overwrite)
    if old is not None and overwrite:
        _remove(path, old, inputs)
        old = None
    if old is not None and not resume:
        raise InputError(
            f"an unfinished run of cryoalign is here (status {old.get('status')})",
            path=path,
            hint="--resume carries it on, --overwrite starts again",
        )
    if old is not None:
        notes = _join(path, old, new, may_differ)
    else:
        if (path / RUN_LOG).exists():
            raise InputError("a file that cryoalign did not write is here", path=path / RUN_LOG, hint="move it away")
        _clear_work(path / WORK)
    markers.remove_markers(path)
    write_record(path, new if old is None else old)
    return old is not None, notes


def _join(path: Path, old: dict[str, Any], new: Mapping[str, Any], may_differ: Collection[str]) -> list[str]:
    """Check that the earlier run is the same as the new one, and carry its record on."""
    if old["status"] == "overwriting":
        raise InputError("the removal of an old run was cut short here", path=path, hint="run again with --overwrite")
    differences = parameter_differences(old["parameters"], new["parameters"], may_differ)
    for name in ("command", "working_directory"):
        differences += parameter_differences({name: old[name]}, {name: new[name]})
    before, now = old["versions"], new["versions"]
    differences += parameter_differences({"version": before["cryoalign"]}, {"version": now["cryoalign"]})
    if differences:
        raise InputError(
            f"not the same run as the unfinished one here: {'; '.join(differences)}",
            path=path,
            hint="give the same, or start again with --overwrite",
        )
    # A commit that was cut short has moved some results; parts that are finished will not write them again.
    for name in old["files"]:
        staged = path / WORK / "results" / name
        if name not in (RUN_LOG, markers.OUTPUT_NODES) and (path / name).is_file():
            staged.parent.mkdir(parents=True, exist_ok=True)
            (path / name).replace(staged)
    # The first command line stays, since it says what was wanted; those that carried on are among the attempts.
    old.update(status="running", parameters=new["parameters"], files=[])
    old.pop("error", None)
    others = parameter_differences(before, now)
    return [f"resumed with other libraries, so the last bits may differ: {'; '.join(others)}"] if others else []


def _remove(path: Path, old: dict[str, Any], inputs: Iterable[Path]) -> None:
    """Remove the files that the old run lists, and nothing else."""
    names = [PurePosixPath(name) for name in old["files"]]
    ours = [path / name for name in names if not name.is_absolute() and ".." not in name.parts]
    removed = {file.resolve() for file in ours}
    for file in inputs:
        if file.resolve() in removed:
            raise InputError("--overwrite would remove this input", path=file, hint="choose another --output")
        if not file.exists():  # else the old results would be gone for nothing
            raise InputError("no such file", path=file)
    # Should this be cut short, the directory must not pass for a finished run.
    write_record(path, old | {"status": "overwriting"})
    for file in ours:
        file.unlink(missing_ok=True)
        if file.parent != path:
            with suppress(OSError):
                file.parent.rmdir()
    (path / RUN_LOG).unlink(missing_ok=True)
    (path / RUN_JSON).unlink()


def _clear_work(work: Path) -> None:
    """Empty the work folder of what no record speaks for, so that parts of other parameters are never used."""
    for entry in work.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif not is_lock_file(entry.name):
            entry.unlink()


def _refuse_finished(path: Path, record: dict[str, Any] | None, overwrite: bool) -> None:
    if record is not None and record["status"] == "finished" and not overwrite:
        raise InputError(
            "a finished run of cryoalign is here", path=path, hint="--overwrite replaces it, or choose another --output"
        )
