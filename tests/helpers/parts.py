"""Work of a test's own: any function of a range of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryoalign.runs.work import PureWork


@dataclass(frozen=True)
class Plain(PureWork):
    """The work of a function."""

    function: Callable

    def __call__(self, part):
        """Do one part."""
        return self.function(part)
