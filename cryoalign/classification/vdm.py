"""Vector diffusion maps at one frequency, as first published.

(Singer and Wu, Communications on Pure and Applied Mathematics 2012; Singer, Zhao, Shkolnisky, Hadani, SIAM J. Imaging
Sci. 2011.)
"""

from __future__ import annotations

from cryoalign.classification.diffusion import Embedding, diffuse
from cryoalign.synchronization.edges import EdgeList


def vector_diffusion(edges: EdgeList, n_vectors: int = 50, *, tolerance: float = 1e-2, threads: int = 1) -> Embedding:
    """Find the leading eigenvectors at k = 1 alone; the affinity is that of `cryoalign.classification.affinity`."""
    return diffuse(edges, 1, n_vectors, tolerance=tolerance, threads=threads)
