"""Which layers would be worth the runtime's float type: what each gains, and what it costs.

The gain is predicted from one pass. A tensor's rounding noise, measured channel by channel, times what the
outputs make of noise there (sensitivity.py) is the error it adds; half of it goes when one of its two readers
stays float. Weights likewise, by the variance of what they read. For the few that promise most the prediction
is replaced by the exact figure: the error of the whole network, simulated with that layer alone left float.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.errors import OptionError
from edgeeff.graph.execute import Program, outputs_of, prepare, rows
from edgeeff.graph.model import constant
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import detecting, sensitivity, simulate
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.draft import F64, Draft, groups_of, layer_constants, read_by
from edgeeff.quantization.placement import place
from edgeeff.quantization.plan import Plan
from edgeeff.quantization.roles import is_layer

#: Images of the calibration part that are looked at.
IMAGES = 16
#: Of a detector so many that all of them together take these multiply-adds, but some at least.
LOOKED_AT, FEWEST = 12e9, 4
#: Layers whose gain is asked of the simulator.
CONFIRMED = 8
#: A layer in float moves its tensors at four times the bytes. Moving an element costs as much as so many
#: multiply-adds: what makes a depthwise convolution's nine of them a small part of its time.
ELEMENT = 8


@dataclass(frozen=True)
class Candidate:
    """A layer that could stay float.

    Args:
        layer: Its name.
        gain: The share of the outputs' error that would go, 0…1.
        cost: Its share of the network's work.
    """

    layer: str
    gain: float
    cost: float


def layer_names(model: ir.Model) -> list[str]:
    """All convolutions and fully connected layers, in the order of the graph."""
    return [str(node.name) for node in model.graph if is_layer(node)]


def matching(patterns: Collection[str], layers: Collection[str]) -> frozenset[str]:
    """The layers that a user names: by name, by the start of one up to a dot, or by ``*`` and ``?``.

    Raises:
        OptionError: A pattern names none.
    """
    found: set[str] = set()
    for pattern in patterns:
        named = {n for n in layers if fnmatchcase(n, pattern) or n.startswith(f"{pattern}.")}
        if not named:
            near = get_close_matches(pattern, layers, n=3, cutoff=0.3) or list(layers)[:3]
            raise OptionError(
                f"--keep-float: no layer {pattern!r}",
                mend=f"the nearest are {', '.join(near)}; * stands for all",
            )
        found |= named
    return frozenset(found)


def work(model: ir.Model) -> dict[str, float]:
    """Each layer's share of the network's work: multiply-adds, and the elements it reads and writes."""
    found = {}
    for node in model.graph:
        if is_layer(node):
            weight = constant(node.inputs[1])
            source, output = node.inputs[0], node.outputs[0]
            assert weight is not None and source is not None
            written = _elements(output)
            products = written * weight[0].size
            found[str(node.name)] = float(products + ELEMENT * (written + _elements(source)))
    total = sum(found.values())
    return {name: value / total for name, value in found.items()}


def multiply_adds(model: ir.Model) -> dict[str, float]:
    """Each layer's share of the network's multiply-adds."""
    found = _products(model)
    total = sum(found.values())
    return {name: value / total for name, value in found.items()}


def _products(model: ir.Model) -> dict[str, float]:
    """Each layer's multiply-adds."""
    found = {}
    for node in model.graph:
        if is_layer(node):
            weight = constant(node.inputs[1])
            assert weight is not None
            found[str(node.name)] = float(_elements(node.outputs[0]) * weight[0].size)
    return found


def kept(draft: Draft, floating: Collection[str]) -> Plan:
    """A finished draft's plan, but that some more layers stay float."""
    plan = draft.plan()
    placement = place(draft.model, draft.scheme, {*draft.floating, *floating})
    return replace(
        plan,
        activations={name: plan.activations[name] for name in placement.sites},
        readers={name: site.readers for name, site in placement.sites.items()},
        layers={name: plan.layers[name] for name in placement.layers},
        outputs=tuple(name for name, site in placement.sites.items() if site.output),
        floating=placement.floating,
    )


def simulated(program: Program, plan: Plan, images: Tensor) -> dict[str, Tensor]:
    """The outputs of a plan by their names, batch first."""
    outputs = outputs_of(program, images, read=simulate.reader(plan))
    return simulate.outputs(plan, outputs)


def drafted(draft: Draft, floating: Collection[str]) -> Draft:
    """A finished draft, but that some more layers stay float: what :func:`kept` plans, to be written."""
    plan = kept(draft, floating)
    names = frozenset({*draft.floating, *floating})
    return replace(draft, floating=names, activations=plan.activations, layers=plan.layers)


def candidates(draft: Draft, images: int | None = None, confirmed: int | None = None) -> list[Candidate]:
    """The quantised layers, those first that gain most for their cost.

    Args:
        draft: Finished; with calibration images.
        images: How many of them are looked at; None: IMAGES, fewer of a large detector.
        confirmed: For how many layers the gain is asked of the simulator; None: CONFIRMED.
    """
    confirmed = CONFIRMED if confirmed is None else confirmed
    images = images or enough(draft)
    program = prepare(draft.model)
    draft.progress.stage("asking what each layer's rounding costs", total=images * (confirmed + 2))
    predicted = _predicted(draft, program, images)
    of_float = partial(_reference, draft, program)
    references = list(side_by_side(of_float, draft.images(images), sensitivity.abreast(program)))
    plain = _error(draft, program, (), images, references)
    total = max(sum(predicted.values()), 1e-300)
    gains = {layer: value / total for layer, value in predicted.items()}
    for layer in sorted(gains, key=lambda name: -gains[name])[:confirmed]:
        gains[layer] = 1 - _error(draft, program, (layer,), images, references) / max(plain, 1e-300)
    cost = work(draft.model)
    found = [Candidate(layer, gain, cost[layer]) for layer, gain in gains.items()]
    return sorted(found, key=lambda c: -c.gain / c.cost)


def enough(draft: Draft) -> int:
    """How many images are looked at, where each costs several passes."""
    if not detecting.is_detector([str(value.name) for value in draft.model.graph.outputs]):
        return IMAGES
    most = int(LOOKED_AT / max(sum(_products(draft.model).values()), 1.0))
    return min(IMAGES, max(FEWEST, most))


def _reference(draft: Draft, program: Program, images: Tensor) -> tuple[Deciding, Tensor]:
    """What decides in the float network's outputs, and how that is found in others of the same images."""
    outputs = outputs_of(program, images)
    of_outputs = draft.deciding.by(outputs)
    return of_outputs, of_outputs(outputs)


def _error(
    draft: Draft,
    program: Program,
    floating: Collection[str],
    images: int,
    references: Sequence[tuple[Deciding, Tensor]],
) -> float:
    """Energy of the error of what decides in the outputs, by simulation."""
    plan, energy = kept(draft, floating), 0.0

    def look(part: tuple[Tensor, tuple[Deciding, Tensor]]) -> tuple[int, float]:
        batch, (of_outputs, reference) = part
        difference = (of_outputs(simulated(program, plan, batch)) - reference).double()
        return len(batch), float(difference.square().sum())

    parts = zip(draft.images(images), references, strict=True)
    for count, found in side_by_side(look, parts, sensitivity.abreast(program)):
        energy += found
        draft.progress.advance(count)
    return energy


def _predicted(draft: Draft, program: Program, images: int) -> dict[str, float]:
    """The energy of the outputs' error that each quantised layer alone would take away by staying float."""
    noise, weights = energies(draft, program, images)
    sites = draft.placement.sites
    found = {}
    for node in draft.layer_nodes():
        name = str(node.name)
        left = place(draft.model, draft.scheme, {*draft.floating, name}).sites
        found[name] = weights[name]
        for tensor, energy in noise.items():
            readers = len(sites[tensor].readers)
            still = len(left[tensor].readers) if tensor in left else 0
            found[name] += energy * (readers - still) / max(readers, 1)
    return found


def energies(draft: Draft, program: Program, images: int) -> tuple[dict[str, float], dict[str, float]]:
    """The energy of the outputs' error that each tensor's rounding adds alone, and each layer's weights'.

    To first order, by one backward pass over some calibration images.
    """
    gain = sensitivity.measure(
        program, draft.images(images), draft.progress.advance, deciding=draft.deciding
    ).gain
    noise = {name: float(gain[name] @ e) for name, e in _noise(draft, program, images).items()}
    return noise, {str(node.name): _weight_noise(draft, node, gain) for node in draft.layer_nodes()}


def _noise(draft: Draft, program: Program, images: int) -> dict[str, F64]:
    """What rounding adds to each channel of each quantised tensor: mean square, [C]."""
    sums: dict[str, Tensor] = {}
    count = 0

    def look(batch: Tensor) -> tuple[int, dict[str, Tensor]]:
        found: dict[str, Tensor] = {}

        def observe(name: str, value: Tensor) -> None:
            quantization = draft.activations.get(name)
            if quantization is not None:
                e = rows(simulate.fake_quantise(value, quantization) - value)
                found[name] = e.double().square().mean(2).sum(0)

        outputs_of(program, batch, observe)
        return len(batch), found

    for size, found in side_by_side(look, draft.images(images), sensitivity.abreast(program)):
        count += size
        for name, energy in found.items():
            sums[name] = sums.get(name, torch.zeros(1)) + energy
    return {name: (total / count).numpy() for name, total in sums.items()}


def _weight_noise(draft: Draft, node: ir.Node, gain: Mapping[str, F64]) -> float:
    """Energy at the outputs of what rounding a layer's weights adds, its mean corrected by the bias."""
    layer = draft.layers[str(node.name)]
    weight, _ = layer_constants(node)
    change = np.square(simulate.weights_of(layer).numpy().astype(np.float64) - weight)
    change = change.reshape(*change.shape[:2], -1).sum(2)  # [C, inputs of a group]
    source = draft.evidence.statistics[read_by(node)]
    variance = np.maximum(source.second_moment - np.square(source.mean), 0.0)
    read = variance.reshape(groups_of(node), -1).repeat(len(change) // groups_of(node), axis=0)
    return float(gain[str(node.outputs[0].name)] @ (change * read).sum(1))


def _elements(value: ir.Value) -> int:
    assert value.shape is not None
    return math.prod(d for d in value.shape if isinstance(d, int))
