"""run.json: the record of a run, and by its status the mark that the run is complete.

Status words: ``running``; ``partial`` (some parts of a job array are done); ``failed``; ``aborted``; ``overwriting``
(old results are being set aside or brought back); ``finished``, which is written last. Anything but ``finished`` is
unfinished.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cryoalign import __version__
from cryoalign.core.errors import InputError
from cryoalign.core.plain_text import VALUE, shortened
from cryoalign.io.writing import naming

RUN_JSON = "run.json"
RUN_LOG = "run.log"
WORK = ".cryoalign"
"""Folder in the run directory for everything that is not a result yet; its existence means an unfinished run."""

SCHEMA_VERSION = 1
STATUSES = ("running", "partial", "failed", "aborted", "overwriting", "finished")
_LONGEST = 1 << 28
_SHAPE: dict[str, type] = {
    "command": str, "status": str, "command_line": str, "working_directory": str, "parameters": dict, "versions": dict,
    "inputs": list, "files": list, "attempts": list,
}  # fmt: skip
"""What code relies on; the keys that a finished run has besides are asked for where they are used."""
_FINISHED: dict[str, type] = {"exit_status": int, "counts": dict, "warnings": list}
# In the text of JSON these stand inside strings only. A terminal that shows the file must not obey them.
_ODD = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_LIBRARIES = ("numpy", "scipy", "finufft", "numba", "mrcfile", "starfile", "threadpoolctl", "click")


def read_record(directory: Path) -> dict[str, Any] | None:
    """Return the record of a run directory; None where there is no run.json.

    Raises
    ------
    InputError
        If run.json is not one of ours, is damaged, or of a later version of the format.
    """
    path = directory / RUN_JSON
    record: Any
    try:
        status = path.stat()
        # No pipe or device, and nothing that would fill the memory.
        readable = stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST
        record = json.loads(path.read_text(encoding="utf-8")) if readable else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("program") != "cryoalign":
        raise InputError(
            "this file was not written by cryoalign", path=path, hint="move it away or choose another --output"
        )
    if record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "unknown schema_version", path=path, value=record.get("schema_version"), hint="use a newer cryoalign"
        )
    if (bad := _misshapen(record)) is not None:
        raise InputError(
            f"damaged: {bad} is not what cryoalign writes", path=path,
            hint="move the file away or choose another --output",
        )  # fmt: skip
    return record


def _misshapen(record: dict[str, Any]) -> str | None:
    """Name a key whose value is of another kind than ours."""
    for key, kind in _SHAPE.items():
        if not isinstance(record.get(key), kind):
            return key
    if record["status"] not in STATUSES:
        return "status"
    if not all(isinstance(name, str) and name and "\0" not in name for name in record["files"]):
        return "files"
    if not all(isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in record["inputs"]):
        return "inputs"
    if not all(isinstance(attempt, dict) for attempt in record["attempts"]):
        return "attempts"
    if record["status"] == "finished":
        return next((key for key, kind in _FINISHED.items() if not isinstance(record.get(key), kind)), None)
    return None


def write_record(directory: Path, record: Mapping[str, Any], *, name: str = RUN_JSON) -> None:
    """Write run.json in one step: a reader sees the old record or the new one. The work folder must exist."""
    path = directory / name
    temporary = directory / WORK / f"new-{RUN_JSON}"
    with naming(temporary), temporary.open("wb") as handle:
        handle.write(record_text(record))
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def record_text(record: Mapping[str, Any]) -> bytes:
    """Return the JSON text of a record; names that are no UTF-8 read back as they are."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    text = _ODD.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    # Of all that Python text can hold only lone surrogates have no UTF-8; their escape is JSON's own.
    return (text + "\n").encode("utf-8", "backslashreplace")


def new_record(command: str, command_line: str, parameters: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """Return the record of a run that begins."""
    return {
        "schema_version": SCHEMA_VERSION,
        "program": "cryoalign",
        "command": command,
        "status": "running",
        "command_line": command_line,
        "working_directory": str(Path.cwd()),
        "parameters": dict(parameters),
        "seed": seed,
        "versions": software_versions(),
        "inputs": [],
        "files": [],
        "attempts": [],
    }


def software_versions() -> dict[str, str]:
    """Return the versions that bits may depend on, the kernel family of each BLAS included."""
    import platform

    versions = {"cryoalign": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    from threadpoolctl import threadpool_info

    # Of the kernels only the family: which BLAS libraries are loaded by now depends on what was imported before.
    kernels = {library.get("architecture") for library in threadpool_info() if library.get("user_api") == "blas"}
    versions["blas_kernels"] = ", ".join(sorted(str(kernel) for kernel in kernels if kernel))
    return versions


def parameter_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], may_differ: Collection[str] = ()
) -> list[str]:
    """Name the parameters that differ between two runs, one phrase each; empty if none does."""
    phrases = []
    for name in sorted(set(old) | set(new)):
        if name not in may_differ and old.get(name) != new.get(name):
            phrases.append(f"{name} was {_show(old.get(name))} and is now {_show(new.get(name))}")
    return phrases


def _show(value: object) -> str:
    return "not given" if value is None else shortened(json.dumps(value, ensure_ascii=False), VALUE)
