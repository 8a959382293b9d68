"""Every tensor and layer of a finished draft on held-out images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from torch import Tensor

from edgeeff.calibration.statistics import TensorStatistics
from edgeeff.diagnosis import roles
from edgeeff.diagnosis.findings import Diagnosis, Finding, Group, Histogram, decibels
from edgeeff.graph.execute import Program, prepare
from edgeeff.progress import Progress
from edgeeff.quantization import clipping, detecting, leave_one_out, precision
from edgeeff.quantization.clipping import Clipping
from edgeeff.quantization.draft import Draft, layer_constants
from edgeeff.quantization.leave_one_out import Errors, Part
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization

#: Bars of a histogram.
BARS = 64
#: Of a detector so many tensors and layers are left out by themselves: those that are likely to lose most.
SEPARATE = 24
#: Of the whole error: what is gone without a part, its standard error, and what the part makes alone.
Share = tuple[float, float | None, float]


def examine(draft: Draft, inputs: Sequence[Tensor], progress: Progress) -> Diagnosis:
    """Every tensor and layer of a finished draft, without any advice yet."""
    plan, program = draft.plan(), prepare(draft.model)
    tensors = {name: leave_one_out.tensor(plan, name) for name in plan.activations}
    layers = {name: leave_one_out.weights(name) for name in plan.layers}
    role = roles.of_tensors(draft.model)
    groups = _groups(tensors, layers, role)
    energies = _estimates(draft, program, [*tensors.values(), *layers.values()])
    parts = [*tensors.values(), *layers.values()]
    total = sum(map(len, inputs))
    if energies:
        parts = sorted(parts, key=lambda part: -energies[part])[:SEPARATE]
        progress.stage(f"leaving out {len(parts)} tensors and layers", total)
    else:
        progress.stage(f"leaving out each of {len(tensors)} tensors and {len(layers)} layers", total)
    errors = leave_one_out.measure(
        *(program, plan, [*parts, *groups], inputs, progress.advance),
        meaning=draft.evidence.meaning,
        deciding=draft.deciding,
    )
    shares = _Shares(errors, energies)
    clipped = clipping.measure(program, plan.activations, inputs)
    values = {str(node.outputs[0].name): node.outputs[0] for node in draft.model.graph}
    findings = []
    for name, part in tensors.items():
        equalised = ", equalised" if roles.is_equalised(values.get(name)) else ""
        what = roles.SINGULAR[role[name]] + equalised
        findings.append(_of_tensor(draft, plan.activations[name], name, what, shares.of(part), clipped))
    for node in draft.layer_nodes():
        name = str(node.name)
        findings.append(_of_weights(node, plan.layers[name], shares.of(layers[name])))
    meaning, boxes = draft.evidence.meaning, draft.evidence.meaning.detection is not None
    found = [
        Group(g.name, n, errors.share(g), errors.doubt(g), errors.alone_share(g)) for g, n in groups.items()
    ]
    return Diagnosis(
        model="",
        target="",
        effort="",
        notes=draft.notes,
        images=len(errors.total),
        agreeing=int(errors.agreeing.sum()) if meaning.decides and not boxes else None,
        boxes=boxes,
        sqnr=decibels(errors.signal.sum(), errors.total.sum()),
        findings=tuple(findings),
        groups=tuple(sorted(found, key=lambda group: -group.share)),
        scope=_scope(len(parts), len(tensors) + len(layers), total) if energies else "",
    )


@dataclass(frozen=True)
class _Shares:
    """What parts lose: as it was measured, else as it is estimated.

    Args:
        errors: Of the parts that were left out by themselves.
        energies: Of all parts, to first order; empty: all were left out.
    """

    errors: Errors
    energies: Mapping[Part, float]

    def of(self, part: Part) -> Share:
        if part in self.errors.without:
            return self.errors.share(part), self.errors.doubt(part), self.errors.alone_share(part)
        # The parts that were measured say how much an estimate is worth, all of them together.
        measured = sum(self.errors.alone_share(p) for p in self.energies if p in self.errors.without)
        estimated = sum(energy for p, energy in self.energies.items() if p in self.errors.without)
        alone = self.energies[part] * measured / estimated if estimated > 0 else 0.0
        return alone, None, alone


def _estimates(draft: Draft, program: Program, parts: Sequence[Part]) -> dict[Part, float]:
    """The error of each part alone, to first order; none of a network whose parts are all left out."""
    if len(parts) <= SEPARATE or not detecting.is_detector(program.outputs):
        return {}
    images = precision.enough(draft)
    draft.progress.stage("asking what the outputs make of each part's rounding", images)
    tensors, layers = precision.energies(draft, program, images)
    known = {**{(name, False): e for name, e in tensors.items()}, **{(n, True): e for n, e in layers.items()}}
    weights = {leave_one_out.weights(name) for name in layers}
    return {part: known.get((part.name, part in weights), 0.0) for part in parts}


def _scope(measured: int, parts: int, images: int) -> str:
    return (
        f"a large network: {measured} of {parts} tensors and layers were left out by themselves, on {images} "
        "images; shares of the others (~) are estimated by one backward pass (--images N looks at more)"
    )


def _of_tensor(
    draft: Draft,
    codes: ActivationQuantization,
    name: str,
    what: str,
    share: Share,
    clipped: Mapping[str, Clipping],
) -> Finding:
    """What a tensor loses, what it reached in calibration, and what of the held-out images was cut off."""
    known, seen = draft.evidence.statistics.get(name), clipped.get(name)
    return Finding(
        kind="tensor",
        name=name,
        what=what,
        share=share[0],
        doubt=share[1],
        alone=share[2],
        codes=codes.limits,
        seen=(known.low, known.high) if known else (seen.low, seen.high) if seen else None,
        outside=seen.outside if seen else None,
        expected=_outside(known, codes) if known else None,
        clipping=seen.noise if seen else None,
        use=_use(known, codes.limits) if known else None,
        histogram=_histogram(known) if known else None,
    )


def _of_weights(node: ir.Node, layer: LayerQuantization, share: Share) -> Finding:
    """What a layer's weights lose, and what of them lies outside their codes."""
    weight, _ = layer_constants(node)
    bound = 127 * float(layer.scale.max())
    reach = layer.scale.reshape(-1, *[1] * (weight.ndim - 1)) * 127.5
    return Finding(
        kind="weights",
        name=str(node.name),
        what=roles.of_layer(node),
        share=share[0],
        doubt=share[1],
        alone=share[2],
        codes=(-bound, bound),
        seen=(float(weight.min()), float(weight.max())),
        outside=float((abs(weight) > reach).mean()),
    )


def _groups(
    tensors: Mapping[str, Part], layers: Mapping[str, Part], role: Mapping[str, str]
) -> dict[Part, int]:
    """The tensors of each role as one part, and all weights, with the number of their members."""
    members: dict[str, list[Part]] = defaultdict(list)
    for name, part in tensors.items():
        members[role[name]].append(part)
    members["weights"] = list(layers.values())
    return {leave_one_out.together(name, parts): len(parts) for name, parts in members.items() if parts}


def _outside(known: TensorStatistics, activation: ActivationQuantization) -> float:
    """Share of the values in calibration that lie more than half a step beyond the codes."""
    values, counts, _ = known.pooled()
    low, high = activation.limits
    beyond = (values < low - activation.scale / 2) | (values > high + activation.scale / 2)
    return float(counts[beyond].sum() / max(counts.sum(), 1))


def _use(known: TensorStatistics, codes: tuple[float, float]) -> float:
    """The part of the codes that the median channel reaches."""
    low, high = codes
    span = np.minimum(known.maximum, high) - np.maximum(known.minimum, low)
    return float(np.clip(np.median(span) / (high - low), 0, 1))


def _histogram(known: TensorStatistics) -> Histogram | None:
    if not known.low < known.high:
        return None
    values, counts, _ = known.pooled()
    bars, _ = np.histogram(values, BARS, (known.low, known.high), weights=counts)
    return Histogram(known.low, known.high, tuple(map(float, bars)))
