"""What came of it: a line for each kind of harm, with counts, and what failed in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Row:
    """One line.

    Attributes
    ----------
    name
        What was done.
    done
        Cases that held.
    failures
        What did not hold, a sentence each.
    note
        What else was counted.
    """

    name: str
    done: int = 0
    failures: list[str] = field(default_factory=list)
    note: str = ""

    def good(self) -> None:
        """Count a case that held."""
        self.done += 1

    def failed(self, words: str) -> None:
        """Keep what did not hold."""
        self.failures.append(words)


def show(rows: Iterable[Row]) -> int:
    """Print the lines, then what failed; return how much did."""
    rows = list(rows)
    print(f"| {'kind':34} | {'held':>6} | {'failed':>6} | note")
    print(f"|{'-' * 36}|{'-' * 8}|{'-' * 8}|------")
    for row in rows:
        print(f"| {row.name:34} | {row.done:6} | {len(row.failures):6} | {row.note}")
    total = sum(len(row.failures) for row in rows)
    print(f"| {'all':34} | {sum(row.done for row in rows):6} | {total:6} |", flush=True)
    for row in rows:
        for words in row.failures[:20]:
            print(f"{row.name}: {words}")
    return total
