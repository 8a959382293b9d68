"""A plan in the making: what each step of a recipe reads and what it has decided so far."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from torch import Tensor

from edgeeff.cache import Cache
from edgeeff.calibration.statistics import Statistics
from edgeeff.errors import CalibrationError, OptionError
from edgeeff.graph.model import FloatArray, constant
from edgeeff.graph.operators import traits
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, Silent
from edgeeff.quantization import ranges
from edgeeff.quantization.centring import Deciding, deciding
from edgeeff.quantization.gptq_layers import Original
from edgeeff.quantization.placement import Placement, place
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan
from edgeeff.quantization.rewrites import swish_polynomial
from edgeeff.target import Scheme
from edgeeff.tasks import Meaning

F64 = npt.NDArray[np.float64]

#: The calibration images as inputs of the graph, float32 [N, 3, H, W], in batches: the first ``n`` of them.
Batches = Callable[[int], Iterator[Tensor]]


@dataclass(frozen=True)
class Evidence:
    """What is known of a graph's tensors.

    Args:
        statistics: Of each tensor over the calibration images.
        batches: The images themselves, for the steps that look at activations.
        gain: What the outputs make of noise on each channel of each tensor (sensitivity.py); called by the
            steps that want it, as it costs a look at some images.
        images: How many there are; None: not known.
        meaning: What the graph's outputs mean.
        spread: As ``batches``, but images from all over the set instead of the first ones; None: those.
        original: The network that targets are made from, with what they share; None: this graph alone.
    """

    statistics: Statistics
    batches: Batches | None = None
    gain: Callable[[], Mapping[str, F64]] = dict
    images: int | None = None
    meaning: Meaning = field(default_factory=Meaning)
    spread: Batches | None = None
    original: Original | None = None


@dataclass(frozen=True)
class Draft:
    """A graph and the decisions about it. Steps return another draft and leave theirs as it is.

    Args:
        model: The float graph; a step may rewrite it.
        evidence: About the tensors of this graph.
        preprocess: What fixes the input's range.
        scheme: What the runtime wants.
        largest: The largest code of a weight.
        given: Ranges that the user brought, by tensor.
        floating: Layers that stay float.
        activations: Decided so far, by tensor.
        layers: Decided so far.
        notes: What steps did, for the plan.
        progress: Told of long work.
        cache: Where long work keeps how far it came; None: nowhere.
    """

    model: ir.Model
    evidence: Evidence
    preprocess: Preprocess
    scheme: Scheme
    largest: int
    given: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    floating: frozenset[str] = frozenset()
    activations: Mapping[str, ActivationQuantization] = field(default_factory=dict)
    layers: Mapping[str, LayerQuantization] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Silent)
    cache: Cache | None = None

    @cached_property
    def placement(self) -> Placement:
        """Which tensors and layers are quantised."""
        return place(self.model, self.scheme, self.floating)

    @cached_property
    def known(self) -> Mapping[str, ActivationQuantization]:
        """The tensors whose range no image can leave."""
        inputs = ranges.known_inputs(str(self.model.graph.inputs[0].name), self.preprocess, self.scheme)
        return {**ranges.known_constants(self.model, self.scheme, self.placement.sites), **inputs}

    @cached_property
    def deciding(self) -> Deciding:
        """What decides in the graph's outputs."""
        return deciding(self.model, self.evidence.statistics, self.evidence.meaning.exclusive)

    @property
    def bounded(self) -> bool:
        """Whether the network's activation has an upper bound: ReLU6, not Swish."""
        return is_bounded(self.model)

    def layer_nodes(self) -> Iterator[ir.Node]:
        """The layers that are quantised, in the order of the graph."""
        return (node for node in self.model.graph if node.name in self.placement.layers)

    def images(self, count: int) -> Iterator[Tensor]:
        """The first calibration images, in batches.

        Raises:
            CalibrationError: There are none.
        """
        if self.evidence.batches is None:
            raise CalibrationError(
                "this recipe looks at activations, and there are no images",
                mend="pass images, or choose --effort fast",
            )
        return self.evidence.batches(count)

    def spread_images(self, count: int) -> Iterator[Tensor]:
        """So many calibration images from all over the set, in batches.

        Raises:
            CalibrationError: There are none.
        """
        return self.evidence.spread(count) if self.evidence.spread else self.images(count)

    def need(self, step: str, *, ranges: bool = False, weights: bool = False) -> None:
        """Refuse a step that comes before what it builds on.

        Raises:
            OptionError: Ranges or weights are not decided.
        """
        if ranges and not set(self.placement.sites) <= set(self.activations):
            raise OptionError(f"step {step} comes before the ranges", mend="put a step ranges before it")
        if weights and not set(self.placement.layers) <= set(self.layers):
            raise OptionError(f"step {step} comes before the weights", mend="put a step round before it")

    def plan(self) -> Plan:
        """What was decided, for the quantised graph to be written from.

        Raises:
            OptionError: The recipe left something undecided.
        """
        undecided = [name for name in self.placement.sites if name not in self.activations]
        undecided += [name for name in self.placement.layers if name not in self.layers]
        if undecided:
            raise OptionError(
                f"the recipe decides nothing of {', '.join(undecided[:3])}",
                mend="it needs at least the steps ranges and round",
            )
        return Plan(
            scheme=self.scheme.name,
            activations=self.activations,
            readers={name: site.readers for name, site in self.placement.sites.items()},
            layers=self.layers,
            outputs=tuple(name for name, site in self.placement.sites.items() if site.output),
            floating=self.placement.floating,
            arithmetic=swish_polynomial.written(self.model) if self.scheme.swish_form == "polynomial" else (),
            notes=self.notes,
        )


def is_bounded(model: ir.Model) -> bool:
    """Whether a network's activation has an upper bound: ReLU6, not Swish."""
    return not any(node.op_type in ("Swish", "Sigmoid", "HardSwish") for node in model.graph)


def layer_constants(node: ir.Node) -> tuple[FloatArray, FloatArray]:
    """Weight [C, …] and bias [C] of a convolution or fully connected layer; no bias is a bias of zeros."""
    weight = constant(node.inputs[1])
    assert weight is not None, f"{node.name}: the weights are not constant"
    offset = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    bias = np.zeros(len(weight)) if offset is None else offset
    return np.asarray(weight, np.float32), np.asarray(bias, np.float32)


def groups_of(node: ir.Node) -> int:
    """A layer's groups; 1 for a fully connected layer."""
    return node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1


def source_of(node: ir.Node, sites: Container[str] = ()) -> str:
    """The tensor by whose codes a layer reads: its input, or what that was chosen from.

    Args:
        node: The layer.
        sites: The tensors that are quantised; with none, the farthest that it can be.
    """
    value = node.inputs[0]
    assert value is not None
    while value.name not in sites and (before := value.producer()) is not None:
        if not traits(before).selects(before) or before.inputs[0] is None:
            break
        value = before.inputs[0]
    assert value.name is not None
    return value.name


def read_by(node: ir.Node) -> str:
    """The tensor that has the statistics of what a layer reads; a classifier reads it through Flatten."""
    value = node.inputs[0]
    assert value is not None
    producer = value.producer()
    if producer is not None and traits(producer).view:
        value = producer.inputs[0]
    assert value is not None and value.name is not None
    return value.name
