"""The command `cryoalign`: finds subcommands without importing them, and turns errors into exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # see cryoalign.cli.entry

import click

from cryoalign import __version__
from cryoalign.cli.options import COMMANDS, CONTEXT_SETTINGS
from cryoalign.cli.streams import flush_streams, forgiving_streams, lost_output
from cryoalign.core.blas import one_blas_thread
from cryoalign.core.errors import CryoalignError
from cryoalign.core.frames import with_room
from cryoalign.core.plain_text import safe_lines, shown
from cryoalign.runs.interrupt import EXIT_CODES, Interrupted, not_now, over, stop_on_signals, was_asked

_EPILOG = """\b
Examples:
    cryoalign align particles.star --reference averages.mrcs -o Aligned
    cryoalign simulate -o demo -n 500 --box 64
\b
Help on a command: cryoalign COMMAND --help
Shell completion (bash; zsh and fish alike), in your ~/.bashrc:
    eval "$(_CRYOALIGN_COMPLETE=bash_source cryoalign)"
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        name = cmd_name.replace("_", "-")
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"cryoalign.cli.{name.replace('-', '_')}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    "cryoalign",
    cls=LazyGroup,
    context_settings=CONTEXT_SETTINGS,
    epilog=_EPILOG,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.version_option(__version__, "-V", "--version", prog_name="cryoalign")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Align, group and average cryo-EM particle images on a CPU, from STAR and MRC files and back."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@one_blas_thread()  # from before numpy is loaded, so that it never starts threads of its own
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0 done, 1 failed, 2 usage, 3 done but no consistent signal found, 129/130/143 interrupted.

    Parameters
    ----------
    argv
        The words after ``cryoalign``; None = those of this process, whose signals and streams are then this function's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is not None:
        return _status(words)
    stop_on_signals()
    forgiving_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # those of libraries are for us, in tests, and say nothing to a user
    try:
        status = _status(words)
    except (KeyboardInterrupt, Interrupted) as error:  # struck while the first one was answered
        status = getattr(error, "exit_code", EXIT_CODES[signal.SIGINT])
    over(status)
    flush_streams()
    if status == 0 and (lost := lost_output()) is not None and _output_directory(words) is None:
        status = _say(f"standard output: {lost.strerror}", 1)
        flush_streams()
    return status


def _status(words: list[str]) -> int:
    # The compiler of the kernels makes objects by the hundred thousand and keeps them: looking at all of them again and
    # again for cycles was a tenth of a first run.
    gc.set_threshold(100_000, 20, 20)
    try:
        return with_room(cli.main, list(words), prog_name="cryoalign", standalone_mode=False, obj=words) or 0
    except click.UsageError as error:
        if error.ctx is not None:
            click.echo(error.ctx.get_usage() + "\n", err=True)
        _tell_relion(words)
        return _say(error.format_message(), 2)
    except (click.exceptions.Abort, KeyboardInterrupt, Interrupted) as error:
        return _say_interrupted(error, words)
    except click.ClickException as error:
        return _say(error.format_message(), 1)
    except Exception as error:
        if (asked := was_asked()) is not None:
            return _say_interrupted(asked, words)  # some library made another error of it
        _tell_relion(words)
        if isinstance(error, (CryoalignError, OSError, MemoryError)):
            return _say(_in_words(error), 1)
        log = _output_directory(words)
        where = f"; details in {log / 'run.log'}" if log is not None and (log / "run.log").is_file() else ""
        if any(word == "--verbose" or re.fullmatch("-v+", word) for word in words):
            click.echo(safe_lines(traceback.format_exc(), 1000), err=True)
        return _say(f"unexpected {type(error).__name__}: {error}{where}", 1)


def _in_words(error: Exception) -> str:
    """Return what an error of ours, of the system or of memory says, with its file."""
    if isinstance(error, OSError):
        what = error.strerror or " ".join(map(str, error.args)) or type(error).__name__
        where = error.filename if error.filename2 is None else error.filename2
        return what if where is None else f"{os.fsdecode(where) if isinstance(where, bytes) else where}: {what}"
    return str(error) or "out of memory; give less with --block-size or -j"


def _say_interrupted(error: BaseException, words: Sequence[str]) -> int:
    with not_now():
        what = str(error) if isinstance(error, Interrupted) else "interrupted"
        return _say(f"{what}{_way_on(words)}", getattr(error, "exit_code", EXIT_CODES[signal.SIGINT]))


def _say(message: str, status: int) -> int:
    """Print one line on stderr, fit to be shown."""
    with suppress(OSError, ValueError):
        click.echo(f"Error: {shown(' '.join(message.split()))}", err=True)
    return status


def _way_on(words: Sequence[str]) -> str:
    """Name the way on where an interrupted run left something to carry on."""
    directory = _output_directory(words)
    return "; --resume carries it on" if directory is not None and (directory / ".cryoalign").is_dir() else ""


def _tell_relion(words: Sequence[str]) -> None:
    """Mark a job of RELION as failed when it failed before its run began; else the GUI would wait for ever."""
    directory = _output_directory(words)
    with suppress(OSError, ValueError):
        if directory is not None and directory.is_dir():
            from cryoalign.runs.markers import is_relion_job, mark_failure_if_unmarked

            if is_relion_job(directory):
                mark_failure_if_unmarked(directory)


def _output_directory(words: Sequence[str]) -> Path | None:
    """Return what the words name as run directory; they may not have been understood as a whole."""
    for word, following in zip(words, [*words[1:], None], strict=False):
        if word in ("-o", "--o", "--output"):
            return None if following is None else Path(following)
        match = re.fullmatch(r"(?:-o|--o=|--output=)([^-].*)", word)
        if match:
            return Path(match[1])
    return None


if __name__ == "__main__":
    sys.exit(main())
