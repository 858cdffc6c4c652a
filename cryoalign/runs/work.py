"""The one way to do work in parts: a recipe that every worker opens for itself, and executors that share parts out.

A `Work` is pure and can be pickled: threads, processes and, one day, machines do the same parts with the same bytes.
Threads, ``--resume`` and ``--part K/N`` are callers of the same part function; merging in order is the job's.
"""

from __future__ import annotations

import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from numpy.typing import NDArray

from cryoalign.core.blas import one_blas_thread
from cryoalign.core.tiles import RoomyPool
from cryoalign.runs.cpus import threads_within
from cryoalign.runs.interrupt import Interrupted
from cryoalign.runs.parts import PartRange, PartStore, select_parts
from cryoalign.runs.rundir import RunDirectory
from cryoalign.runs.runlog import progress

PartFunction = Callable[[PartRange], Mapping[str, NDArray]]
"""A range of rows in, the arrays of that part out; what it returns depends on the rows alone."""


class Work(Protocol):
    """A recipe for all parts of one stage; frozen, and no more inside than pickle can carry."""

    def open(self) -> AbstractContextManager[PartFunction]:
        """Enter the part function of one worker, with buffers and files of its own."""
        ...


class PureWork:
    """A recipe that is its own part function: it needs no buffers or files. Subclasses have ``__call__``."""

    def __call__(self, part: PartRange) -> Mapping[str, NDArray]:
        """Do one part."""
        return {}

    @contextmanager
    def open(self) -> Iterator[PartFunction]:
        """Enter the part function: this object."""
        yield self


class Threads:
    """Workers are threads of this process; each opens the work once."""

    def __init__(self, work: Work, store: PartStore, workers: int) -> None:
        self._work, self._store = work, store
        self._mine, self._opened, self._opening = threading.local(), ExitStack(), threading.Lock()
        self._pool = RoomyPool(workers, thread_name_prefix="part")

    def submit(self, part: PartRange) -> Future[PartRange]:
        """Schedule a part."""
        return self._pool.submit(self._do, part)

    def _do(self, part: PartRange) -> PartRange:
        if not hasattr(self._mine, "function"):
            opened = self._work.open()
            self._mine.function = opened.__enter__()
            with self._opening:
                self._opened.push(opened)
        self._store.save(part.index, self._mine.function(part))
        return part

    def __enter__(self) -> Threads:
        """Return self."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the parts that run, and close what the workers opened."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._opened.close()


class Processes:
    """Workers are processes; the work travels to them once, and parts come back through the store."""

    def __init__(self, work: Work, store: PartStore, workers: int) -> None:
        import multiprocessing

        self._pool: Executor = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_process,
            initargs=(pickle.dumps(work), store),
        )  # fmt: skip

    def submit(self, part: PartRange) -> Future[PartRange]:
        """Schedule a part."""
        return self._pool.submit(_do_in_process, part)

    def __enter__(self) -> Processes:
        """Return self."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the parts that run."""
        self._pool.shutdown(wait=True, cancel_futures=True)


ExecutorKind = Callable[[Work, PartStore, int], "Threads | Processes"]


def run_parts(
    ranges: Sequence[PartRange],
    work: Work,
    store: PartStore,
    *,
    workers: int,
    which: tuple[int, int] | None = None,
    on_done: Callable[[PartRange], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    executor: ExecutorKind = Threads,
) -> None:
    """Run the parts that are not finished, with BLAS held to one thread.

    The first error stops the rest and is raised. Merging is the caller's: `PartStore.load_all` gives parts in order.

    Parameters
    ----------
    ranges
        All parts of the job, from `plan_parts`.
    work
        What is done with each.
    store
        Where finished parts are, and go.
    workers
        How many work at a time.
    which
        (k, n): only the parts of task k of n.
    on_done
        Called from the calling thread for every part, finished ones included.
    should_stop
        Asked between parts; true raises `Interrupted`.
    executor
        What kind of workers.

    Raises
    ------
    Interrupted
        If `should_stop` said so.
    InputError
        If the store holds parts of another cut.
    """
    if workers < 1:
        raise ValueError(f"at least one worker is needed, not {workers}")
    store.keep_plan(ranges)
    waiting = []
    for part in select_parts(ranges, which):
        if not store.has(part.index):
            waiting.append(part)
        elif on_done is not None:
            on_done(part)
    if not waiting:
        return
    with one_blas_thread(), executor(work, store, min(workers, len(waiting))) as pool:
        running: set[Future[PartRange]] = set()
        queue = iter(waiting)
        while True:
            # Few parts are submitted ahead, so that a request to stop is obeyed soon.
            while len(running) < workers and (ahead := next(queue, None)) is not None:
                _stop_if_asked(should_stop)
                running.add(pool.submit(ahead))
            if not running:
                break
            done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                finished = future.result()
                if on_done is not None:
                    on_done(finished)
            _stop_if_asked(should_stop)


def do_parts(
    run: RunDirectory,
    work: Work,
    ranges: Sequence[PartRange],
    *,
    store: str,
    words: str,
    stage: str | None = None,
    worker_bytes: int = 0,
    rows: Callable[[PartRange], int] = len,
    inputs: Callable[[PartRange], Iterable[Path]] | None = None,
) -> bool:
    """Do one stage of a run in parts: those of this task that are not finished, with progress on terminal and log.

    Parameters
    ----------
    run
        The run, with its workers, memory and task of a job array.
    work, ranges
        What is done, and all parts.
    store
        Name of the store of finished parts.
    words
        What the progress says.
    stage
        Name of the stage in the timings; None = the words.
    worker_bytes
        Memory that one worker takes besides the results, for ``--memory``.
    rows
        Rows of a part that the progress counts.
    inputs
        Files that a part reads: a task of a job array records those of its own parts, and looks at no others.

    Returns
    -------
    bool
        Whether the parts of all tasks are there now.
    """
    parts = run.parts(store)
    mine = select_parts(ranges, run.part)
    done = {part.index for part in mine if parts.has(part.index)}
    counted = {part.index: rows(part) for part in mine}
    before = sum(counted[index] for index in done)
    if run.part is not None and inputs is not None:
        run.add_inputs(dict.fromkeys(path for part in mine for path in inputs(part)))
    with (
        run.stage(stage or words),
        progress(run.log, words, sum(counted.values()), done=before, verbosity=run.verbosity) as counter,
    ):
        run_parts(
            ranges,
            work,
            parts,
            workers=threads_within(run.threads, run.memory, worker_bytes, run.warn),
            which=run.part,
            on_done=lambda part: None if part.index in done else counter.update(counted[part.index]),
            should_stop=run.aborted,
            executor=run.executor or Threads,
        )
    return run.part is None or (run.part[1] == 1 and not parts.missing())


_opened = ExitStack()  # kept, or it would close what it opened
_part_function: PartFunction
_store: PartStore


def _begin_process(work: bytes, store: PartStore) -> None:
    """Open the work in a new process; what it opened is closed when the process ends."""
    global _part_function, _store
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides
    _opened.enter_context(one_blas_thread())
    _part_function, _store = _opened.enter_context(pickle.loads(work).open()), store


def _do_in_process(part: PartRange) -> PartRange:
    _store.save(part.index, _part_function(part))
    return part


def _stop_if_asked(should_stop: Callable[[], bool] | None) -> None:
    if should_stop is not None and should_stop():
        raise Interrupted("asked to stop by RELION_JOB_ABORT_NOW")
