"""A classification kept in the run directory, so that a run that is resumed does not repeat it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.classification import Classification, SignalTest
from cryoalign.classification.neighbours import NeighbourLists
from cryoalign.runs.parts import PartStore

_LISTS = ("neighbours", "graph")
_ARRAYS = ("distance", "weight", "viewing_angle_deg", "centre_px", "embedding", "quality")


def save_classification(store: PartStore, found: Classification) -> None:
    """Keep a classification as the one part of a store; it appears complete or not at all."""
    arrays: dict[str, NDArray] = {name: getattr(found, name) for name in _ARRAYS}
    for which in _LISTS:
        lists = getattr(found, which)
        arrays |= {f"{which}_{field.name}": getattr(lists, field.name) for field in fields(NeighbourLists)}
    arrays["numbers"] = np.array([found.shift_sd_px, found.signal.z, found.signal.share])
    arrays["whole"] = np.array([int(found.signal.signal), found.rounds])
    arrays["stages"] = np.asarray(list(found.timings), dtype=np.str_)
    arrays["seconds"] = np.array(list(found.timings.values()), np.float64)
    store.save(0, arrays)


def load_classification(store: PartStore) -> Classification | None:
    """Return the classification of a store; None where there is none yet."""
    if not store.has(0):
        return None
    arrays = store.load(0)
    neighbours, graph = (
        NeighbourLists(**{field.name: arrays[f"{which}_{field.name}"] for field in fields(NeighbourLists)})
        for which in _LISTS
    )
    shift_sd, z, share = (float(value) for value in arrays["numbers"])
    signal, rounds = (int(value) for value in arrays["whole"])
    return Classification(
        neighbours=neighbours, graph=graph, **{name: arrays[name] for name in _ARRAYS}, shift_sd_px=shift_sd,
        signal=SignalTest(z, share, bool(signal)), rounds=rounds,
        timings=dict(zip(arrays["stages"].tolist(), arrays["seconds"].tolist(), strict=True)),
    )  # fmt: skip
