"""What a user may choose about phase synchronisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryoalign.core.errors import InputError

Algorithm = Literal["auto", "ppe", "spectral", "gpm", "mfgpm"]
ALGORITHMS: tuple[Algorithm, ...] = ("auto", "ppe", "spectral", "gpm", "mfgpm")
PUBLISHED_K_MAX = 32
"""Frequencies of ppe and mfgpm where the user does not say."""


@dataclass(frozen=True)
class SyncSettings:
    """Parameters of `synchronise`.

    Parameters
    ----------
    algorithm
        auto: all frequencies by their weight, then votes under the residual density, checked on held-out edges.
        spectral: top eigenvector of one frequency. gpm: generalised power method of one frequency. ppe: the published
        two-stage method of many frequencies. mfgpm: its second stage alone, from the spectral start.
    k_max
        Highest frequency; None lets auto decide and means 32 for ppe and mfgpm.
    weights
        Use the weights of the edges.
    seed
        Seed of everything random (start vectors, held-out edges).
    threads
        Threads; the result does not depend on it.
    """

    algorithm: Algorithm = "auto"
    k_max: int | None = None
    weights: bool = True
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.algorithm not in ALGORITHMS:
            raise InputError("no such algorithm", value=self.algorithm, hint=f"one of {', '.join(ALGORITHMS)}")
        if self.k_max is not None and not 1 <= self.k_max <= 256:
            raise InputError("k_max is not usable", value=self.k_max, hint="1 to 256")
        if self.threads < 1:
            raise InputError("threads is not usable", value=self.threads, hint="1 or more")
