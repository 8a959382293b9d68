"""What the layers before the network do to pixels, in their order: a size, a crop, a mean and a std."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import _keras_values
from edgeeff.zoo.formats._keras_graph import Graph, Node

# Arithmetic on pixels, by the names that Keras 3's operations and Keras 2's TFOpLambda have.
_ARITHMETIC = {
    "TrueDivide": "divide", "Divide": "divide", "Multiply": "multiply", "Add": "add", "Subtract": "subtract",
    "math.truediv": "divide", "math.divide": "divide", "__operators__.truediv": "divide",
    "math.multiply": "multiply", "__operators__.mul": "multiply",
    "math.add": "add", "__operators__.add": "add",
    "math.subtract": "subtract", "__operators__.sub": "subtract",
}  # fmt: skip
_OPERANDS = (0, 1, "x1", "x2", "x", "y")
_FILTERS = ("bilinear", "bicubic")
_RGB, _CHANNELS = 3, (1, 3, 4)
#: What a mean and a std may be, on pixels of 0…255: float32 keeps six digits within it.
_LARGEST = 1e8
#: Pixels that become this little, counted between black and white, come of a scale that stands twice.
_SMALLEST_SPAN = 0.02


@dataclass(frozen=True)
class Affine:
    """Each channel's ``scale · x + offset``, on pixels of 0…255."""

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)

    def spread(self, numbers: tuple[float, ...]) -> tuple[float, ...]:
        """A number for each channel, from one number or from as many; raises ValueError otherwise."""
        if len(numbers) not in (1, len(self.scale)):
            raise ValueError
        return numbers * (len(self.scale) // len(numbers))

    def then(self, scale: tuple[float, ...], offset: tuple[float, ...]) -> Affine:
        """With another one after it; one number is for all channels."""
        scale, offset = self.spread(scale), self.spread(offset)
        return Affine(
            tuple(a * s for a, s in zip(self.scale, scale, strict=True)),
            tuple(b * s + o for b, s, o in zip(self.offset, scale, offset, strict=True)),
        )

    def normalised(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Affine:
        """With ``(x - mean) / deviation`` after it."""
        scale = tuple(1 / value for value in deviation)
        return self.then(scale, tuple(-m * s for m, s in zip(mean, scale, strict=True)))

    def preprocess(self) -> dict[str, Any]:
        """As mean and std; raises ValueError if they are not finite, not positive or beyond all sense."""
        pairs = list(zip(self.scale, self.offset, strict=True))
        if not all(math.isfinite(a) and math.isfinite(b) and a > 1 / _LARGEST for a, b in pairs):
            raise ValueError
        mean, std = tuple(0.0 - b / a for a, b in pairs), tuple(1 / a for a, _ in pairs)
        if any(abs(value) > _LARGEST for value in mean):
            raise ValueError
        return {"mean": mean, "std": std}


@dataclass(frozen=True)
class Pixels:
    """What reaches the network.

    Args:
        preprocess: ``mean`` and ``std`` on pixels of 0…255, and where the model says them ``size`` (height,
            width), ``crop``, ``interpolation`` and ``squash``.
        size: Of the images that the network gets, None if any.
        names: The layers on the way.
        warnings: What the user should look at.
    """

    preprocess: dict[str, Any]
    size: tuple[int, int] | None
    names: frozenset[str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Image:
    """Where an image stands on its way to the network."""

    steps: Affine = Affine()
    size: tuple[int, int] | None = None
    kept: tuple[float, float] = (1.0, 1.0)  # of the photo's height and width
    resized: Node | None = None


def read(graph: Graph, end: int, tensors: Mapping[str, Tensor], origin: str) -> Pixels:
    """The layers from the model's input to a node.

    Args:
        graph: The model's.
        end: The node whose output the network reads.
        tensors: Where an adapted Normalization keeps its mean and variance, by ``<layer>/<variable>``.
        origin: Names the file in messages.

    Raises:
        CheckpointError: A layer changes pixels in a way that is no size, crop, mean and std.
    """
    nodes: list[Node] = []
    here: int | None = end
    while here is not None:
        node = graph.nodes[here]
        if len(node.inputs) > 1:
            _refuse(node, origin)
        nodes.insert(0, node)
        here = node.inputs[0] if node.inputs else None
    image = _Image()
    for node in nodes:
        try:
            image = _step(image, node, tensors)
        except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, OverflowError):
            _refuse(node, origin)
    return _pixels(image, nodes, origin)


def _step(image: _Image, node: Node, tensors: Mapping[str, Tensor]) -> _Image:
    """An image after one layer; raises ValueError or the like if it cannot be said so."""
    config, kind = node.config, node.kind
    if kind == "InputLayer":
        size, channels = _input(config)
        return replace(image, size=size, steps=Affine((1.0,) * channels, (0.0,) * channels))
    if _keras_values.idle(node):
        return image
    if kind == "Rescaling":
        scale, offset = (_keras_values.numbers(config.get(key, 0.0)) for key in ("scale", "offset"))
        return replace(image, steps=_sane(image.steps.then(scale, offset)))
    if kind == "Normalization" and not config.get("invert"):
        own = {part: tensors[f"{node.name}/{part}"] for part in ("mean", "variance")
               if f"{node.name}/{part}" in tensors}  # fmt: skip
        mean, deviation = map(image.steps.spread, _keras_values.moments(config, own))
        return replace(image, steps=_sane(image.steps.normalised(mean, deviation)))
    operation = _ARITHMETIC.get(str(config.get("function")) if kind == "TFOpLambda" else kind)
    if operation is not None:
        return replace(image, steps=_sane(image.steps.then(*_arithmetic(operation, node))))
    if kind == "Resizing" and not config.get("pad_to_aspect_ratio"):
        size = int(config["height"]), int(config["width"])
        if image.resized is not None or config.get("interpolation", "bilinear") not in _FILTERS:
            raise ValueError
        return replace(image, size=size, resized=node)
    if kind == "CenterCrop":
        size = int(config["height"]), int(config["width"])
        if image.size is None or size[0] > image.size[0] or size[1] > image.size[1]:
            raise ValueError
        kept = tuple(k * s / own for k, s, own in zip(image.kept, size, image.size, strict=True))
        return replace(image, size=size, kept=(kept[0], kept[1]))
    raise ValueError


def _sane(steps: Affine) -> Affine:
    steps.preprocess()
    return steps


def _pixels(image: _Image, nodes: list[Node], origin: str) -> Pixels:
    found = image.steps.preprocess()
    warnings = []
    if image.size is not None:
        found["size"] = image.size
    if image.kept != (1.0, 1.0):
        crop = next(node for node in nodes if node.kind == "CenterCrop")
        if not math.isclose(*image.kept, rel_tol=1e-6):
            _refuse(crop, origin)
        found["crop"] = image.kept[0]
    if image.resized is not None:
        config = image.resized.config
        found["squash"] = config.get("crop_to_aspect_ratio") is not True
        found["interpolation"] = config.get("interpolation", "bilinear")
        warnings.append(
            f"the model resizes images itself, in its layer {image.resized.shown}: here preprocessing does, "
            "with antialiasing, from the photo straight to that size, and the built network begins after it"
        )
    span = min(255 / std for std in found["std"])
    if span < _SMALLEST_SPAN:
        scaling = [node.shown for node in nodes if node.kind in ("Rescaling", "TrueDivide", "Normalization")]
        warnings.append(
            f"the model's own layers leave pixels only {span:.2g} between black and white: does a scale "
            f"stand twice ({', '.join(scaling)})? It is computed as the file says"
        )
    return Pixels(found, image.size, frozenset(node.name for node in nodes), tuple(warnings))


def _arithmetic(operation: str, node: Node) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """An operation with a constant as scale and offset."""
    given = [(place, node.constants[place]) for place in _OPERANDS if place in node.constants]
    if len(given) != 1:
        raise ValueError
    place, value = given[0]
    numbers, one, none = _keras_values.numbers(value), (1.0,), (0.0,)
    if operation == "multiply":
        return numbers, none
    if operation == "add":
        return one, numbers
    if place in (0, "x1", "x"):  # the constant comes first
        if operation == "divide":
            raise ValueError
        return (-1.0,), numbers
    if operation == "divide":
        return tuple(1 / number for number in numbers), none
    return one, tuple(-number for number in numbers)


def _input(config: Mapping[str, Any]) -> tuple[tuple[int, int] | None, int]:
    """Height and width of a model's images, None where it takes any; and their channels."""
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if shape is None:
        return None, _RGB
    _, *sides = _keras_values.listed(shape)
    if len(sides) != 3:
        raise ValueError
    first = sides[0] in _CHANNELS and sides[2] not in _CHANNELS
    channels = sides.pop(0 if first else 2)
    if channels not in _CHANNELS:
        raise ValueError
    known = all(type(side) is int and side > 0 for side in sides)
    return (sides[0], sides[1]) if known else None, channels


def _refuse(node: Node, origin: str) -> NoReturn:
    raise CheckpointError(
        f"{origin}: the layer {node.shown} stands before the network, and what it does to pixels cannot "
        "be kept",
        mend="save the model with that step as Rescaling, Normalization, Resizing or CenterCrop layers, or "
        "without it",
    )
