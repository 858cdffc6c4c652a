"""Compiled kernels on disk: a folder for each kind of CPU, a file for each kernel, signature and state of the sources.

numba's own cache has an index per function, which names data files by number. Index and data are written one after the
other without a lock, so two processes that compile at once, on one machine or on two that share a disk, can leave an
index that points at the code of the other signature or the other machine's CPU (numba issues 4807 and 10128). Nor does
it see that a function which a kernel calls has changed in another file. Here the name of a file follows from all that
its code is made of, and one file is written in one step: what is found under a name is right, or is not used.

A cache only saves time: whatever is wrong with it, kernels are compiled in memory.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import serialize, sigutils
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target

from cryoalign.core.kernel_sources import source_digest

_PACKAGE = Path(__file__).resolve().parents[1]
_ENDING = ".nbc"
_DIGEST_BYTES = hashlib.sha256().digest_size


def cpu_kind() -> str:
    """Return the name of the kind of CPU that kernels are compiled for: its model, and a digest of its features.

    Both are what numba compiles for: the host's, or those of NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.
    """
    target: tuple[str, ...] = cpu_target.target_context.codegen().magic_tuple()
    model = re.sub(r"[^A-Za-z0-9_.-]", "_", target[1]) or "cpu"
    return f"{model}-{hashlib.sha256(repr(target).encode()).hexdigest()[:8]}"


def kernel_folders() -> list[Path]:
    """Return where kernels for this kind of CPU may be, the first choice first.

    They are looked for in all, and written to the first that can be written: NUMBA_CACHE_DIR where it is set, beside
    the installed files, the user's cache.
    """
    kind = cpu_kind()
    # Installations that share a folder do not throw out each other's kernels.
    mine = Path("cryoalign-" + hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:12], kind)
    folders = [_PACKAGE / "_kernels" / kind]
    if given := _setting("CACHE_DIR"):
        folders.insert(0, Path(given, mine).absolute())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    if os.path.isabs(cache):  # a process may have no home  # noqa: PTH117
        folders.append(Path(cache, mine))
    return folders


def writable_folder() -> Path | None:
    """Return the folder that kernels are written to; None = nowhere, they are compiled again by every process."""
    for folder in kernel_folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    return None


class KernelCache:
    """The cache of one kernel, in the form in which numba's dispatchers ask theirs.

    Parameters
    ----------
    kernel
        numba's dispatcher.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """Folder of first choice."""
        return str(kernel_folders()[0])

    @cached_property
    def _name(self) -> str:
        """Beginning of the names of all files of this kernel."""
        module = self._kernel.__module__.removeprefix("cryoalign.")
        name = re.sub(r"[<>]", "", self._kernel.__qualname__)
        return f"{module}.{name}.{sys.implementation.cache_tag}"

    @cached_property
    def _sources(self) -> str:
        return source_digest(self._kernel)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return what was compiled for a signature; None = nothing that can be used."""
        if not self._enabled:
            return None
        target_context.refresh()
        name = self._file(signature, target_context.codegen())
        for folder in kernel_folders():
            try:
                content = (folder / name).read_bytes()
                digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
                if hashlib.sha256(payload).digest() == digest:
                    return CompileResult._rebuild(target_context, *pickle.loads(payload))
            except Exception:  # not there, cut short, of another numba: then it is compiled
                continue
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled, where there is a place for it."""
        if not self._enabled or result.library.has_dynamic_globals or any(not one.can_cache for one in result.lifted):
            return
        try:
            payload = serialize.dumps(result._reduce())
            name = self._file(signature, result.codegen)
        except Exception:  # what cannot be written down is compiled again
            return
        for folder in kernel_folders():
            with suppress(OSError):
                with _written(folder / name) as file:
                    file.write(hashlib.sha256(payload).digest() + payload)
                self._remove(folder, keep=f"{self._name}.{self._sources[:12]}.")
                return

    def enable(self) -> None:
        """Use the cache."""
        self._enabled = True

    def disable(self) -> None:
        """Leave the cache alone."""
        self._enabled = False

    def flush(self) -> None:
        """Forget what was compiled."""
        for folder in kernel_folders():
            self._remove(folder)

    def _remove(self, folder: Path, keep: str | None = None) -> None:
        """Remove files of this kernel, but those whose name begins as told."""
        for path in folder.glob(f"{self._name}.*{_ENDING}"):
            if keep is None or not path.name.startswith(keep):
                with suppress(OSError):
                    path.unlink()

    def _file(self, signature: Any, codegen: Any) -> str:
        arguments, returned = sigutils.normalize_signature(signature)
        made_of = (
            [str(kind) for kind in arguments], str(returned), codegen.magic_tuple(), self._sources,
            numba.__version__, llvmlite.__version__, str(_setting("OPT")), _setting("USING_SVML"),
        )  # fmt: skip
        key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:24]
        return f"{self._name}.{self._sources[:12]}.{key}{_ENDING}"


def _setting(name: str) -> Any:
    return getattr(numba.config, name, None)


@contextmanager
def _written(path: Path) -> Iterator[Any]:
    """Write a file that appears whole under its name or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
