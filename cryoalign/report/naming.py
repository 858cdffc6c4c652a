"""What groups of particles are called on a page, and in what order they stand: classes by size, views by quality."""

from __future__ import annotations

from dataclasses import dataclass

from cryoalign.report.numbers import plural


@dataclass(frozen=True)
class Naming:
    """Words for one kind of groups.

    Parameters
    ----------
    word
        What one group is called.
    first
        What the first ones are: "largest" sorts groups by members, any other word leaves them as given.
    stack
        The file that holds every average.
    overlap
        Whether a particle may be in several groups; then a share of all particles means nothing.
    shared
        What rings that are not independent come from: the end of a sentence that begins with the halves.
    """

    word: str = "class"
    first: str = "largest"
    stack: str = "averages.mrcs"
    overlap: bool = False
    shared: str = "were aligned to the same reference"

    @property
    def by_size(self) -> bool:
        """Whether groups stand by their size."""
        return self.first == "largest"

    def name(self, number: int) -> str:
        """Return the name of a group at the start of a line."""
        return f"{self.word.capitalize()} {number}"

    def many(self, count: int) -> str:
        """Return the word as it stands after a count."""
        return plural(count, self.word)


CLASSES = Naming()
RELION_CLASSES = Naming(stack="run_classes.mrcs")
VIEWS = Naming(
    word="view", first="best", overlap=True, shared="hold members that were chosen and aligned by the same detail"
)
