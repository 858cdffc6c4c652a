"""The results of a finished run set aside while another replaces them, and brought back where that comes to nothing.

``--overwrite`` moves the files that the old run lists, and no others, into the work folder; they go when the new run
commits. Each step leaves a directory from which the old results can be restored: run.json says ``overwriting`` as long
as files are on their way, and the old record lies beside them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from cryoalign.runs import markers
from cryoalign.runs.record import RUN_JSON, RUN_LOG, WORK, read_record, write_record

_OLD = "old"


def is_aside(name: str) -> bool:
    """Tell whether an entry of the work folder holds results that were set aside."""
    return name == _OLD


def listed_files(path: Path, record: Mapping[str, Any]) -> list[str]:
    """Return the files that a run lists as its own, its log and RELION's nodes among them; names outside are not."""
    names = dict.fromkeys([*record["files"], RUN_LOG, markers.OUTPUT_NODES])
    return [name for name in names if _is_inside(path, name) and name != RUN_JSON]


def set_aside(path: Path, record: Mapping[str, Any]) -> None:
    """Move the results of a finished run out of the way; run.json then says ``overwriting``."""
    folder = path / WORK / _OLD
    if folder.exists():
        shutil.rmtree(folder)  # what was left of an older one, after its successor had committed
    folder.mkdir()
    write_record(path, record, name=str(Path(WORK, _OLD, RUN_JSON)))
    write_record(path, dict(record) | {"status": "overwriting"})
    markers.remove_exit_markers(path)
    _move(path, folder, listed_files(path, record))


def restore(path: Path) -> dict[str, Any] | None:
    """Bring results back that were set aside, if there are any; return their record.

    Raises
    ------
    InputError
        If their record cannot be read.
    """
    folder = path / WORK / _OLD
    record = read_record(folder) if folder.is_dir() else None
    if record is None:
        return None
    write_record(path, record | {"status": "overwriting"})
    _move(folder, path, listed_files(path, record))
    write_record(path, record)
    markers.write_exit_marker(path, "SUCCESS")
    shutil.rmtree(folder, ignore_errors=True)
    return record


def remove_listed(path: Path, record: Mapping[str, Any]) -> None:
    """Remove the files that a run lists as its own, and nothing else."""
    for name in listed_files(path, record):
        file = path / name
        if file.is_symlink() or not file.is_dir():
            file.unlink(missing_ok=True)
        _remove_empty_folders(path, file.parent)


def files_of(path: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the paths of a run's own files."""
    return [path / name for name in listed_files(path, record)]


def _move(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (source / name).is_symlink() and not (source / name).exists():
            continue  # moved before, or gone
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(target / name)
        _remove_empty_folders(source, (source / name).parent)


def _remove_empty_folders(top: Path, folder: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _is_inside(path: Path, name: str) -> bool:
    """Tell whether a name is one of a file in a run directory, whatever links its folders are."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] in ((), (WORK,)):
        return False
    top = path.resolve()
    return top in ((path / name).parent.resolve() / "x").parents


def discard(path: Path) -> None:
    """Forget what was set aside: it was replaced, or RELION removed its run."""
    with suppress(OSError):
        shutil.rmtree(path / WORK / _OLD)
