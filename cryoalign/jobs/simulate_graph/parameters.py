"""Every option of ``simulate-graph`` as one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from cryoalign.core.errors import InputError
from cryoalign.runs.parameters import SeedOptions, option_of
from cryoalign.runs.reads import Reads
from cryoalign.simulation.graphs import Adversary, GraphRecipe, Model, share_of_signal

# Options that belong to some models only.
_MODELS_OF = {
    "edge_probability": ("corruption", "gaussian", "adversarial"),
    "signal": ("corruption", "geometric", "adversarial"),
    "good_share": ("corruption", "geometric", "adversarial"),
    "sigma": ("gaussian",),
    "wrong_share": ("adversarial",),
    "adversary": ("adversarial",),
}
DEFAULT_NEIGHBOURS = 20
DEFAULT_GOOD_SHARE = 0.3
DEFAULT_SIGMA = 0.2
DEFAULT_WRONG_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class SimulateGraphParameters(SeedOptions):
    """What graph to simulate, and where to write it; names and units are those of the command line.

    None stands for the default of the model. See `GraphRecipe` for what they mean.

    Attributes
    ----------
    model, nodes, mirrors, components, shift_sd, shift_jitter
        As in the recipe; shifts in pixels.
    degree
        Edges of a node on average; of ``geometric`` its nearest neighbours.
    edge_probability
        Share of all pairs that are edges. Without either, all pairs.
    signal, good_share
        lambda, or the share of right edges.
    jitter
        Standard deviation of the error of right angles, in degrees.
    sigma, wrong_share, adversary
        As in the recipe.
    export
        Other forms of the graph: ``csv``, ``star``.

    Raises
    ------
    InputError
        For values that contradict each other or make no sense.
    """

    model: Model = "corruption"
    nodes: int = 300
    degree: float | None = None
    edge_probability: float | None = None
    signal: float | None = None
    good_share: float | None = None
    jitter: float = 0.0
    sigma: float | None = None
    wrong_share: float | None = None
    adversary: Adversary | None = None
    mirrors: bool = False
    components: int = 1
    shift_sd: float = 0.0
    shift_jitter: float = 0.0
    export: tuple[str, ...] = ()

    command: ClassVar[str] = "simulate-graph"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        self.check_choices({"model": Model, "adversary": Adversary})
        for name, models in _MODELS_OF.items():
            if getattr(self, name) is not None and self.model not in models:
                raise InputError(f"{option_of(name)} goes with --model {' or '.join(models)} only", value=self.model)
        self.check_numbers("nodes", "components", at_least=1)
        self.check_numbers("jitter", "sigma", "shift_sd", "shift_jitter", "signal", at_least=0)
        for name in ("edge_probability", "good_share", "wrong_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{option_of(name)} must be from 0 to 1", value=value)
        if self.components > self.nodes:
            raise InputError("there are more components than nodes", value=self.components)
        self.refuse_together(("degree", "edge_probability"), ("signal", "good_share"))
        if self.mirrors and self.model == "gaussian":
            raise InputError("--mirrors does not go with --model gaussian, a matrix of complex numbers")
        self._check_degree()
        self.recipe()

    def reads(self) -> Reads:
        """Return what is read: nothing."""
        return Reads()

    def _check_degree(self) -> None:
        most = self.nodes // self.components - 1
        if self.degree is not None and not 0 < self.degree <= most:
            raise InputError(f"--degree must be from 0 to {most}, the other nodes of a component", value=self.degree)
        if self.model == "geometric":
            if self.degree is not None and self.degree != int(self.degree):
                raise InputError("--degree must be a whole number of neighbours", value=self.degree)
            if most < 1:
                raise InputError("--model geometric needs two nodes in each component", value=self.nodes)

    def recipe(self) -> GraphRecipe:
        """Return what the graph is made from."""
        size = self.nodes // self.components
        probability = 1.0 if self.edge_probability is None else self.edge_probability
        neighbours = 0
        if self.model == "geometric":
            neighbours = min(DEFAULT_NEIGHBOURS, size - 1) if self.degree is None else int(self.degree)
            # Lambda counts edges per node; a node lists its k nearest, and is listed by as many.
            probability = neighbours / size
        elif self.degree is not None:
            probability = self.degree / (size - 1)
        if self.signal is not None:
            try:
                good = share_of_signal(self.signal, size, probability)
            except InputError:
                most = math.sqrt(size * probability)
                raise InputError(f"--signal must be from 0 to {most:.4g} for this graph", value=self.signal) from None
        else:
            default = 1.0 if self.model in ("adversarial", "gaussian") else DEFAULT_GOOD_SHARE
            good = default if self.good_share is None else self.good_share
        is_gaussian, is_adversarial = self.model == "gaussian", self.model == "adversarial"
        return GraphRecipe(
            nodes=self.nodes,
            model=self.model,
            edge_probability=1.0 if self.model == "geometric" else probability,
            neighbours=neighbours,
            good_share=good,
            jitter_rad=math.radians(self.jitter),
            shift_jitter_px=self.shift_jitter,
            sigma=(DEFAULT_SIGMA if self.sigma is None else self.sigma) if is_gaussian else 0.0,
            wrong_share=(DEFAULT_WRONG_SHARE if self.wrong_share is None else self.wrong_share)
            if is_adversarial
            else 0.0,
            adversary=self.adversary or "block",
            mirrors=self.mirrors,
            components=self.components,
            shift_sd_px=self.shift_sd,
            seed=self.seed,
        )
