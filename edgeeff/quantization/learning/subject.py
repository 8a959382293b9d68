"""What learns, from what, and how fast: as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from edgeeff.graph.execute import Program, prepare
from edgeeff.quantization import sharing
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.draft import Draft, layer_constants
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan


@dataclass(frozen=True)
class Rates:
    """The largest step of each kind, under Adam.

    Args:
        weight: In codes.
        scale: As a share.
        bias: In mean magnitudes of the layer's biases.
    """

    weight: float
    scale: float
    bias: float


@dataclass(frozen=True)
class Learned:
    """What learning found.

    Args:
        activations: By tensor.
        layers: By name.
        before: Error energy of what decides in the outputs on the images kept aside, as a share of the
            signal's.
        after: The same for what is returned.
    """

    activations: Mapping[str, ActivationQuantization]
    layers: Mapping[str, LayerQuantization]
    before: float
    after: float


@dataclass(frozen=True)
class Subject:
    """What learns, and from what.

    Args:
        program: The float graph that the plan is of.
        plan: Where learning starts.
        weights: The float weights of the plan's layers.
        free: The tensors whose scale may change.
        largest: The largest code of a weight.
        deciding: What of the outputs decides; the differences of logits, where nothing else is said.
        ties: Tensors that take the scale of another one: its name, and by what that scale is multiplied.
        leaders: Layers that have the codes of another one: its name.
    """

    program: Program
    plan: Plan
    weights: Mapping[str, Tensor]
    free: Sequence[str]
    largest: int
    deciding: Deciding = field(default_factory=Deciding)
    ties: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    leaders: Mapping[str, str] = field(default_factory=dict)


def subject_of(draft: Draft) -> Subject:
    """A whole draft's plan, whose scales may change where neither the graph nor the user fixes them.

    A tensor that takes another one's scale follows it, and layers that have one set of codes keep one: the
    levels of a detector's pyramid.
    """
    sites, plan = draft.placement.sites, draft.plan()
    ties: dict[str, tuple[str, float]] = {}
    for name in sites:
        root, times = name, 1.0
        while (other := sites[root].scale_of) is not None:
            times *= sites[root].times
            root = other
        if root != name:
            ties[name] = root, times
    return Subject(
        program=prepare(draft.model),
        plan=plan,
        weights={str(node.name): torch.from_numpy(layer_constants(node)[0]) for node in draft.layer_nodes()},
        free=[
            name
            for name, site in sites.items()
            if site.fixed is None and name not in draft.known and name not in draft.given and name not in ties
        ],
        largest=draft.largest,
        deciding=draft.deciding,
        ties=ties,
        leaders=_leaders(draft, plan),
    )


def _leaders(draft: Draft, plan: Plan) -> dict[str, str]:
    """For each layer that shares another one's codes that one; one that has codes of its own is not there."""
    found = {}
    for group in sharing.groups(draft.layer_nodes()):
        first = str(group[0].name)
        for node in group[1:]:
            name = str(node.name)
            if np.array_equal(plan.layers[name].codes, plan.layers[first].codes):
                found[name] = first
    return found
