"""The tree leans one way: commands, jobs, passes and reports, methods, runs and files, core; and files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cryoalign

ROOT = Path(cryoalign.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# A room may import the rooms after it in this order, and itself; what `allowed` adds is in BLIND.
ORDER = (
    "cli",
    "jobs",
    "passes",
    "report",
    "learning",
    "alignment",
    "classification",
    "synchronization",
    "averaging",
    "metrics",
    "simulation",
    "runs",
    "io",
    "core",
)
METHODS = set(ORDER[ORDER.index("learning") : ORDER.index("runs")])
# Methods see pixels through core's image source and know of no run; passes do not draw.
BLIND = {room: {"runs", "io"} for room in METHODS} | {"passes": {"report"}}
# llvmlite is numba's own way to vectors; threadpoolctl keeps BLAS to one thread.
CORE_LIBRARIES = {"numpy", "scipy", "finufft", "numba", "llvmlite", "threadpoolctl"}
MAX_LINES = 400


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Return (dotted name, line, whether at import time) of everything that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    found: list[tuple[str, int, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, not inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT.parent).with_suffix("").parts
            base = list(package[: -node.level]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module] if module not in ("cryoalign", "") else [f"{module}.{a.name}" for a in node.names]
            found.extend((name, node.lineno, not inside) for name in names)
        deeper = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        # What only a type checker reads is not imported.
        children = node.orelse if _is_type_checking(node) else ast.iter_child_nodes(node)
        for child in children:
            visit(child, deeper)

    visit(tree, False)
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def room_of(path: Path) -> str:
    """Return the room of a file, or an empty word for the package itself and its Python face."""
    parts = path.relative_to(ROOT).parts
    if parts == ("__main__.py",):
        return "cli"  # the program by another name
    return parts[0] if len(parts) > 1 else ""


def allowed(room: str, other: str) -> bool:
    """Tell whether a file of one room may import another room."""
    if room == other or room == "" or other == "":
        return other != "cli" or room == "cli"
    return ORDER.index(other) > ORDER.index(room) and other not in BLIND.get(room, ())


def command_of(parts: tuple[str, ...] | list[str]) -> str:
    """Return the command that a path or dotted name below the package belongs to; an empty word for none."""
    in_a_folder = len(parts) > 1 and parts[0] == "jobs" and (ROOT / "jobs" / parts[1]).is_dir()
    return parts[1] if in_a_folder else ""


def wrong_imports(path: Path) -> list[str]:
    """Return what a file imports and may not, as file:line: name."""
    room, wrong = room_of(path), []
    for name, line, at_import in imports(path):
        top, *rest = name.split(".")
        if top == "cryoalign":
            other = rest[0] if rest and (ROOT / rest[0]).is_dir() else ""
            mine, theirs = command_of(path.relative_to(ROOT).parts), command_of(rest)
            bad = not allowed(room, other) or (mine and theirs and mine != theirs)
            bad = bad and path.name != "__main__.py"  # it is the program
        else:
            bad = top == "click" and room != "cli"
            bad |= room == "core" and top not in CORE_LIBRARIES and top not in sys.stdlib_module_names
            bad |= top == "matplotlib" and (room != "report" or at_import)
        if bad:
            wrong.append(f"{path.relative_to(ROOT.parent)}:{line}: {name}")
    return wrong


def test_every_room_has_its_place():
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert {"cli", "jobs", "passes", "runs", "core", "io"} <= rooms <= set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_lean_one_way(path):
    assert wrong_imports(path) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are_for(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


def test_the_command_line_does_no_numerics():
    for path in sorted((ROOT / "cli").glob("*.py")):
        libraries = {name.split(".")[0] for name, _, _ in imports(path)}
        assert not libraries & (CORE_LIBRARIES | {"pandas", "mrcfile", "starfile"}), path


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "from cryoalign.io import star"),
        ("core", "import pandas"),
        ("core", "from ..io.star import read"),
        ("io", "from cryoalign.runs.parts import plan_parts"),
        ("io", "from cryoalign.report import align"),
        ("report", "from cryoalign.passes import x"),
        ("report", "import matplotlib.pyplot"),
        ("jobs", "import click"),
        ("jobs", "from cryoalign import cli"),
        ("jobs", "def f():\n    import matplotlib"),
        ("averaging", "from cryoalign.io import star"),
        ("averaging", "from cryoalign.alignment import x"),
        ("simulation", "from cryoalign.metrics import x"),
    ],
)
def test_the_rules_see_what_is_wrong(room, line, monkeypatch, tmp_path):
    tree = tmp_path / "cryoalign"
    for name in (*ORDER, "jobs/align", "jobs/average"):
        (tree / name).mkdir(parents=True)
    (tree / room / "bad.py").write_text(line + "\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tree)
    assert len(wrong_imports(tree / room / "bad.py")) == 1


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "import numba, numpy, json\nfrom scipy.fft import rfft"),
        ("core", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cryoalign.io import star"),
        ("report", "def draw():\n    import matplotlib.pyplot\n    from cryoalign.io import star"),
        ("alignment", "from cryoalign.averaging import sums\nfrom cryoalign import __version__"),
        ("report", "from cryoalign.alignment import x\nfrom cryoalign.io import star"),
        ("jobs", "from cryoalign.report import align\nfrom cryoalign.io import star"),
        ("jobs/align", "from cryoalign.jobs.quality import x\nfrom cryoalign.jobs.align import plan"),
        ("passes", "from cryoalign.runs import parts\nfrom cryoalign.averaging import sums"),
        ("cli", "import click\nfrom cryoalign.jobs import parts"),
    ],
)
def test_the_rules_let_pass_what_is_right(room, line, monkeypatch, tmp_path):
    tree = tmp_path / "cryoalign"
    for name in (*ORDER, "jobs/align", "jobs/average"):
        (tree / name).mkdir(parents=True)
    (tree / room / "good.py").write_text(line + "\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tree)
    assert wrong_imports(tree / room / "good.py") == []


def test_an_alignment_loads_what_it_uses_and_no_more(tmp_path):
    demo = ROOT.parent / "data/demo"
    words = ["align", "data/demo/particles.star", "--reference", str(demo / "references.mrcs"), "--limit", "64"]
    words += ["--no-write-stack", "-q", "-j", "1", "-o", str(tmp_path / "out")]
    code = (
        f"import sys; from cryoalign.cli.main import main; assert main({words!r}) == 0;"
        "ours = [name for name in sys.modules if name.partition('.')[0] == 'cryoalign'];"
        "unused = [name for name in ours if name.split('.')[1:2] in (['classification'], ['synchronization'])];"
        "assert len(ours) <= 165 and not unused, (len(ours), unused)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent, timeout=300)
