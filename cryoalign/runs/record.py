"""run.json: the record of a run, and by its status the mark that the run is complete.

Status words: ``running``; ``partial`` (some parts of a job array are done); ``failed``; ``aborted``; ``overwriting``
(old results are being removed); ``finished``, which is written last. Anything but ``finished`` is unfinished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cryoalign import __version__
from cryoalign.core.errors import InputError

RUN_JSON = "run.json"
RUN_LOG = "run.log"
WORK = ".cryoalign"
"""Folder in the run directory for everything that is not a result yet; its existence means an unfinished run."""

SCHEMA_VERSION = 1
_LIBRARIES = ("numpy", "scipy", "finufft", "numba", "mrcfile", "starfile", "threadpoolctl", "click")


def read_record(directory: Path) -> dict[str, Any] | None:
    """Return the record of a run directory; None where there is no run.json.

    Raises
    ------
    InputError
        If run.json is not one of ours, or of a later version of the format.
    """
    path = directory / RUN_JSON
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or record.get("program") != "cryoalign":
        raise InputError(
            "this file was not written by cryoalign", path=path, hint="move it away or choose another --output"
        )
    if record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "unknown schema_version", path=path, value=record.get("schema_version"), hint="use a newer cryoalign"
        )
    return record


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Write run.json in one step: a reader sees the old record or the new one. The work folder must exist."""
    path = directory / RUN_JSON
    temporary = directory / WORK / f"new-{RUN_JSON}"
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(record, handle, indent=2, ensure_ascii=False, allow_nan=False)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


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
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
