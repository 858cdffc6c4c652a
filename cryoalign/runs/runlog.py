"""What a run says while it works: run.log with dates, the terminal by verbosity, progress on both."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryoalign.core.plain_text import safe_lines, shown
from cryoalign.runs.markers import is_relion_job

FILE_LINE = 20_000
"""Characters of the longest line in run.log."""
_FILE_ONLY = {"file_only": True}


class _FileHandler(logging.FileHandler):
    """Lines with dates; a disk that is full is for those to complain of who write results."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(_FileFormatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:
        """Lose a line."""

    def close(self) -> None:
        """Close the file, whatever its disk says."""
        with suppress(OSError):
            super().close()


class _FileFormatter(logging.Formatter):
    """One line for a message, whatever is in it; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        record.message, record.asctime = record.getMessage(), self.formatTime(record, self.datefmt)
        line = shown(self.formatMessage(record), FILE_LINE)
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{line}\n{safe_lines(trace, FILE_LINE)}" if trace else line


class _TerminalHandler(logging.Handler):
    """Plain lines that do not tear a progress bar apart."""

    def __init__(self, level: int, news_to_stdout: bool) -> None:
        super().__init__(level)
        self._news_to_stdout = news_to_stdout

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line unless it is meant for the file alone."""
        if getattr(record, "file_only", False):
            return
        prefix = {logging.WARNING: "Warning: ", logging.ERROR: "Error: "}.get(record.levelno, "")
        line = prefix + shown(record.getMessage())
        stream = sys.stdout if self._news_to_stdout and record.levelno < logging.WARNING else sys.stderr
        with suppress(OSError, ValueError, AttributeError):  # a stream that is full or closed stops no run
            if "tqdm" in sys.modules and stream.isatty():
                sys.modules["tqdm"].tqdm.write(line, file=stream)
            else:
                stream.write(line + "\n")
                stream.flush()


def open_log(path: Path, verbosity: int = 0, *, news_to_stdout: bool = False) -> logging.Logger:
    """Return a logger of its own, not in any registry, that appends to a file and speaks on stderr.

    Parameters
    ----------
    path
        The log file; it gets every message.
    verbosity
        -1 = warnings only on stderr, 0 = what happens, 1 or more = details.
    news_to_stdout
        Only warnings go to stderr: RELION shows what it finds there in red.
    """
    logger = logging.Logger("cryoalign", logging.DEBUG)
    logger.addHandler(_FileHandler(path))
    level = logging.WARNING if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG
    logger.addHandler(_TerminalHandler(level, news_to_stdout))
    library = logging.getLogger("matplotlib")
    if not library.handlers:  # what it says of folders it cannot write is not the run's; a caller's handlers hear it
        library.addHandler(logging.NullHandler())
    return logger


def say(text: str, run_directory: Path) -> None:
    """Say what cannot be in a log, for the run has none: on stdout for a job of RELION, else on stderr."""
    logger = logging.Logger("cryoalign", logging.DEBUG)
    logger.addHandler(_TerminalHandler(logging.INFO, is_relion_job(run_directory)))
    logger.info("%s", text)


def close_log(logger: logging.Logger) -> None:
    """Close the files behind a logger."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def log_to_file(logger: logging.Logger, level: int, message: str, *, traceback: bool = False) -> None:
    """Write to run.log and not to the terminal."""
    logger.log(level, "%s", message, exc_info=traceback, extra=_FILE_ONLY)


class Progress:
    """Counts finished units: a bar on a terminal, a line per tenth of the way elsewhere and in run.log.

    Parameters
    ----------
    logger
        From `open_log`.
    what
        Words in front of the numbers.
    total
        Units in all.
    unit
        Word for one of them.
    done
        Units that an earlier run finished already.
    verbosity
        Below 0 there is no bar.
    """

    def __init__(
        self, logger: logging.Logger, what: str, total: int, *, unit: str = "images", done: int = 0, verbosity: int = 0
    ) -> None:
        self._logger, self._what, self._total, self._unit = logger, what, total, unit
        self._done = self._at_start = done
        self._started = time.monotonic()
        self._next_line = done + max(1, total // 10)
        self._bar: Any = None
        if verbosity >= 0 and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=what, unit=f" {unit}", file=sys.stderr, leave=False)

    def update(self, n: int) -> None:
        """Add n finished units."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        if self._done >= self._next_line or self._done == self._total:
            self._next_line = self._done + max(1, self._total // 10)
            self._line()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()

    def _line(self) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        rate = (self._done - self._at_start) / elapsed
        left = (self._total - self._done) / rate if rate > 0 else 0.0
        text = f"{self._what}: {self._done} of {self._total} {self._unit}, {rate:.0f} a second, {left:.0f} s left"
        self._logger.info("%s", text, extra=_FILE_ONLY if self._bar is not None else None)


@contextmanager
def progress(logger: logging.Logger, what: str, total: int, **options: Any) -> Iterator[Progress]:
    """Context manager around `Progress` that always takes the bar off the terminal."""
    counter = Progress(logger, what, total, **options)
    try:
        yield counter
    finally:
        counter.close()
