"""How far particles lie from their centres, where nobody says: a search for shifts that need not be exact.

Images seem to stand on their centres if neighbours are chosen as the images lie: those that lie alike are chosen. So
shifts are searched, to few others of a few thousand images, and whether what was found is real is tested.
"""

from __future__ import annotations

from dataclasses import replace

from cryoalign.classification.algorithms import embed, nearest_views
from cryoalign.classification.features import Features, prepare_features
from cryoalign.classification.list_edges import edges_from_lists
from cryoalign.classification.raw_neighbours import raw_neighbours
from cryoalign.classification.settings import ClassificationSettings, SearchSettings
from cryoalign.classification.shift_scale import are_shifted, pilot_sd, trusted_edges
from cryoalign.classification.stages import Clock
from cryoalign.classification.template_centres import centre_by_templates
from cryoalign.core.evenly import evenly_spread
from cryoalign.synchronization.translation import synchronise_shifts

IMAGES = 3000
"""Images, evenly spaced, that tell how far all are shifted."""
CANDIDATES, EDGES, TRUSTED = 100, 50, 100
"""Others to which shifts are searched for each image, raw neighbours that become edges, and neighbours by the graph
whose raw edges move the centres."""


def shift_scale(features: Features, settings: SearchSettings, clock: Clock) -> float:
    """Find the standard deviation of either coordinate of the images' centres, in prepared pixels; 0 if centred.

    Parameters
    ----------
    features
        Of the images as they are.
    settings
        What counts as a neighbour.
    clock
        Told of the stage.
    """
    clock("shift scale")
    n, box = len(features), features.images.shape[-1]
    part = features
    if n > IMAGES:
        rows = evenly_spread(IMAGES, n)
        part = replace(
            features, coefficients=features.coefficients[rows], images=features.images[rows],
            centre_px=features.centre_px[rows],
        )  # fmt: skip
    sd = pilot_sd(box)
    few = replace(settings, candidates=None)
    raw = raw_neighbours(part, few, min(EDGES, len(part) - 1), sd, shifted_candidates=CANDIDATES)
    diffusion = ClassificationSettings(threads=features.threads)
    cleaned = nearest_views(embed(edges_from_lists(raw), diffusion), part, diffusion, TRUSTED)
    moved = synchronise_shifts(trusted_edges(raw, cleaned))
    if not are_shifted(part, cleaned, moved):
        return 0.0
    again = prepare_features(part.images, settings, part.centre_px + moved, pca=part.pca, threads=part.threads)
    return centre_by_templates(again, cleaned, sd)[1]
