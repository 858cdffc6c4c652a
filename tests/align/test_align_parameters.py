"""Parameters of align: defaults, refusals, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cryoalign.core.errors import InputError
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.runs.rundir import MAY_DIFFER

BASIC = {"inputs": (Path("a.star"),), "output": Path("out"), "reference": Path("r.mrcs")}


def test_defaults_are_those_of_the_design():
    parameters = AlignParameters(**BASIC)
    assert parameters.ctf and parameters.whiten and parameters.write_stack and parameters.normalize
    assert not (parameters.mirror or parameters.fast or parameters.normalize_stack or parameters.local_flip)
    assert parameters.iterations == 1 and parameters.interpolation == "fourier"
    assert parameters.on_bad_image == "error" and parameters.noise_group == "optics"
    assert parameters.mask_diameter is parameters.max_shift is parameters.max_shift_px is parameters.local is None


@pytest.mark.parametrize(
    ("interpolation", "edge", "resolved"),
    [("fourier", None, "wrap"), ("linear", None, "zero"), ("linear", "mirror", "mirror"), ("cubic", None, "wrap")],
)
def test_the_edge_follows_the_interpolation(interpolation, edge, resolved):
    assert AlignParameters(**BASIC, interpolation=interpolation, edge=edge).resolved_edge == resolved


def test_json_and_back_changes_nothing():
    parameters = AlignParameters(
        **BASIC | {"inputs": (Path("a.star"), Path("b c.cs"))},
        datadir=Path("/data"),
        angpix=1.25,
        part=(2, 5),
        memory=1 << 33,
        interpolation="cubic",
        edge="mean",
        local=10.0,
        local_flip=True,
    )
    values = json.loads(json.dumps(parameters.to_json()))
    assert set(values) == {field.name for field in dataclasses.fields(AlignParameters)}
    assert AlignParameters.from_json(values) == parameters
    assert AlignParameters.from_json(AlignParameters(**BASIC).to_json()) == AlignParameters(**BASIC)


def test_without_references_halves_are_refined():
    free = AlignParameters(**BASIC | {"reference": None, "strategy": "synchronized"})
    assert (free.iterations, free.halves, free.reference) == (5, True, None)
    assert AlignParameters.from_json(json.loads(json.dumps(free.to_json()))) == free
    assert AlignParameters(**BASIC | {"reference": None, "strategy": "synchronized", "iterations": 1}).halves is False


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="speed"):
        AlignParameters.from_json(AlignParameters(**BASIC).to_json() | {"speed": 3})


def test_what_may_differ_on_resume_are_names_of_parameters_that_cannot_change_a_result():
    names = {field.name for field in dataclasses.fields(AlignParameters)}
    assert names >= MAY_DIFFER - {"as_json"}  # of compare and select
    assert not MAY_DIFFER & {"inputs", "reference", "seed", "limit", "block_size", "interpolation", "ctf"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": ()}, "no particles"),
        ({"angpix": 0.0}, "--angpix must be a positive number"),
        ({"angpix": float("nan")}, "--angpix"),
        ({"mask_diameter": -5.0}, "--mask-diameter"),
        ({"lowpass": float("inf")}, "--lowpass"),
        ({"max_shift": -1.0}, "--max-shift"),
        ({"max_shift": 1.0, "max_shift_px": 1.0}, "exclude each other"),
        ({"lowpass": 200.0, "highpass": 20.0}, "no band"),
        ({"local": 181.0}, "180"),
        ({"local": 0.0}, "--local must be a positive"),
        ({"local_flip": True}, "--local DEG"),
        ({"iterations": 0}, "--iterations"),
        ({"threads": 0}, "--threads"),
        ({"memory": 0}, "--memory"),
        ({"limit": 0}, "--limit"),
        ({"block_size": 100}, "--block-size"),
        ({"seed": -1}, "--seed"),
        ({"interpolation": "sinc"}, "fourier, nearest, linear, cubic, quintic"),
        ({"edge": "reflect"}, "--edge"),
        ({"on_bad_image": "ignore"}, "--on-bad-image"),
        ({"noise_group": "all"}, "--noise-group"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"part": (3, 2)}, "K/N"),
        ({"part": (1, 2), "overwrite": True}, "other parts"),
        ({"part": (1, 2), "iterations": 2}, "--iterations"),
        ({"reference": None}, "--reference is needed"),
        ({"classes": 2}, "--classes goes with"),
        ({"strategy": "tree"}, "references, synchronized"),
        ({"strategy": "synchronized"}, "its own references"),
        ({"strategy": "synchronized", "reference": None, "part": (1, 2)}, "--part"),
        ({"strategy": "synchronized", "reference": None, "local": 5.0}, "--local"),
        ({"strategy": "synchronized", "reference": None, "classes": 0}, "--classes"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        AlignParameters(**BASIC | change)


@pytest.mark.parametrize("change", [{"max_shift": 0.0}, {"max_shift_px": 0.0}, {"local": 180.0}, {"block_size": 64}])
def test_limits_of_what_is_allowed(change):
    assert AlignParameters(**BASIC | change)


def test_parameters_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AlignParameters(**BASIC).seed = 3
