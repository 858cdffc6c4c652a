"""Compiled kernels on disk: never another CPU's, never of other sources, and never in the way."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from types import FunctionType, ModuleType

import numba
import numpy as np
import pytest

from cryoalign.core import kernel_cache
from cryoalign.core.kernel_cache import cpu_kind, kernel_folders, writable_folder
from cryoalign.core.kernel_sources import source_digest
from cryoalign.core.kernels import INNER, kernel
from cryoalign.runs.kernels import telling_of_compilation


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path) -> dict[str, Path]:
    """Folders of a test's own: the one that is given, the installation, the user's."""
    found = {name: tmp_path / name for name in ("given", "installed", "user")}
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(found["given"]))
    monkeypatch.setattr(kernel_cache, "_PACKAGE", found["installed"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(found["user"]))
    return found


def made(gain=2.0, *, inner_gain=1.0, **options):
    """Make a kernel as a new process would: it calls another, and both read a constant."""

    @numba.njit(**INNER)
    def inner(x):
        return inner_gain * x

    @kernel(**options)
    def scaled(x):
        return gain * inner(x)

    return scaled


def files(folder: Path) -> list[Path]:
    """List all files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def hits(function) -> int:
    """Count what was loaded and not compiled."""
    return sum(function.stats.cache_hits.values())


def test_a_kernel_is_compiled_once_and_then_loaded(places):
    first, second = made(), made()
    assert (first(1.5), first(np.float32(1)), hits(first)) == (3.0, 2.0, 0)
    assert (second(1.5), second(np.float32(1)), hits(second)) == (3.0, 2.0, 2)
    assert len(files(places["given"])) == 2 and not places["installed"].exists() and not places["user"].exists()


def test_two_kinds_of_cpu_have_two_folders_and_load_only_their_own(places, monkeypatch):
    kinds = set()
    for model in ("skylake-avx512", "znver9", "skylake-avx512"):
        monkeypatch.setattr(numba.config, "CPU_NAME", model)
        again = cpu_kind() in kinds
        kinds.add(cpu_kind())
        assert cpu_kind().startswith(model)
        function = made()
        assert function(1.0) == 2.0
        assert hits(function) == (1 if again else 0)
    assert len(files(places["given"])) == 2 and {path.parent.name for path in files(places["given"])} == kinds


def test_other_features_of_a_cpu_of_one_name_are_another_kind(monkeypatch):
    before = cpu_kind()
    codegen = numba.core.registry.cpu_target.target_context.codegen()
    monkeypatch.setattr(codegen, "_tm_features", "+sse2,-avx2")
    assert cpu_kind() != before
    assert cpu_kind().rpartition("-")[0] == before.rpartition("-")[0]


def test_processes_that_compile_at_once_do_not_mix_signatures():
    one, other, later = made(), made(), made()
    kept = one._cache.load_overload((numba.float64,), one.targetctx), one(1.5), other(7)  # both found nothing
    assert kept == (None, 3.0, 14.0)
    assert (later(7), later(1.5), hits(later)) == (14.0, 3.0, 2)


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_damaged_file_is_compiled_again_and_written_over(places, damage):
    made()(1.5)
    (path,) = files(places["given"])
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    function, later = made(), made()
    assert (function(1.5), hits(function)) == (3.0, 0)
    assert (later(1.5), hits(later)) == (3.0, 1)


@pytest.mark.parametrize(
    ("changed", "value"), [({"gain": 3.0}, 4.5), ({"inner_gain": 2.0}, 6.0), ({"fastmath": True}, 3.0)]
)
def test_what_changed_is_compiled_anew_and_the_old_is_thrown_out(places, changed, value):
    made()(1.5)
    (before,) = files(places["given"])
    function = made(**changed)
    assert (function(1.5), hits(function)) == (value, 0)
    assert len(files(places["given"])) == 1 and files(places["given"]) != [before]


def test_installations_that_share_a_folder_leave_each_others_kernels(places, monkeypatch, tmp_path):
    made()(1.5)
    monkeypatch.setattr(kernel_cache, "_PACKAGE", tmp_path / "another")
    made(3.0)(1.5)
    assert len(files(places["given"])) == 2


def module(name: str, text: str, **names) -> ModuleType:
    """Make a module of a package of ours from its source."""
    there = ModuleType(name)
    there.__dict__.update(names)
    exec(text, there.__dict__)
    return there


SOURCE = "def inner(x):\n    return SIZE * x + table[0]\n\n\nclass Kept:\n    def turn(self):\n        return 1\n"


@pytest.mark.parametrize(
    ("text", "names", "same"),
    [
        (SOURCE, {}, True),
        (f"# a comment\n\n{SOURCE}\nunused = 5\n", {}, True),
        (SOURCE.replace("+", "-"), {}, False),
        (SOURCE.replace("return 1", "return 2"), {}, False),
        (SOURCE, {"SIZE": 4}, False),
        (SOURCE, {"table": np.array([1, 3])}, False),
    ],
)
def test_the_digest_follows_functions_classes_and_constants_of_other_files(text, names, same):
    def digest(text, names):
        other = module("ours.other", text, **({"SIZE": 3, "table": np.array([1, 2])} | names))
        mine = module("ours.mine", "def run(x):\n    return inner(x), Kept\n", inner=other.inner, Kept=other.Kept)
        return source_digest(mine.run)

    assert (digest(text, names) == digest(SOURCE, {})) is same


def blocked(places) -> None:
    """Let no folder be made anywhere."""
    for path in places.values():
        path.write_text("a file in the way of a folder")


def pretended() -> FunctionType:
    """Make a kernel that seems to be one of the package's."""

    def function(x):
        return 2.0 * x

    function.__module__ = "cryoalign.core.pretended"
    return kernel()(function)


def test_without_a_place_kernels_are_compiled_in_memory_and_the_run_warns(places, caplog):
    blocked(places)
    said: list[str] = []
    assert writable_folder() is None
    log = logging.getLogger("of the test")
    with caplog.at_level(logging.INFO), telling_of_compilation(log, said.append):
        assert (pretended()(1.5), pretended()(1.5)) == (3.0, 3.0)
    assert [record.message for record in caplog.records] == [
        "compiling the numerical kernels, once on this machine (less than a minute)"
    ]
    assert len(said) == 1 and "NUMBA_CACHE_DIR" in said[0] and str(places["user"]) in said[0]


def test_with_a_place_nothing_is_warned_of_and_a_second_run_says_nothing(caplog):
    log = logging.getLogger("of the test")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with telling_of_compilation(log, pytest.fail):
                assert pretended()(1.5) == 3.0
    assert len(caplog.records) == 1


def test_a_read_only_installation_is_read_and_the_user_keeps_the_rest(places, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    made()(1.5)
    (shipped,) = files(places["installed"])
    written = kernel_cache._written

    def refuse(path):
        if places["installed"] in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return written(path)

    monkeypatch.setattr(kernel_cache, "_written", refuse)
    function = made()
    assert (function(1.5), function(2), hits(function)) == (3.0, 4.0, 1)
    assert files(places["installed"]) == [shipped] and len(files(places["user"])) == 1


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_costs_the_cache_and_not_the_run(places, monkeypatch, error):
    def fail(path):
        raise OSError(error, "no room")

    monkeypatch.setattr(kernel_cache, "_written", fail)
    assert made()(1.5) == 3.0
    assert files(places["given"]) == []


def test_a_process_without_a_home_makes_no_folder_where_it_stands(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.chdir(tmp_path)
    for home in ("~", "", "relative"):
        monkeypatch.setattr("os.path.expanduser", lambda path, home=home: home)
        assert [folder.parts[-2] for folder in kernel_folders()] == ["_kernels"]


def test_a_recompiled_kernel_is_not_taken_from_disk(places):
    function = made()
    function(1.5)
    function.recompile()
    assert hits(function) == 0 and len(files(places["given"])) == 1


def test_no_kernel_of_the_package_has_the_cache_of_numba():
    package = Path(kernel_cache.__file__).parents[1]
    found = [str(path) for path in package.rglob("*.py") if "cache=True" in path.read_text(encoding="utf-8")]
    assert found == []
