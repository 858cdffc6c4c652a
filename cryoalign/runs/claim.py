"""Taking a run directory: what may be there before, and what becomes of it.

A finished run is refused without ``--overwrite``; an unfinished one is carried on, replaced or refused; one that has
nothing to carry on is no obstacle. Only files that the old run lists as its own are ever moved or removed, and only
after everything that the new one will read is known to be none of them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryoalign.core.errors import CryoalignError, InputError
from cryoalign.runs import aside, markers
from cryoalign.runs.digests import describe_changes
from cryoalign.runs.lock import RunLock, exclusive, is_lock_file, wait_for
from cryoalign.runs.reads import Reads, Seen, refuse_removal
from cryoalign.runs.record import RUN_JSON, RUN_LOG, WORK, parameter_differences, read_record, write_record
from cryoalign.runs.runlog import close_log


@dataclass(frozen=True)
class Wishes:
    """What a run is to do with what it finds.

    Attributes
    ----------
    reads
        Everything that it will read.
    resume, overwrite
        As in the options of every command.
    part
        Whether it is a task of a job array: it joins a run that its fellows began.
    may_differ
        Names of parameters that cannot change a result.
    full_digest
        Hash stacks whole.
    """

    reads: Reads
    resume: bool
    overwrite: bool
    part: bool
    may_differ: Collection[str]
    full_digest: bool = False


@dataclass
class Claim:
    """A directory that was taken.

    Attributes
    ----------
    made
        Folders that did not exist before, the outermost last.
    resumed
        Whether an earlier run is carried on.
    notes
        What the log should warn of.
    """

    made: list[Path]
    resumed: bool = False
    notes: tuple[str, ...] = ()


class FinishedAlreadyError(Exception):
    """The very run that is wanted is here and finished: there is nothing to do.

    Parameters
    ----------
    words
        What to tell the user.
    exit_status
        How it ended.
    """

    def __init__(self, words: str, exit_status: int) -> None:
        super().__init__(words)
        self.exit_status = exit_status


def claim(
    path: Path, lock: RunLock, wishes: Wishes, new_record: dict[str, Any], say: Callable[[str], None]
) -> Claim:  # fmt: skip
    """Take the lock of a run directory, decide about an earlier run, and write the record of the new one.

    Parameters
    ----------
    path, lock
        The directory, made if it does not exist, and its lock.
    wishes, new_record
        What to do, and the record of the new run.
    say
        Told why it takes so long, where it waits for a sign of life of another machine.

    Raises
    ------
    FinishedAlreadyError
        If this run was finished before. The lock is then not held.
    InputError
        If the directory cannot be used. The lock is then not held, and the directory is as it was; the jobs of RELION
        and unfinished runs get the FAILURE marker.
    """
    taken = Claim(_missing(path))
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_finished(path, read_record(path), wishes)  # before anything in it is touched
            (path / WORK).mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot be made a run directory: {error.strerror}", path=path) from None
        wait_for(lambda: _take(path, lock, wishes, new_record, taken), say)
    except FinishedAlreadyError:
        leave_as_it_was(path, taken.made)
        raise
    except CryoalignError:
        leave_as_it_was(path, taken.made)
        with suppress(OSError, CryoalignError):
            if markers.is_relion_job(path) or read_record(path) is not None:
                markers.mark_failure_if_unmarked(path)
        raise
    return taken


def leave_as_it_was(path: Path, made: list[Path]) -> None:
    """Remove a work folder that nobody has anything in, and then folders that were made for this run."""
    with suppress(OSError):
        work = path / WORK
        if {entry.name for entry in work.iterdir()} <= {"begin"}:
            with exclusive(work):
                if {entry.name for entry in work.iterdir()} == {"begin"}:
                    (work / "begin").unlink()
                    work.rmdir()
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def gone(path: Path) -> InputError:
    """Return the error of a run directory that is no more."""
    return InputError("the run directory was removed while the run went on", path=path)


def withdraw(path: Path, lock: RunLock, taken: Claim, log: logging.Logger) -> bool:
    """Leave a directory as it was before a run that failed, where that has nothing to carry on; tell whether it was so.

    Results that were set aside come back. The lock is then not held, and the log is closed.
    """
    with exclusive(path / WORK):
        record = read_record(path)
        if record is None or lock.shared() or has_something(path, record):
            return False
        close_log(log)
        aside.remove_listed(path, record)
        if aside.restore(path) is None:
            (path / RUN_JSON).unlink()
        clear_work(path / WORK)
        lock.release()
    leave_as_it_was(path, taken.made)
    return True


def has_something(path: Path, record: Mapping[str, Any]) -> bool:
    """Tell whether an unfinished run has anything to carry on: finished parts, or results that a commit moved."""
    moved = [name for name in record["files"] if name not in (RUN_LOG, markers.OUTPUT_NODES)]
    return any((path / name).is_file() for name in moved) or any((path / WORK).glob("*/part-*.npz"))


def _missing(path: Path) -> list[Path]:
    """Return the folders that would have to be made, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _take(path: Path, lock: RunLock, wishes: Wishes, new: dict[str, Any], taken: Claim) -> None:
    with exclusive(path / WORK, make=True):
        lock.acquire()
        try:
            _decide(path, lock, wishes, new, taken)
        except BaseException:
            lock.release()
            raise


def _decide(path: Path, lock: RunLock, wishes: Wishes, new: dict[str, Any], taken: Claim) -> None:
    old = read_record(path)
    if old is None:
        aside.discard(path)
    elif old["status"] == "overwriting":  # cut short: the old results come back, and then things are as they were
        old = aside.restore(path) or old
    if old is not None and old["status"] != "finished" and not _is_carried_on(path, old, lock, wishes, new):
        _refuse_inputs(path, old, wishes)
        aside.remove_listed(path, old)
        clear_work(path / WORK)
        old = aside.restore(path)  # it had taken the place of a finished run, and never got there
    if old is not None and old["status"] == "finished":
        _after_finished(path, old, wishes, new)
        old = None
    if old is not None:
        taken.notes = tuple(_join(path, old, new))
        taken.resumed = True
    else:
        if (path / RUN_LOG).exists():
            raise InputError("a file that cryoalign did not write is here", path=path / RUN_LOG, hint="move it away")
        if any(not (is_lock_file(entry.name) or aside.is_aside(entry.name)) for entry in (path / WORK).iterdir()):
            refuse_removal([], wishes.reads, path / WORK)
            clear_work(path / WORK)
    markers.remove_markers(path)
    write_record(path, new if old is None else old)


def _after_finished(path: Path, old: dict[str, Any], wishes: Wishes, new: dict[str, Any]) -> None:
    """Decide about a finished run: it is what is wanted, or it is set aside, or in the way."""
    if not wishes.overwrite:
        differences = _differences(old, new, wishes.may_differ, versions=False)
        if not differences:
            differences = _changed(path, old, wishes.full_digest)
        if not differences:
            _confirm(path)
            raise FinishedAlreadyError(
                f"{path}: this run is finished already, with the same parameters and inputs: nothing to do",
                old["exit_status"],
            )
        if not _starts_again(path, wishes):
            raise InputError(
                f"a finished run of cryoalign is here, and it is not the same: {'; '.join(differences)}", path=path,
                hint="--overwrite replaces it, or choose another --output",
            )  # fmt: skip
    _refuse_inputs(path, old, wishes)
    aside.set_aside(path, old)


def _confirm(path: Path) -> None:
    """Put the markers of a finished run right: RELION takes them away when it starts a job again."""
    (path / markers.ABORT_NOW).unlink(missing_ok=True)
    markers.write_exit_marker(path, "SUCCESS")
    aside.discard(path)
    clear_work(path / WORK)


def _starts_again(path: Path, wishes: Wishes) -> bool:
    """Tell whether RELION starts this job again: it has taken away the markers of the last time."""
    return not wishes.resume and not wishes.part and markers.is_relion_job(path) and not markers.is_marked(path)


def _is_carried_on(path: Path, old: dict[str, Any], lock: RunLock, wishes: Wishes, new: dict[str, Any]) -> bool:
    """Decide about an unfinished run: carried on, or (false) replaced.

    Raises
    ------
    InputError
        If it is in the way, or not the same as the new one.
    """
    if wishes.overwrite:
        return False
    if old["status"] == "overwriting":
        raise InputError("the removal of an old run was cut short here", path=path, hint="run again with --overwrite")
    shared = lock.shared()
    if not shared and not has_something(path, old):
        return False
    differences = _differences(old, new, wishes.may_differ, versions=True)
    if wishes.resume or wishes.part:
        if differences:
            raise InputError(
                f"not the same run as the unfinished one here: {'; '.join(differences)}", path=path,
                hint="give the same, or start again with --overwrite",
            )  # fmt: skip
        return True
    if markers.is_relion_job(path):  # it cannot be told to resume or to overwrite
        return not differences and not _changed(path, old, wishes.full_digest)
    raise InputError(
        f"an unfinished run of cryoalign is here (status {old['status']})", path=path,
        hint="--resume carries it on, --overwrite starts again",
    )  # fmt: skip


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], may_differ: Collection[str], *, versions: bool
) -> list[str]:  # fmt: skip
    """Name what makes the earlier run another one than the new one."""
    found = parameter_differences(old["parameters"], new["parameters"], may_differ)
    for name in ("command", "working_directory"):
        found += parameter_differences({name: old[name]}, {name: new[name]})
    if versions:
        before, now = (record["versions"].get("cryoalign") for record in (old, new))
        found += parameter_differences({"version": before}, {"version": now})
    return found


def _changed(path: Path, old: Mapping[str, Any], full: bool) -> list[str]:
    """Name the inputs of an earlier run that are not what they were, and results that are gone."""
    if old["status"] == "finished":
        lost = [name for name in aside.listed_files(path, old) if not (path / name).is_file()]
        if lost:
            return [f"{lost[0]} of it is gone"]
    try:
        now = Seen(full).look(Path(entry["path"]) for entry in old["inputs"])
        return describe_changes(old["inputs"], now)
    except InputError as error:
        return [str(error)]


def _join(path: Path, old: dict[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Carry the record of the earlier run on; return what the log should warn of."""
    # A commit that was cut short has moved some results; parts that are finished will not write them again.
    for name in old["files"]:
        staged = path / WORK / "results" / name
        if name not in (RUN_LOG, markers.OUTPUT_NODES) and (path / name).is_file():
            staged.parent.mkdir(parents=True, exist_ok=True)
            (path / name).replace(staged)
    # The first command line stays, since it says what was wanted; those that carried on are among the attempts.
    old.update(status="running", parameters=new["parameters"], files=[])
    old.pop("error", None)
    others = parameter_differences(old["versions"], new["versions"])
    return [f"resumed with other libraries, so the last bits may differ: {'; '.join(others)}"] if others else []


def _refuse_inputs(path: Path, old: Mapping[str, Any], wishes: Wishes) -> None:
    going = [*aside.files_of(path, old), path / RUN_JSON]
    refuse_removal(going, wishes.reads, path / WORK)


def clear_work(work: Path) -> None:
    """Empty the work folder of what no record speaks for, so that parts of other parameters are never used."""
    for entry in work.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            if not aside.is_aside(entry.name):
                shutil.rmtree(entry)
        elif not is_lock_file(entry.name):
            entry.unlink()


def _refuse_finished(path: Path, record: dict[str, Any] | None, wishes: Wishes) -> None:
    """Refuse at once what would be refused anyway."""
    if record is None or record["status"] != "finished" or wishes.overwrite or wishes.resume or wishes.part:
        return
    if not markers.is_relion_job(path):
        raise InputError(
            "a finished run of cryoalign is here", path=path, hint="--overwrite replaces it, or choose another --output"
        )
