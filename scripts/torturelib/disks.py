"""Full disks, folders that cannot be written or are removed, inputs that are replaced, streams that are closed."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from torturelib.forked import Outcome, Steps, forked
from torturelib.small_runs import COMMANDS, INPUTS, results_of, words_of
from torturelib.tables import Row

NOBODY = 65534
STREAMS: dict[str, tuple[int | str | None, int | str | None]] = {
    "2>&-": (None, -1), ">&-": (-1, None), ">&- 2>&-": (-1, -1), "2>/dev/full": (None, "/dev/full"),
    ">/dev/full": ("/dev/full", None), ">/dev/full 2>&1": ("/dev/full", "/dev/full"),
}  # fmt: skip
_CLONE_NEWNS = 0x00020000


def disks(project: Path, count: int) -> list[Row]:
    """Do all of it to every command.

    Parameters
    ----------
    project
        From `torturelib.small_runs.make_project`, with everything imported.
    count
        Sizes of a full disk, and steps at which something is taken away, of each command.
    """
    rows = []
    for kind in (full_files, full_disk, removed_output, replaced_inputs, forbidden, closed_streams):
        rows.append(Row(kind.__name__.replace("_", " ")))
        for command in COMMANDS:
            kind(project, command, count, rows[-1])
    return rows


def full_files(project: Path, command: str, count: int, row: Row) -> None:
    """No file may grow beyond a limit, of any size up to that of the largest."""
    out, expected = _undisturbed(project, command)
    largest = max(map(len, expected.values()))
    for size in sorted({largest * k // count for k in range(count)}):
        shutil.rmtree(out, ignore_errors=True)
        found = forked(project, words_of(command, "killed"), lambda size=size: _limit(size))  # type: ignore[misc]
        _hold(project, command, expected, found, f"{command}: files up to {size} bytes", row)
    shutil.rmtree(out, ignore_errors=True)


def full_disk(project: Path, command: str, count: int, row: Row) -> None:
    """A small file system of its own, where the system lets one be made."""
    out, expected = _undisturbed(project, command)
    whole = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    for size in [max(4096, whole * (2 * k + 1) // (2 * count)) for k in range(count)]:
        rows = _in_own_world(lambda size=size: _on_small_disk(project, command, expected, size))  # type: ignore[misc]
        if rows is None:
            row.note = "no file system of its own could be mounted here"
            return
        row.done += rows.done
        row.failures += rows.failures


def removed_output(project: Path, command: str, count: int, row: Row) -> None:
    """The run directory is removed while the run goes on."""
    out, expected = _undisturbed(project, command)
    steps = forked(project, words_of(command, "killed", "--overwrite"), Steps(out)).steps
    for step in _spread(steps, count):
        shutil.rmtree(out, ignore_errors=True)
        found = forked(project, words_of(command, "killed"), Steps(out, step, lambda: shutil.rmtree(out)))
        what = f"{command}: removed at step {step} of {steps}"
        if found.status == 0 and results_of(out) == expected:
            row.good()  # before its first file was there, or as the last thing of all
        elif not _one_line(found) or (found.status == 0 and out.exists()):
            row.failed(f"{what}: exit status {found.status}: {found.said}")
        else:
            row.good()
    shutil.rmtree(out, ignore_errors=True)


def replaced_inputs(project: Path, command: str, count: int, row: Row) -> None:
    """An input gets other bytes at some step between reading and commit."""
    out, expected = _undisturbed(project, command)
    steps = forked(project, words_of(command, "killed", "--overwrite"), Steps(out)).steps
    for name in INPUTS.get(command, ()):
        kept = (project / name).read_bytes()
        for step in _spread(steps * 2 // 3, max(1, count // 2)):
            shutil.rmtree(out, ignore_errors=True)
            found = forked(project, words_of(command, "killed"), Steps(out, step, lambda n=name: _spoil(project / n)))  # type: ignore[misc]
            (project / name).write_bytes(kept)
            what = f"{command}: {name} replaced at step {step} of {steps}"
            noticed = found.status == 1 and _one_line(found)
            # Bytes that were replaced before anybody looked are those of the run; a table may then be refused.
            if noticed or (found.status == 0 and results_of(out) != expected):
                row.good()
            else:
                row.failed(f"{what}: exit status {found.status}, not noticed: {found.said}")
    shutil.rmtree(out, ignore_errors=True)


def forbidden(project: Path, command: str, count: int, row: Row) -> None:
    """Folders that may not be written, inputs that may not be read, by a user who is not root."""
    out, parent = project / "parent" / "killed", project / "parent"
    words = words_of(command, "parent/killed")
    for name, prepare in _FORBIDDEN.items():
        shutil.rmtree(parent, ignore_errors=True)
        parent.mkdir()
        parent.chmod(0o777)
        read = [project / input_ for input_ in INPUTS.get(command, ())][:1]
        with _everybody_reads(project), prepare(out, read):
            found = forked(project, words, _become_nobody)
        if name == "an input" and not read:
            continue
        if found.status == 1 and _one_line(found) and "ermission denied" in found.said and not results_of(parent):
            row.good()
        else:
            row.failed(f"{command}: {name}: exit status {found.status}: {found.said}")
    shutil.rmtree(parent, ignore_errors=True)


def closed_streams(project: Path, command: str, count: int, row: Row) -> None:
    """Streams that are closed or full: the run is what it is without."""
    out, expected = _undisturbed(project, command)
    for name, (stdout, stderr) in STREAMS.items():
        shutil.rmtree(out, ignore_errors=True)
        words = [word for word in words_of(command, "killed") if word != "-q"]
        found = forked(project, words, stdout=stdout, stderr=stderr)
        if found.status == 0 and results_of(out) == expected and "Traceback" not in found.said:
            row.good()
        else:
            row.failed(f"{command} {name}: exit status {found.status}: {found.said}")
    shutil.rmtree(out, ignore_errors=True)


# ---- what is done ------------------------------------------------------------------------------------------------


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _spoil(path: Path) -> None:
    with path.open("r+b") as handle:
        handle.seek(path.stat().st_size // 2)
        handle.write(b"12345678")


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@contextmanager
def _everybody_reads(project: Path) -> Iterator[None]:
    """Let others into the project's folder."""
    before = stat.S_IMODE(project.stat().st_mode)
    project.chmod(0o755)
    try:
        yield
    finally:
        project.chmod(before)


@contextmanager
def _folder_for_reading(out: Path, read: Sequence[Path]) -> Iterator[None]:
    out.mkdir()
    out.chmod(0o555)
    yield


@contextmanager
def _parent_for_reading(out: Path, read: Sequence[Path]) -> Iterator[None]:
    out.parent.chmod(0o555)
    yield


@contextmanager
def _folder_for_nobody(out: Path, read: Sequence[Path]) -> Iterator[None]:
    out.mkdir()
    out.chmod(0o000)
    yield


@contextmanager
def _input_for_nobody(out: Path, read: Sequence[Path]) -> Iterator[None]:
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in read}
    for path in read:
        path.chmod(0o000)
    try:
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode)


_FORBIDDEN = {
    "the folder": _folder_for_reading, "its parent": _parent_for_reading, "not even looking": _folder_for_nobody,
    "an input": _input_for_nobody,
}  # fmt: skip


# ---- what is held ------------------------------------------------------------------------------------------------


def _undisturbed(project: Path, command: str) -> tuple[Path, dict[str, bytes]]:
    out = project / "killed"
    shutil.rmtree(out, ignore_errors=True)
    found = forked(project, words_of(command, "killed"))
    if found.status != 0:
        raise RuntimeError(f"{command}: {found.said}")
    return out, results_of(out)


def _spread(steps: int, count: int) -> list[int]:
    return sorted({1 + steps * k // count for k in range(count)})


def _one_line(found: Outcome) -> bool:
    """Tell whether an error was said in one line that names a file."""
    errors = [line for line in found.said.splitlines() if line.startswith("Error: ")]
    rest = [line for line in found.said.splitlines() if line and not line.startswith(("Error: ", "Warning: "))]
    return len(errors) == 1 and not rest and "unexpected" not in found.said and "/" in errors[0]


def _hold(
    project: Path, command: str, expected: dict[str, bytes], found: Outcome, what: str, row: Row
) -> None:  # fmt: skip
    """Hold what came of a full disk, and that the same words go on once there is room."""
    out = project / "killed"
    if found.status == 0:
        if results_of(out) == expected:
            row.good()  # it was large enough
        else:
            row.failed(f"{what}: exit status 0, and other bytes")
        return
    if found.status != 1 or not _one_line(found) or results_of(out):
        row.failed(f"{what}: exit status {found.status}: {found.said}")
    again = forked(project, words_of(command, "killed", "--resume"))
    if again.status == 0 and results_of(out) == expected:
        row.good()
    else:
        row.failed(f"{what}, then --resume: exit status {again.status}: {again.said}")


def _on_small_disk(project: Path, command: str, expected: dict[str, bytes], size: int) -> Row | None:
    """Run on a file system of a size that only this process sees, then give it room and run again."""
    out, row = project / "killed", Row("")
    out.mkdir(exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(flags: int, words: str) -> bool:
        return libc.mount(b"tmpfs", os.fsencode(out), b"tmpfs", flags, words.encode()) == 0

    if libc.unshare(_CLONE_NEWNS) or libc.mount(
        b"none", b"/", None, 1 << 14 | 1 << 18, None
    ):  # private, with all below
        return None
    if not mount(0, f"size={size}"):
        return None
    found = forked(project, words_of(command, "killed"))
    if not mount(32, f"size={size * 100 + (1 << 24)}"):  # mounted again
        return None
    _hold(project, command, expected, found, f"{command}: a disk of {size} bytes", row)
    return row


def _in_own_world(function: Callable[[], Row | None]) -> Row | None:
    """Call a function in a child, whose mounts nobody else sees."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(send, pickle.dumps(function()))
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as handle:
        data = handle.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None
