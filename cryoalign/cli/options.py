"""Options that several commands share, and how values are read.

Names are accepted with hyphens or underscores, since RELION writes ``--in_parts``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_FLAG_WORDS = {"yes": True, "true": True, "no": False, "false": False}


class Size(click.ParamType):
    """Bytes, as ``800M``, ``4G`` or ``4GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([KMGT]?)(?:i?B)?\s*", str(value), re.IGNORECASE)
        if match is None:
            self.fail(f"{value!r} is not a size such as 800M or 4G", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


class PartOf(click.ParamType):
    """``K/N``: task K of N, counted from 1."""

    name = "k/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (k, n)."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", str(value))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is not K/N with 1 <= K <= N", param, ctx)
        return int(match[1]), int(match[2])


class LateChoice(click.Choice):
    """Names as they are when they are asked for: one may be registered after the options were made.

    Parameters
    ----------
    names
        Returns all that can be chosen.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names, self.case_sensitive = names, True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """All that can be chosen."""
        return tuple(self._names())


class SuiteCommand(click.Command):
    """A command that also understands how RELION's External jobs pass words.

    A switch may be followed by Yes or No, as the GUI's fields suggest; an option that was left without its value is
    named, instead of swallowing the next option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the words into click's form."""
        # While a shell completes a line, options without a value are no mistake.
        return super().parse_args(ctx, args if ctx.resilient_parsing else self._click_words(ctx, list(args)))

    def _click_words(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {
            _spelling(name): option
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        }
        words: list[str] = []
        while args:
            word = args.pop(0)
            if word == "--":
                return [*words, word, *args]
            option = known.get(_spelling(word))
            following = args[0] if args else None
            if option is None:
                words.append(word)
            elif option.is_flag:
                if following is not None and following.lower() in _FLAG_WORDS and not Path(following).exists():
                    wanted = _FLAG_WORDS[args.pop(0).lower()]
                    words += [word] if wanted else _opposite(option, word)
                else:
                    words.append(word)
            elif option.count or option.nargs != 1:
                words.append(word)
            elif following is None or _spelling(following) in known:
                raise click.UsageError(f"Option {word!r} needs a value.", ctx)
            else:
                words += [word, args.pop(0)]
        return words


def _spelling(word: str) -> str:
    return word.replace("_", "-") if word.startswith("-") else word


def _opposite(option: click.Option, word: str) -> list[str]:
    """Return the words that say no to a switch: its other name where it has one, else nothing."""
    if not option.secondary_opts:
        return []
    names, others = option.opts, option.secondary_opts
    return [others[0]] if _spelling(word) in map(_spelling, names) else [names[0]]


COMMANDS: dict[str, str] = {
    "align": "Align particles in plane to references.",
    "average": "Average particles that have poses and classes.",
    "check": "Tell everything that is wrong with particles, before a run.",
    "classavg": "Make class averages without references.",
    "compare": "Compare images under several measures: distances, best poses, pictures.",
    "merge": "Finish a run whose parts were done with --part.",
    "rid-distance": "Find each particle's nearest neighbours, whatever their rotation.",
    "select": "Keep particles by class, score, distance or chance.",
    "simulate": "Make particles whose truth is known.",
    "simulate-graph": "Make a graph of pairwise angles whose truth is known.",
    "sync": "Find one angle for every node of a graph from those of its edges.",
}
"""Subcommands and their one-line help; each lives in the module of its name, as `command`."""
CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda word: word.replace("_", "-"),
    "max_content_width": 100,
}


def suite_command(name: str, epilog: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of the suite: its line of help is that of ``COMMANDS``, and its help ends with examples."""
    return click.command(
        name, cls=SuiteCommand, context_settings=CONTEXT_SETTINGS, short_help=COMMANDS[name], epilog=epilog
    )


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


output_option = click.option(
    "-o",
    "--output",
    "--o",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Run directory; may exist.",
)
threads_option = click.option(
    "-j",
    "--threads",
    "--j",
    "threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads.  [default: the CPUs this process may use]",
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Seed for everything random."
)
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace the run that is in DIR: only the files which that run wrote, once the new ones are complete.",
)
resume_option = click.option("--resume", is_flag=True, help="Carry on the unfinished run in DIR.")
json_option = click.option("--json", "as_json", is_flag=True, help="Results on stdout as one JSON object.")
verbosity_options = together(
    click.option("-v", "--verbose", count=True, help="Say more."),
    click.option("-q", "--quiet", is_flag=True, help="Say only warnings and errors."),
)
particle_tables_options = together(
    click.argument("particles", nargs=-1, type=click.Path(path_type=Path)),
    click.option(
        "--i",
        "--in_parts",
        "more_particles",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Particles, as RELION spells it.",
    ),
    click.option(
        "--datadir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder that image names in the STAR file start from.",
    ),
    click.option("--angpix", type=float, metavar="A", help="Pixel size, overriding the metadata."),
)
mag_matrix_option = click.option(
    "--apply-mag-matrix/--no-apply-mag-matrix",
    default=False,
    show_default=True,
    help="Correct images by the magnification matrices of the optics table as they are read.",
)
normalize_option = click.option(
    "--normalize/--no-normalize",
    default=True,
    show_default=True,
    help="Take plane, level and scale of each particle's background off as it is read, and replace hot pixels.",
)
particles_options = together(
    particle_tables_options,
    click.option("--invert", is_flag=True, help="Negate pixels as read (dark particles)."),
    mag_matrix_option,
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Use the first N particles."),
    normalize_option,
    click.option(
        "--on-bad-image",
        type=click.Choice(["error", "skip"]),
        default="error",
        show_default=True,
        help="NaN, infinite or constant images are errors, or left out; so are then those that stand out.",
    ),
)
mask_diameter_option = click.option(
    "--mask-diameter", type=float, metavar="A", help="Diameter of the particle mask.  [default: 0.8 of the box]"
)
ctf_intact_first_peak_option = click.option(
    "--ctf-intact-first-peak", is_flag=True, help="Leave the CTF at 1 before its first peak."
)
resampling_options = together(
    click.option(
        "--interpolation",
        type=click.Choice(["fourier", "nearest", "linear", "cubic", "quintic"]),
        default="fourier",
        show_default=True,
        help="How particles are resampled.",
    ),
    click.option(
        "--edge",
        type=click.Choice(["wrap", "mirror", "zero", "mean"]),
        help="What lies beyond the edge of an image.  [default: wrap; zero with linear]",
    ),
)
run_options = together(
    resume_option,
    overwrite_option,
    threads_option,
    click.option("--memory", type=Size(), metavar="SIZE", help="Memory to stay within, such as 4G."),
    click.option("--block-size", type=click.IntRange(min=64), metavar="ROWS", help="Rows of a part; a multiple of 64."),
    click.option(
        "--part", type=PartOf(), metavar="K/N", help="Do task K of N only; `cryoalign merge DIR` finishes the run."
    ),
    click.option("--full-digest", is_flag=True, help="Hash input stacks whole for run.json."),
    seed_option,
    verbosity_options,
)


def typed_words(ctx: click.Context) -> list[str]:
    """Return the words after `cryoalign` as the user typed them, for run.json."""
    return list(ctx.find_root().obj or [])


def verbosity(verbose: int, quiet: bool) -> int:
    """Return one number: -1 quiet, 0 normal, 1 and more for details."""
    return -1 if quiet else verbose


def run_command(ctx: click.Context, command: str, options: dict[str, Any]) -> int:
    """Run a command with the options of the line.

    Raises
    ------
    click.UsageError
        If there are no particles where the command needs some, or options contradict each other.
    """
    from cryoalign.core.errors import InputError
    from cryoalign.jobs.commands import parameters_class
    from cryoalign.jobs.commands import run_command as run
    from cryoalign.runs.cpus import available_cpus

    how = verbosity(options.pop("verbose"), options.pop("quiet"))
    options["threads"] = options["threads"] or available_cpus()
    if "more_particles" in options:
        options["inputs"] = (*options.pop("particles"), *options.pop("more_particles"))
        if not options["inputs"]:
            raise click.UsageError("Missing particles: name a .star, .mrcs, .mrc or .cs file.")
    try:
        parameters = parameters_class(command)(**options)
    except InputError as error:
        raise click.UsageError(str(error), ctx) from None
    return run(parameters, argv=typed_words(ctx), verbosity=how)
