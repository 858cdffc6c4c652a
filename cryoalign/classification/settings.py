"""What neighbour search and classification can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Score = Literal["llr", "euclidean"]
Features = Literal["steerable-pca", "fourier-bessel"]
Algorithm = Literal["mfvdm", "mfca", "vdm", "kmeans"]


@dataclass(frozen=True)
class SearchSettings:
    """How neighbours are found.

    Parameters
    ----------
    k
        Neighbours kept for each image.
    score
        Log-likelihood ratio "same clean image" against "independent", or the Euclidean distance.
    features
        What is compared: the components of steerable PCA that stand above the noise, or all Fourier-Bessel components.
    mirror
        Mirrored views count as neighbours.
    shift_sd_px
        Standard deviation of either coordinate of the images' centres, in pixels of the prepared images; None estimates
        it from the data, 0 searches no shifts.
    candidates
        Images that invariants propose for the exact comparison; None chooses, 0 compares all pairs exactly.
    radius_px
        Radius of the disc that is compared, in prepared pixels; None takes the largest.
    threads
        Threads; they change no result.
    """

    k: int = 50
    score: Score = "llr"
    features: Features = "steerable-pca"
    mirror: bool = True
    shift_sd_px: float | None = None
    candidates: int | None = None
    radius_px: float | None = None
    threads: int = 1


@dataclass(frozen=True)
class ClassificationSettings:
    """How views are found in a graph of neighbours.

    Parameters
    ----------
    search
        How raw neighbours are found.
    k
        Neighbours in the final lists.
    algorithm
        Multi-frequency vector diffusion maps, multi-frequency class averaging, single-frequency diffusion maps, or
        k-means on rotation invariants.
    k_max
        Highest angular frequency of the graph's matrices; None chooses.
    rounds
        Rounds of search, classification and shifts; None chooses by the data.
    reweight
        Weigh edges by how well they agree with the others first. For graphs with many false edges that were not made
        from images: on these it does harm.
    clusters
        Clusters of "kmeans"; None takes one for some 50 images.
    seed
        Of the first centres of "kmeans": nothing else is random.
    threads
        Threads; they change no result.
    """

    search: SearchSettings = SearchSettings()
    k: int = 50
    algorithm: Algorithm = "mfvdm"
    k_max: int | None = None
    rounds: int | None = None
    reweight: bool = False
    clusters: int | None = None
    seed: int = 0
    threads: int = 1
