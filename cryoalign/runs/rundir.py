"""The run directory: results appear complete or not at all, and another run never hurts them.

Results are written under ``DIR/.cryoalign/results`` and moved into DIR at the end; run.json with the status
``finished`` is written last and is the commit mark. Files in DIR that are not ours are left alone.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from cryoalign.core.errors import CryoalignError, InputError
from cryoalign.core.plain_text import shown
from cryoalign.io.writing import naming
from cryoalign.runs import interrupt, markers
from cryoalign.runs.attempt import Attempt
from cryoalign.runs.claim import Claim, Wishes, claim, gone, withdraw
from cryoalign.runs.committing import in_place
from cryoalign.runs.digests import describe_changes
from cryoalign.runs.kernels import telling_of_compilation
from cryoalign.runs.lock import RunLock, exclusive
from cryoalign.runs.memory import give_back
from cryoalign.runs.parameters import RunOptions
from cryoalign.runs.parts import PartStore
from cryoalign.runs.reads import Reads, Seen
from cryoalign.runs.record import RUN_JSON, RUN_LOG, WORK, new_record, read_record, write_record
from cryoalign.runs.runlog import close_log, log_to_file, open_log, say

MAY_DIFFER = frozenset({"threads", "memory", "part", "resume", "overwrite", "as_json"})
"""Parameters that cannot change a result, so that a resumed run may have others."""


class RunDirectory:
    """One run in one directory; made by `RunDirectory.begin`.

    Attributes
    ----------
    path
        DIR.
    work
        ``DIR/.cryoalign``, removed at success.
    command_line
        As typed, quoted for a shell.
    log
        Logger to run.log and, by verbosity, stderr.
    warnings, timings_s
        What `warn` was told; seconds by stage, filled by `stage`: for run.json.
    resumed
        True where an earlier run in this directory is carried on.
    part, threads, memory
        The task (k, n) of a job array that this is, how many may work at a time, and bytes to stay within.
    executor
        What kind of workers do its parts (see `cryoalign.runs.work`); None = threads.
    """

    def __init__(
        self, path: Path, *, part: tuple[int, int] | None = None, threads: int = 1, memory: int | None = None,
        full_digest: bool = False, verbosity: int = 0,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.part, self.threads, self.memory = part, threads, memory
        self.executor: Callable[..., Any] | None = None
        self.work = self.path / WORK
        self.verbosity = verbosity
        self.warnings: list[str] = []
        self.timings_s: dict[str, float] = {}
        self.resumed = False
        self._seen = Seen(full_digest)
        self._staged: dict[str, Path] = {}
        self._lock = RunLock(self.work, part)
        self._claim = Claim([])
        self._ended = False
        self.command_line = ""
        self._attempt = Attempt("", part)
        self.log = logging.Logger("cryoalign")

    @classmethod
    def begin_with(cls, p: RunOptions, argv: Sequence[str], verbosity: int) -> AbstractContextManager[RunDirectory]:
        """Enter the run directory of a command's parameters: `begin` with all that they say of the run."""
        return cls.begin(
            p.output,
            command=p.command,
            argv=argv,
            parameters=p.to_json(),
            reads=p.reads(),
            resume=p.resume,
            overwrite=p.overwrite,
            part=getattr(p, "part", None),
            threads=p.threads,
            memory=getattr(p, "memory", None),
            seed=getattr(p, "seed", None),
            full_digest=getattr(p, "full_digest", False),
            verbosity=verbosity,
        )

    @classmethod
    @contextmanager
    def begin(
        cls,
        path: Path,
        *,
        command: str,
        argv: Sequence[str],
        parameters: Mapping[str, Any],
        reads: Reads,
        resume: bool = False,
        overwrite: bool = False,
        part: tuple[int, int] | None = None,
        threads: int = 1,
        memory: int | None = None,
        may_differ: Collection[str] = MAY_DIFFER,
        seed: int | None = None,
        full_digest: bool = False,
        verbosity: int = 0,
    ) -> Iterator[RunDirectory]:
        """Enter a run directory; the block must end with `commit` or `leave_partial`.

        Leaving the block by an exception puts no result file under a final name. What `resume` can carry on is kept,
        with run.log and the FAILURE or ABORTED marker; if there is nothing, and the reason is one that the user knows,
        the directory is as it was before, markers of a job of RELION apart.

        Parameters
        ----------
        path
            DIR; made if it does not exist.
        command, argv
            Name of the command, and the words after ``cryoalign`` as typed.
        parameters
            Resolved parameters, as JSON can hold them.
        reads
            Every file that the run will read. What it declares is recorded; `add_inputs` takes the stacks of tables.
        resume, overwrite
            What to do with an earlier run of ours. Resuming where there is nothing to resume starts a run.
        part
            (k, n) for a task of a job array: it joins a run that its fellows began.
        may_differ
            Names of parameters that may be others when a run is resumed.
        threads, memory, seed, full_digest, verbosity
            As in the options of every command.

        Raises
        ------
        FinishedAlreadyError
            If the very run is here and finished.
        InputError
            If the directory cannot be used; says why and what to do.
        """
        if resume and overwrite:
            raise ValueError("both resume and overwrite")
        run = cls(path, part=part, threads=threads, memory=memory, full_digest=full_digest, verbosity=verbosity)
        run.command_line = shlex.join(["cryoalign", *argv])
        run._attempt = Attempt(run.command_line, part)
        wishes = Wishes(reads, resume, overwrite, part is not None, may_differ, full_digest)
        record = new_record(command, run.command_line, parameters, seed)
        with interrupt.sigterm_raises():
            run._claim = claim(run.path, run._lock, wishes, record, lambda text: say(text, run.path))
            run.resumed = run._claim.resumed
            try:
                with run._attempt.memory:
                    run.log = open_log(run.path / RUN_LOG, verbosity, news_to_stdout=markers.is_relion_job(run.path))
                    log_to_file(run.log, logging.INFO, f"command: {run.command_line}")
                    for note in run._claim.notes:
                        run.warn(note)
                    run.add_inputs(reads.at_once())
                    with telling_of_compilation(run.log, run.warn):
                        yield run
                    if not run._ended:
                        raise RuntimeError("the run ended without commit")
            except BaseException as error:
                said = run._in_words(error)
                run._fail(said)
                if said is not error:
                    raise said from None
                raise
            finally:
                run._lock.release()
                close_log(run.log)

    def staged(self, name: str) -> Path:
        """Return where to write a result file that `commit` moves to ``DIR/name``.

        Raises
        ------
        InputError
            If a file of that name is in DIR and is not ours.
        """
        clean = PurePosixPath(name)
        reserved = (RUN_JSON, RUN_LOG, markers.OUTPUT_NODES)
        if clean.is_absolute() or ".." in clean.parts or clean.parts[:1] == (WORK,) or str(clean) in reserved:
            raise ValueError(f"not a name for a result file: {name!r}")
        self._refuse_foreign(str(clean))
        target = self._inside("results") / clean
        target.parent.mkdir(parents=True, exist_ok=True)
        self._staged[str(clean)] = target
        return target

    def write(self, name: str, content: str | bytes) -> None:
        """Write a result file whole; what has no UTF-8 becomes its escape."""
        data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
        with naming(path := self.staged(name)):
            path.write_bytes(data)

    def parts(self, name: str = "parts") -> PartStore:
        """Return the store of finished parts of one stage of the run."""
        return PartStore(self._inside(name))

    def scratch(self, name: str = "scratch") -> Path:
        """Return a folder for files that the run needs and nobody else; removed at success."""
        folder = self._inside(name)
        folder.mkdir(exist_ok=True)
        return folder

    def warn(self, text: str) -> None:
        """Say a warning once, in the log and in run.json."""
        text = shown(text)
        if text not in self.warnings:
            self.warnings.append(text)
            self.log.warning("%s", text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of this block to `timings_s`; afterwards the system has back what it freed."""
        start = time.monotonic()
        try:
            yield
        finally:
            give_back()
            self.timings_s[name] = self.timings_s.get(name, 0.0) + time.monotonic() - start

    def aborted(self) -> bool:
        """Tell whether RELION asks this job to stop; raises what a signal asked for and Python lost on its way."""
        interrupt.raise_if_asked()
        return markers.abort_requested(self.path)

    def add_inputs(self, paths: Iterable[Path]) -> None:
        """Record input files; in a resumed run they must be what they were.

        Raises
        ------
        InputError
            If a file cannot be read, or changed since the run that is resumed.
        """
        new = self._seen.look(paths)
        if not new:
            return
        with self._updating() as record:
            differences = describe_changes(record["inputs"], new)
            if differences:
                raise InputError(
                    f"the inputs are not those of the run to be resumed: {'; '.join(differences)}",
                    path=self.path,
                    hint="start again with --overwrite",
                )
            known = {entry["path"] for entry in record["inputs"]}
            record["inputs"] += [entry for entry in new if entry["path"] not in known]

    def commit(
        self,
        *,
        counts: Mapping[str, Any],
        timings: Mapping[str, float] | None = None,
        warnings: Iterable[str] = (),
        relion_nodes: Sequence[tuple[str, markers.NodeKind]] = (),
        exit_status: int = 0,
    ) -> None:
        """Move the results into DIR and say so in run.json, which is the commit; the marker for RELION comes after it.

        Parameters
        ----------
        counts
            Read, skipped, why, and whatever the command counts.
        timings
            Seconds by stage, added to `timings_s`.
        warnings
            Added to `warnings`.
        relion_nodes
            (result file, kind) for RELION's pipeline.
        exit_status
            0, or 3 where no consistent signal was found.

        Raises
        ------
        InputError
            If a file that is not ours has the name of a result, or an input is not what it was.
        RuntimeError
            If a staged file was never written.
        """
        interrupt.raise_if_asked()
        for text in warnings:
            self.warn(text)
        for name, source in self._staged.items():
            self._refuse_foreign(name)
            if not source.is_file() and self._inside("results"):
                raise RuntimeError(f"the result {name} was staged and not written")
        self._refuse_changed_inputs()
        nodes = markers.output_nodes_text(os.path.relpath(self.path), relion_nodes)
        with interrupt.not_now():
            with self._updating() as record:  # so that whatever happens now, --overwrite knows what is ours
                record["files"] = sorted({*self._staged, RUN_LOG, markers.OUTPUT_NODES})
            try:
                with in_place(self.path, self._staged, nodes):
                    log_to_file(self.log, logging.INFO, f"finished, exit status {exit_status}")
                    with self._updating() as record:
                        record.update(counts=dict(counts), timings_s=self.timings_s | dict(timings or {}))
                        record["exit_status"] = exit_status
                        self._attempt.end(record, "finished", self.warnings)
            except BaseException:
                with suppress(OSError, CryoalignError), self._updating() as record:
                    record["files"] = []
                raise
            self._ended = True
            markers.write_exit_marker(self.path, "SUCCESS")
            shutil.rmtree(self.work, ignore_errors=True)

    def leave_partial(self) -> None:
        """End a task of a job array: its parts are done, the run is not.

        Raises
        ------
        InputError
            If an input is not what it was.
        """
        self._refuse_changed_inputs()
        with self._updating() as record:
            self._attempt.end(record, "partial", self.warnings)
        self._ended = True

    def _refuse_changed_inputs(self) -> None:
        changes = self._seen.changes()
        if changes:
            raise InputError(
                f"inputs changed while they were read: {'; '.join(changes)}", path=self.path,
                hint="nothing was written; start again with --overwrite",
            )  # fmt: skip

    def _inside(self, name: str) -> Path:
        """Return a path in the work folder; a directory that was removed is not made again."""
        if not self.work.is_dir():
            raise gone(self.path)
        return self.work / name

    def _in_words(self, error: BaseException) -> BaseException:
        """Return an error that names its file."""
        if isinstance(error, OSError):
            if not self.work.is_dir() and not self._ended:
                return gone(self.path)
            error.filename = error.filename or str(self.path)
        return error

    def _refuse_foreign(self, name: str) -> None:
        if (self.path / name).exists():
            record = read_record(self.path)
            if record is None or name not in record["files"]:
                raise InputError(
                    "a file that cryoalign did not write has the name of a result",
                    path=self.path / name,
                    hint="move it away, then run again with --resume",
                )

    @contextmanager
    def _updating(self) -> Iterator[dict[str, Any]]:
        """Change run.json while no other task of the same array does."""
        with exclusive(self._inside("")):
            record = read_record(self.path)
            if record is None:
                raise InputError("run.json was removed while the run went on", path=self.path)
            self._lock.check()
            yield record
            write_record(self.path, record)

    def _fail(self, error: BaseException) -> None:
        """Say what went wrong in run.log, the record and a marker, results stay staged; or leave nothing at all."""
        if self._ended or not self._lock.is_mine():
            return  # the results are committed, which nothing can undo; or the directory is another's
        stopped = isinstance(error, (interrupt.Interrupted, KeyboardInterrupt))
        expected = stopped or isinstance(error, (CryoalignError, OSError, MemoryError))
        words = shown(str(error) or type(error).__name__)
        kept = True
        with interrupt.not_now():
            if expected:
                with suppress(OSError, CryoalignError):
                    kept = not withdraw(self.path, self._lock, self._claim, self.log)
            if kept:
                with suppress(OSError):
                    log_to_file(self.log, logging.ERROR, words, traceback=not expected)
                with suppress(OSError, CryoalignError), self._updating() as record:
                    self._attempt.end(record, "aborted" if stopped else "failed", self.warnings)
                    record["error"] = words
            with suppress(OSError):
                if kept or markers.is_relion_job(self.path):
                    markers.write_exit_marker(self.path, "ABORTED" if stopped else "FAILURE")
