"""The run directory: results appear complete or not at all, and another run never hurts them.

Results are written under ``DIR/.cryoalign/results`` and moved into DIR at the end; run.json with the status
``finished`` is written last and is the commit mark. Files in DIR that are not ours are left alone.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cryoalign.core.errors import CryoalignError, InputError
from cryoalign.runs import markers
from cryoalign.runs.claim import claim
from cryoalign.runs.digests import describe_changes, digest_inputs
from cryoalign.runs.interrupt import Interrupted, sigterm_raises
from cryoalign.runs.kernels import telling_of_compilation
from cryoalign.runs.lock import RunLock, exclusive
from cryoalign.runs.memory import PeakMemory, give_back
from cryoalign.runs.parameters import RunOptions
from cryoalign.runs.parts import PartStore
from cryoalign.runs.record import RUN_JSON, RUN_LOG, SCHEMA_VERSION, WORK, read_record, software_versions, write_record
from cryoalign.runs.runlog import close_log, log_to_file, open_log

MAY_DIFFER = frozenset({"threads", "memory", "part", "resume", "overwrite"})
"""Parameters that cannot change a result, so that a resumed run may have others."""


class RunDirectory:
    """One run in one directory; made by `RunDirectory.begin`, used as a context.

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
    warnings
        What `warn` was told, for run.json.
    timings_s
        Seconds by stage, filled by `stage`.
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
        self._full_digest = full_digest
        self._staged: dict[str, Path] = {}
        self._lock = RunLock(self.work, part)
        self._memory = PeakMemory()
        self._began = (time.monotonic(), time.process_time(), datetime.now(UTC))
        self._ended = False
        self.command_line = ""
        self.log = logging.Logger("cryoalign")

    @classmethod
    def begin_with(
        cls, p: RunOptions, argv: Sequence[str], verbosity: int, inputs: Iterable[Path] = ()
    ) -> AbstractContextManager[RunDirectory]:
        """Enter the run directory of a command's parameters: `begin` with all that they say of the run."""
        return cls.begin(
            p.output,
            command=p.command,
            argv=argv,
            parameters=p.to_json(),
            inputs=inputs,
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
        inputs: Iterable[Path] = (),
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

        Leaving the block by an exception writes run.log and the FAILURE or ABORTED marker, puts no result file under
        a final name, and keeps what `resume` needs.

        Parameters
        ----------
        path
            DIR; made if it does not exist.
        command, argv
            Name of the command, and the words after ``cryoalign`` as typed.
        parameters
            Resolved parameters, as JSON can hold them.
        inputs
            Input files known by now; `add_inputs` takes those found later.
        resume, overwrite
            What to do with an earlier run of ours. Resuming where there is nothing to resume starts a run.
        part
            (k, n) for a task of a job array: it joins a run that its fellows began.
        threads, memory
            How many may work at a time, and bytes to stay within.
        may_differ
            Names of parameters that may be others when a run is resumed.
        seed, full_digest, verbosity
            As in the options of every command.

        Raises
        ------
        InputError
            If the directory cannot be used; says why and what to do.
        """
        inputs = [Path(p) for p in inputs]
        if resume and overwrite:
            raise ValueError("resume and overwrite exclude each other")
        run = cls(path, part=part, threads=threads, memory=memory, full_digest=full_digest, verbosity=verbosity)
        run.command_line = shlex.join(["cryoalign", *argv])
        with sigterm_raises():
            run.resumed, notes = claim(
                run.path,
                run._lock,
                new_record={
                    "schema_version": SCHEMA_VERSION,
                    "program": "cryoalign",
                    "command": command,
                    "status": "running",
                    "command_line": run.command_line,
                    "working_directory": str(Path.cwd()),
                    "parameters": dict(parameters),
                    "seed": seed,
                    "versions": software_versions(),
                    "inputs": [],
                    "files": [],
                    "attempts": [],
                },
                inputs=inputs,
                resume=resume or part is not None,
                overwrite=overwrite,
                may_differ=may_differ,
            )
            try:
                with run._memory:
                    in_relion = markers.is_relion_job(run.path)
                    run.log = open_log(run.path / RUN_LOG, verbosity, news_to_stdout=in_relion)
                    log_to_file(run.log, logging.INFO, f"command: {run.command_line}")
                    for note in notes:
                        run.warn(note)
                    run.add_inputs(inputs)
                    with telling_of_compilation(run.log, run.warn):
                        yield run
                    if not run._ended:
                        raise RuntimeError("the run ended without commit")
            except BaseException as error:
                run._fail(error)
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
        target = self.work / "results" / clean
        target.parent.mkdir(parents=True, exist_ok=True)
        self._staged[str(clean)] = target
        return target

    def parts(self, name: str = "parts") -> PartStore:
        """Return the store of finished parts of one stage of the run."""
        return PartStore(self.work / name)

    def scratch(self, name: str = "scratch") -> Path:
        """Return a folder for files that the run needs and nobody else; removed at success."""
        folder = self.work / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def warn(self, text: str) -> None:
        """Say a warning once, in the log and in run.json."""
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
        """Tell whether RELION asks this job to stop."""
        return markers.abort_requested(self.path)

    def add_inputs(self, paths: Iterable[Path]) -> None:
        """Record input files; in a resumed run they must be what they were.

        Raises
        ------
        InputError
            If a file cannot be read, or changed since the run that is resumed.
        """
        new = digest_inputs(paths, full=self._full_digest)
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
        """Move the results into DIR, write the markers, and run.json last.

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
            If a file that is not ours has the name of a result.
        RuntimeError
            If a staged file was never written.
        """
        for text in warnings:
            self.warn(text)
        for name, source in self._staged.items():
            self._refuse_foreign(name)
            if not source.is_file():
                raise RuntimeError(f"the result {name} was staged and not written")
        nodes = markers.output_nodes_text(os.path.relpath(self.path), relion_nodes)
        with self._updating() as record:  # so that whatever happens now, --overwrite knows what is ours
            record["files"] = sorted({*self._staged, RUN_LOG, markers.OUTPUT_NODES})
        moved: list[str] = []
        try:
            for name, source in self._staged.items():
                target = self.path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
                moved.append(name)
            (self.path / markers.OUTPUT_NODES).write_text(nodes)
            log_to_file(self.log, logging.INFO, f"finished, exit status {exit_status}")
            markers.write_exit_marker(self.path, "SUCCESS")
            self._ended = True
            with self._updating() as record:
                record.update(counts=dict(counts), timings_s=self.timings_s | dict(timings or {}))
                record["exit_status"] = exit_status
                self._end_attempt(record, "finished")
        except BaseException:
            self._ended = False
            (self.path / markers.OUTPUT_NODES).unlink(missing_ok=True)
            for name in moved:
                (self.path / name).replace(self._staged[name])
            with self._updating() as record:
                record["files"] = []
            raise
        shutil.rmtree(self.work, ignore_errors=True)

    def leave_partial(self) -> None:
        """End a task of a job array: its parts are done, the run is not."""
        with self._updating() as record:
            self._end_attempt(record, "partial")
        self._ended = True

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
        with exclusive(self.work):
            record = read_record(self.path)
            if record is None:
                raise InputError("run.json was removed while the run went on", path=self.path)
            yield record
            write_record(self.path, record)

    def _end_attempt(self, record: dict[str, Any], status: str) -> None:
        """Note in the record how this process ended and what it took."""
        monotonic, cpu, start = self._began
        attempt = {
            "command_line": self.command_line,
            "part": None if self.part is None else f"{self.part[0]}/{self.part[1]}",
            "host": socket.gethostname(),
            "started": start.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": status,
            "wall_s": round(time.monotonic() - monotonic, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "peak_memory_bytes": self._memory.peak_bytes,
        }
        record["attempts"].append(attempt)
        peaks = [a["peak_memory_bytes"] for a in record["attempts"] if a["peak_memory_bytes"] is not None]
        record["peak_memory_bytes"] = max(peaks, default=None)
        record["warnings"] = self.warnings
        record["status"] = status

    def _fail(self, error: BaseException) -> None:
        """Say what went wrong in run.log, the record and a marker; results stay staged."""
        if self._ended:
            return  # the results are committed; what follows cannot undo that
        stopped = isinstance(error, (Interrupted, KeyboardInterrupt))
        words = str(error) or type(error).__name__
        with suppress(OSError, CryoalignError):
            expected = stopped or isinstance(error, CryoalignError)
            log_to_file(self.log, logging.ERROR, words, traceback=not expected)
        with suppress(OSError, CryoalignError), self._updating() as record:
            self._end_attempt(record, "aborted" if stopped else "failed")
            record["error"] = words
        with suppress(OSError):
            markers.write_exit_marker(self.path, "ABORTED" if stopped else "FAILURE")
