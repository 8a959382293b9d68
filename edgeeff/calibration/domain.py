"""Whether the calibration images look to the network like those it was trained on.

Batch normalisation has told what each channel's mean and standard deviation were over the training images
(:mod:`edgeeff.graph.expectations`). A channel's distance from that is the Fréchet distance of two normal
distributions, √((m − μ)² + (s − σ)²), in units of σ; a layer's is the median over its channels, the network's
the median over its layers. Where a clamp follows, only the clamped tensor is observed, and is held against a
clamped normal distribution.

Few images miss the mean by chance: the distance's square grows by about a third divided by their number,
which is taken off again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeeff.calibration import transfer
from edgeeff.calibration.statistics import Statistics
from edgeeff.graph import expectations
from edgeeff.graph.expectations import Expectation

if TYPE_CHECKING:
    import onnx_ir as ir

Vector = npt.NDArray[np.float64]

#: Distances beyond which images cost accuracy, measured on a real B0 (Swish) and Lite0 (ReLU6): 0.1 in the
#: domain; 0.2 for photos of other things, which cost a Swish network a point of accuracy and a clamped one
#: nothing; 0.3 and more for renders, drawings and wrong preprocessing.
UNBOUNDED_LIMIT, CLAMPED_LIMIT = 0.15, 0.25
#: What chance adds to the square of the distance, times the number of images; and how much that varies.
CHANCE, CHANCE_VARIES = 0.33, 0.1
#: Channels whose expected deviation is under this share of the layer's median are switched off: no unit.
_OFF = 1e-2
#: A clamp that leaves less than this share of the deviation leaves nothing to judge by.
_CLAMPED_AWAY = 0.05


@dataclass(frozen=True)
class Expected:
    """What the network expects of the tensors that calibration observes.

    Args:
        tensors: By name; of the clamped tensor where a clamp follows.
        clamped: Whether clamps follow: such networks forgive more.
        places: How many values of a channel each of them has for one image, where the graph says it.
    """

    tensors: Mapping[str, Expectation]
    clamped: bool
    places: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DomainReport:
    """How far the images are from what the network was trained on.

    Args:
        distance: In the network's own standard deviations; None if it was not judged.
        limit: The distance from which it warns.
        layers: The distance of each observed tensor, in the order of the graph.
        not_run: Why it was not judged.
        told_apart: How well the network's head tells the images apart, 0…1, where it was asked
            (:mod:`edgeeff.calibration.transfer`): beyond the limit.
    """

    distance: float | None
    limit: float
    layers: Mapping[str, float]
    not_run: str | None = None
    told_apart: float | None = None

    @property
    def beyond(self) -> bool:
        """Whether the images lie outside what batch normalisation knows."""
        return self.distance is not None and self.distance > self.limit

    @property
    def transfer(self) -> bool:
        """Whether they do, but are what the head was trained on: its backbone was frozen."""
        return self.beyond and transfer.knows(self.told_apart, self.layers)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        if self.distance is None or not self.beyond or self.transfer:
            return ()
        text = (
            f"the calibration images are not what the network was trained on: its activations lie "
            f"{self.distance:.2f} standard deviations from what its batch normalisation expects, "
            f"and {self.limit:.2f} is the most that images of its domain show: calibrate with images of the "
            "kind that it was trained on and will see, and check --size, --mean and --std"
        )
        if transfer.early(self.layers) <= transfer.EARLY:
            text += (
                ". If its backbone was frozen while its head was trained on such images, batch normalisation "
                "remembers what the backbone was trained on before, and the number means no more than that"
            )
        return (text,)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a report."""
        return {
            "distance": self.distance,
            "limit": self.limit,
            "layers": dict(self.layers),
            "not_run": self.not_run,
            "told_apart": self.told_apart,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DomainReport:
        """The reverse of :meth:`to_json`."""
        layers = dict(data["layers"])
        return cls(data["distance"], data["limit"], layers, data["not_run"], data.get("told_apart"))


def expected(model: ir.Model) -> Expected:
    """What the base graph's batch normalisation expects of the tensors that calibration observes."""
    known = expectations.read(model)
    tensors, places, clamps = {}, {}, 0
    for node in model.graph:
        name = str(node.outputs[0].name)
        if name not in known:
            continue
        value = node.outputs[0]
        readers = list(node.outputs[0].consumers())
        if len(readers) == 1 and readers[0].op_type in ("Clip", "Relu"):
            clamps += 1
            value = readers[0].outputs[0]
            tensors[str(value.name)] = _clamped(known[name], *_bounds(readers[0]))
        else:
            tensors[name] = known[name]
        if value.shape is not None and value.shape.is_static():
            places[str(value.name)] = math.prod(value.shape.numpy()[2:])
    return Expected(tensors, clamps > 0, places)


def judge(wanted: Expected, statistics: Statistics) -> DomainReport:
    """Hold the statistics of calibration against what the network expects."""
    most = CLAMPED_LIMIT if wanted.clamped else UNBOUNDED_LIMIT
    layers = {}
    for name, one in wanted.tensors.items():
        found = statistics.get(name)
        if found is None or len(found.mean) != len(one.mean):
            continue
        deviation = np.sqrt(np.maximum(found.second_moment - found.mean**2, 0.0))
        distances = channel_distances(one, found.mean, deviation)
        if len(distances):
            layers[name] = float(np.median(distances))
    if not layers:
        return DomainReport(None, most, {}, "the network came with its batch normalisation folded in")
    # Else by the logits: they are [N, classes], so that theirs is the smallest count.
    known = [statistics[name].count / wanted.places[name] for name in layers if wanted.places.get(name)]
    images = max(1.0, known[0]) if known else min(tensor.count for tensor in statistics.values())
    square = float(np.median(list(layers.values()))) ** 2 - CHANCE / images
    limit = math.sqrt(most**2 + CHANCE_VARIES / images)
    return DomainReport(math.sqrt(max(square, 0.0)), limit, layers)


def channel_distances(wanted: Expectation, mean: Vector, deviation: Vector) -> Vector:
    """How far each channel's mean and standard deviation are off, in units of the expected deviation.

    Channels that are switched off have no such unit and are left out.
    """
    on = wanted.std > _OFF * float(np.median(wanted.std))
    off = np.hypot(mean - wanted.mean, deviation - wanted.std)
    return np.asarray(off[on] / wanted.std[on], np.float64)


def _bounds(clamp: ir.Node) -> tuple[float, float]:
    """Between which values a Clip or Relu leaves its input as it is."""
    from edgeeff.graph.model import constant

    if clamp.op_type == "Relu":
        return 0.0, math.inf
    low, high = (constant(value) for value in [*clamp.inputs[1:3], None, None][:2])
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


def _clamped(wanted: Expectation, low: float, high: float) -> Expectation:
    """Mean and standard deviation of a normal variable clamped to [low, high], in closed form.

    A channel of which the clamp leaves nothing gets a deviation of zero: there is nothing to judge by.
    """
    mean, std = wanted.mean, np.maximum(wanted.std, 1e-12)
    below, density_low, edge_low = _standard(mean, std, low)
    under_high, density_high, edge_high = _standard(mean, std, high)
    inside, above = under_high - below, 1 - under_high
    low, high = (bound if math.isfinite(bound) else 0.0 for bound in (low, high))
    first = low * below + high * above + mean * inside + std * (density_low - density_high)
    second = (
        low**2 * below
        + high**2 * above
        + (mean**2 + std**2) * inside
        + 2 * mean * std * (density_low - density_high)
        + std**2 * (edge_low - edge_high)
    )
    deviation = np.sqrt(np.maximum(second - first**2, 0.0))
    return Expectation(first, np.where(deviation > _CLAMPED_AWAY * wanted.std, deviation, 0.0))


def _standard(mean: Vector, std: Vector, bound: float) -> tuple[Vector, Vector, Vector]:
    """Φ(z), φ(z) and z·φ(z) at the bound, z being in standard deviations."""
    if not math.isfinite(bound):
        return np.full_like(mean, float(bound > 0)), np.zeros_like(mean), np.zeros_like(mean)
    z = np.clip((bound - mean) / std, -40.0, 40.0)
    cumulative = 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-z / math.sqrt(2))
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return cumulative, density, z * density
