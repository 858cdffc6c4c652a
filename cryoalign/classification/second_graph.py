"""Weak data: raw edges are chosen once more, among images that the graph already holds to be near.

The best raw scores of a weak image are in good part accidents among thousands of others; among a hundred or so that
paths of the graph lead to there is less room for them. Scores stay raw against raw: edges between denoised images
only repeat what the first graph said.
"""

from __future__ import annotations

import numpy as np

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.diffusion import Embedding
from cryoalign.classification.features import Features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.classification.raw_neighbours import best_listed
from cryoalign.classification.settings import ClassificationSettings

WEAK_SHARE = 0.6
"""With a held-out share of the signal below this, data is weak."""
AMONG = 150
"""Cleaned neighbours of each image among which raw edges are chosen."""
POWER = 1.0
"""Power of the eigenvalues in the affinity: the second power blurs the weak data's views."""


def second_pass(
    features: Features, cleaned: NeighbourLists, settings: ClassificationSettings, edges: int, count: int
) -> tuple[Embedding, NeighbourLists]:
    """Choose raw edges among cleaned neighbours, and find the nearest views in their graph.

    Parameters
    ----------
    features
        Of the images at their centres.
    cleaned
        Nearest views by the first graph; the first `AMONG` are used.
    settings
        As for the first graph.
    edges
        Raw edges of each image.
    count
        Length of the new lists.
    """
    rows = np.ascontiguousarray(cleaned.nearest(AMONG).index)
    raw = best_listed(features, settings.search, rows, min(edges, rows.shape[1]))
    embedding = embed(edges_from_lists(raw), settings)
    return embedding, nearest_views(embedding, features, settings, count, power=POWER)
