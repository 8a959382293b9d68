"""GPTQ's codes of all layers of a draft, each found once in a build.

What a layer of the network reads is the same for every target, but for a factor of each channel where a step
has scaled it: H is that of the network before any target changed it (:class:`Original`), multiplied by the
factors. Layers with the same weights, scales and H get the same codes, so that a second target looks at no
image for them. A layer that reads something else, as a stem that takes raw pixels, is rounded by its own
graph's H.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.calibration.statistics import Statistics
from edgeeff.graph.model import FloatArray
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import gptq, hessian, sharing
from edgeeff.quantization.gptq import Codes
from edgeeff.quantization.rewrites.equalise import SUFFIX

F64 = npt.NDArray[np.float64]
Batches = Callable[[int], Iterator[Tensor]]


@dataclass(frozen=True)
class Original:
    """The network before any target changed it.

    Args:
        load: Gives its graph and the statistics of its tensors.
        batches: The first so many images, as inputs of it.
        codes: What was found in this build, by all that it was made from.
        lock: Of whoever looks for codes.
    """

    load: Callable[[], tuple[ir.Model, Statistics]]
    batches: Batches
    codes: dict[str, Codes] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class Layer:
    """A layer to be rounded.

    Args:
        node: Of the draft's graph.
        source: The tensor that it reads.
        weight: Float, [O, …].
        scale: [O].
    """

    node: ir.Node
    source: str
    weight: FloatArray
    scale: FloatArray

    @property
    def name(self) -> str:
        """The node's."""
        return str(self.node.name)


@dataclass(frozen=True)
class Rounding:
    """How the layers of a graph are rounded.

    Args:
        model: The float graph.
        statistics: Of its tensors.
        batches: The first so many images, as inputs of it.
        images: How many are looked at.
        largest: The largest code.
        begin: Called where they are about to be looked at.
        advance: Told how many were.
    """

    model: ir.Model
    statistics: Statistics
    batches: Batches
    images: int
    largest: int
    begin: Callable[[], None] = lambda: None
    advance: Callable[[int], None] = lambda _: None

    def codes(self, layers: Sequence[Layer], original: Original | None = None) -> dict[str, Codes]:
        """The codes of some layers, by their names.

        Args:
            layers: In the order of the graph.
            original: The network before; None: all layers are rounded by their own graph's H.
        """
        if original is None:
            return self._found(layers, self.model, self.batches, {})
        with original.lock:
            model, statistics = original.load()
            origins = self._origins(layers, statistics)
            keys = self._keys(layers, origins)
            missing = [layer for layer in layers if keys.get(layer.name) not in original.codes]
            before = [layer for layer in missing if layer.name in origins]
            own = [layer for layer in missing if layer.name not in origins]
            made = self._found(before, model, original.batches, origins)
            made |= self._found(own, self.model, self.batches, {})
            original.codes.update({keys[layer.name]: made[layer.name] for layer in before})
            return {
                layer.name: made[layer.name] if layer.name in made else original.codes[keys[layer.name]]
                for layer in layers
            }

    def _origins(self, layers: Sequence[Layer], before: Statistics) -> dict[str, _Origin]:
        """What the layers read in the network as it was, but for those that read something else.

        Layers with one set of codes are rounded by what all of them read: they are known together or not.
        """
        found = {layer.name: _origin(layer.source, self.statistics, before) for layer in layers}
        for group in sharing.groups(layer.node for layer in layers):
            if any(found[str(node.name)] is None for node in group):
                found.update(dict.fromkeys((str(node.name) for node in group), None))
        return {name: origin for name, origin in found.items() if origin is not None}

    def _keys(self, layers: Sequence[Layer], origins: Mapping[str, _Origin]) -> dict[str, str]:
        """All that the codes of each layer whose origin is known depend on, in one network and its images."""
        groups = sharing.groups(layer.node for layer in layers)
        together = {str(node.name): [str(n.name) for n in group] for group in groups for node in group}
        known = (layer for layer in layers if layer.name in origins)
        return {layer.name: self._key(layer, together[layer.name], origins) for layer in known}

    def _key(self, layer: Layer, together: Sequence[str], origins: Mapping[str, _Origin]) -> str:
        seen = hashlib.sha256(repr((self.images, self.largest, layer.weight.shape)).encode())
        attributes = sorted((name, str(value)) for name, value in layer.node.attributes.items())
        seen.update(repr((layer.name, attributes)).encode())
        for name in together:
            seen.update(origins[name].tensor.encode() + origins[name].factor.tobytes())
        seen.update(layer.weight.tobytes() + layer.scale.tobytes())
        return seen.hexdigest()

    def _found(
        self, layers: Sequence[Layer], model: ir.Model, batches: Batches, origins: Mapping[str, _Origin]
    ) -> dict[str, Codes]:
        """The codes by the H of a graph; what layers read are multiples of its tensors, by ``origins``."""
        by_name = {layer.name: layer for layer in layers}
        sources = {
            name: origins[name].tensor if name in origins else layer.source for name, layer in by_name.items()
        }
        found: dict[str, Codes] = {}
        for group in hessian.turns([layer.node for layer in layers]):
            self.begin()
            sums = hessian.collect(model, group, sources, batches(self.images), self.advance)
            for name, origin in origins.items():
                if name in sums:
                    sums[name] = origin.scaled(sums[name])
            _add_up(sums, group)
            found.update(side_by_side(partial(self._rounded, sums), [by_name[str(n.name)] for n in group]))
        return found

    def _rounded(self, sums: dict[str, Tensor], layer: Layer) -> tuple[str, Codes]:
        depthwise = layer.node.op_type == "Conv" and layer.node.attributes.get_int("group", 1) > 1
        by = gptq.round_depthwise if depthwise else gptq.round_dense
        return layer.name, by(layer.weight, layer.scale, sums.pop(layer.name), self.largest)


@dataclass(frozen=True)
class _Origin:
    """A tensor of the network as it was, and what its channels are multiplied by, [C]."""

    tensor: str
    factor: F64

    def scaled(self, sums: Tensor) -> Tensor:
        """H of the multiples."""
        factor = torch.from_numpy(self.factor)
        if sums.dim() == 3:  # depthwise: one H for each channel
            return sums * factor.square()[:, None, None]
        factor = factor.repeat_interleave(len(sums) // len(factor))
        return sums * factor[:, None] * factor


def _origin(tensor: str, after: Statistics, before: Statistics) -> _Origin | None:
    """Of what a tensor is a multiple, by its statistics; None where they are not those of a multiple."""
    name = tensor if tensor in before else tensor.removesuffix(SUFFIX)
    one, other = before.get(name), after.get(tensor)
    if one is None or other is None or one.channels != other.channels or one.count != other.count:
        return None
    factor = other.edge / one.edge
    near = np.allclose(other.mean, one.mean * factor, rtol=1e-9, atol=0)
    return _Origin(name, factor) if near and np.array_equal(one.histogram, other.histogram) else None


def _add_up(sums: dict[str, Tensor], nodes: Sequence[ir.Node]) -> None:
    """Let the layers of a group with one set of codes be rounded by what all of them read."""
    for group in sharing.groups(nodes):
        if len(group) > 1:
            total = torch.stack([sums[str(node.name)] for node in group]).sum(0)
            sums.update(dict.fromkeys((str(node.name) for node in group), total))
