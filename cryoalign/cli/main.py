"""The command `cryoalign`: finds subcommands without importing them, and turns errors into exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from cryoalign import __version__
from cryoalign.cli.options import COMMANDS, CONTEXT_SETTINGS
from cryoalign.core.blas import one_blas_thread
from cryoalign.core.errors import CryoalignError
from cryoalign.core.frames import with_room

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


@click.group("cryoalign", cls=LazyGroup, context_settings=CONTEXT_SETTINGS, epilog=_EPILOG)
@click.version_option(__version__, "-V", "--version", prog_name="cryoalign")
def cli() -> None:
    """Align, group and average cryo-EM particle images on a CPU, from STAR and MRC files and back."""


@one_blas_thread()  # from before numpy is loaded, so that it never starts threads of its own
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0 done, 1 failed, 2 usage, 3 done but no consistent signal found, 130/143 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # The compiler of the kernels makes objects by the hundred thousand and keeps them: looking at all of them again and
    # again for cycles was a tenth of a first run.
    gc.set_threshold(100_000, 20, 20)
    try:
        return with_room(cli.main, list(words), prog_name="cryoalign", standalone_mode=False, obj=words) or 0
    except click.UsageError as error:
        error.show()
        _tell_relion(words)
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _say(f"interrupted{_way_on(words)}", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `cryoalign --help | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CryoalignError, OSError, MemoryError) as error:
        _tell_relion(words)
        return _say(str(error) or "out of memory; give less with --block-size or -j", 1)
    except Exception as error:
        _tell_relion(words)
        log = _output_directory(words)
        where = f"; details in {log / 'run.log'}" if log is not None and (log / "run.log").is_file() else ""
        if any(word == "--verbose" or re.fullmatch("-v+", word) for word in words):
            traceback.print_exc()
        return _say(f"unexpected {type(error).__name__}: {error}{where}", 1)
    except BaseException as error:
        code = getattr(error, "exit_code", None)  # `Interrupted`, whose module is not imported for help
        if code is None:
            raise
        return _say(f"{error}{_way_on(words)}", code)


def _say(message: str, status: int) -> int:
    """Print one line on stderr."""
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    return status


def _way_on(words: Sequence[str]) -> str:
    """Name the way on where an interrupted run left something to carry on."""
    directory = _output_directory(words)
    return "; --resume carries it on" if directory is not None and (directory / ".cryoalign").is_dir() else ""


def _tell_relion(words: Sequence[str]) -> None:
    """Mark a job of RELION as failed when it failed before its run began; else the GUI would wait for ever."""
    directory = _output_directory(words)
    if directory is not None and directory.is_dir():
        from cryoalign.runs.markers import is_relion_job, mark_failure_if_unmarked

        if is_relion_job(directory):
            with suppress(OSError):
                mark_failure_if_unmarked(directory)


def _output_directory(words: Sequence[str]) -> Path | None:
    """Return what the words name as run directory; they may not have been understood as a whole."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word in ("-o", "--o", "--output"):
            return None if following is None else Path(following)
        match = re.fullmatch(r"(?:-o|--o=|--output=)([^-].*)", word)
        if match:
            return Path(match[1])
    return None


if __name__ == "__main__":
    sys.exit(main())
