"""A camera's frames in TFLite: planes of uint8 in, the network's normalised float input out.

Products with the weights of a resize are FULLY_CONNECTED along the last dimension, which XNNPACK computes:
planes stand with their channels before the sides for that. CAST, SLICE of bytes and RESIZE_NEAREST_NEIGHBOR
it leaves to the builtin kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgeeff.backends.tflite.network import Network
from edgeeff.backends.tflite.normalise import normalised
from edgeeff.framing import PREFIX, Framing, Plane, framing
from edgeeff.graph.lowering import VALID, Array, Options, Tensor
from edgeeff.preprocess import Preprocess
from edgeeff.resampling import Block

_RELU = 1  # of the schema's ActivationFunctionType
_BYTES, _FLOATS = 3, 0  # of the schema's TensorType


def frames(network: Network, images: int, preprocess: Preprocess) -> tuple[Mapping[str, Tensor], Tensor]:
    """The model's inputs by name, and the network's input [N, height, width, 3] that is made of them."""
    made = framing(preprocess)
    inputs = {
        plane.name: network.tensor(plane.name, (images, *plane.shape), "uint8") for plane in made.planes
    }
    planes = [_plane(network, inputs[plane.name], plane, made) for plane in made.planes]
    pixels = planes[0]
    if len(planes) > 1:
        shape = (images, *made.size, 3)
        pixels = _joined(network, planes, shape, 3)
    mean, std = (np.asarray(values, np.float64) for values in (preprocess.mean, preprocess.std))
    matrix, added = made.matrix.astype(np.float64), made.added.astype(np.float64)
    as_they_are = np.array_equal(matrix, np.eye(3)) and not added.any()
    if made.rounded and not as_they_are:
        # Colours in their order and the normalisation are one product.
        return inputs, _mixed(network, pixels, matrix / std[:, None], (added - mean) / std)
    if not made.rounded:
        pixels = _mixed(network, pixels, matrix, added, _RELU)
        pixels = _least(network, pixels)
    return inputs, normalised(network, pixels, preprocess.mean, preprocess.std, f"{PREFIX}normalised")


def _plane(network: Network, source: Tensor, plane: Plane, made: Framing) -> Tensor:
    """One plane as float32 [N, height, width, C] of the network's size."""
    images, (height, width, channels) = source.shape[0], plane.shape
    if not plane.down:
        pixels = _cast(network, source)
        if (height, width) == made.size:
            return pixels
        size = network.integers(f"{PREFIX}size", made.size)
        options = Options("ResizeNearestNeighborOptions", {"alignCorners": False, "halfPixelCenters": False})
        wide = network.tensor(f"{PREFIX}{plane.name}/wide", (images, *made.size, channels), "float32")
        return network.add("RESIZE_NEAREST_NEIGHBOR", [pixels, size], wide, options, version=1)
    left, right = plane.across[0].start, plane.across[-1].stop
    top, bottom = plane.down[0].start, plane.down[-1].stop
    shown = source
    if (top, left, bottom, right) != (0, 0, height, width):
        shown = _sliced(network, source, (0, top, left, 0), (images, bottom - top, right - left, channels))
    first = _turned(network, shown, (0, 3, 1, 2))
    wide = _products(network, _cast(network, first), plane.across, left, made.rounded)
    tall = _products(network, _turned(network, wide, (0, 1, 3, 2)), plane.down, top, made.rounded)
    return _turned(network, tall, (0, 3, 2, 1))


def _products(network: Network, values: Tensor, blocks: Sequence[Block], first: int, rounded: bool) -> Tensor:
    """The blocks of one direction, along the last dimension, whose first pixel is number ``first``."""
    parts = []
    for block in blocks:
        shape = (*values.shape[:3], block.stop - block.start)
        some = _sliced(network, values, (0, 0, 0, block.start - first), shape)
        weights = network.tensor(f"{PREFIX}weights", block.weights.shape, "float32", None, block.weights)
        made = network.tensor(f"{PREFIX}resized", (*values.shape[:3], len(block.weights)), "float32")
        options = Options("FullyConnectedOptions", {"keepNumDims": True, "fusedActivationFunction": 0})
        parts.append(network.add("FULLY_CONNECTED", [some, weights], made, options, version=6))
    whole = _joined(network, parts, (*values.shape[:3], sum(part.shape[3] for part in parts)), 3)
    if not rounded:
        return whole
    half = network.tensor(f"{PREFIX}half", (1,), "float32", None, np.array([0.5], np.float32))
    target = network.tensor(f"{PREFIX}shifted", whole.shape, "float32")
    options = Options("AddOptions", {"fusedActivationFunction": _RELU})
    shifted = _least(network, network.add("ADD", [whole, half], target, options))
    return network.add("FLOOR", [shifted], network.tensor(f"{PREFIX}whole", whole.shape, "float32"))


def _mixed(network: Network, pixels: Tensor, matrix: Array, added: Array, activation: int = 0) -> Tensor:
    """A matrix for the three channels of each pixel, and what is added: a 1×1 convolution."""
    weights = np.ascontiguousarray(matrix, np.float32).reshape(3, 1, 1, 3)
    operands = (
        pixels,
        network.tensor(f"{PREFIX}matrix", weights.shape, "float32", None, weights),
        network.tensor(f"{PREFIX}added", (3,), "float32", None, np.asarray(added, np.float32)),
    )
    fields = {"padding": VALID, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options = Options("Conv2DOptions", {**fields, "fusedActivationFunction": activation})
    return network.add(
        "CONV_2D", operands, network.tensor(f"{PREFIX}colours", pixels.shape, "float32"), options
    )


def _least(network: Network, pixels: Tensor) -> Tensor:
    """No value over 255."""
    most = network.tensor(f"{PREFIX}most", (1,), "float32", None, np.array([255], np.float32))
    target = network.tensor(f"{PREFIX}held", pixels.shape, "float32")
    return network.add("MINIMUM", [pixels, most], target, Options("MaximumMinimumOptions"))


def _cast(network: Network, source: Tensor) -> Tensor:
    target = network.tensor(f"{PREFIX}{source.name.removeprefix(PREFIX)}/float", source.shape, "float32")
    return network.add(
        "CAST", [source], target, Options("CastOptions", {"inDataType": _BYTES, "outDataType": _FLOATS})
    )


def _sliced(network: Network, source: Tensor, begin: Sequence[int], shape: Sequence[int]) -> Tensor:
    operands = (
        source,
        network.integers(f"{PREFIX}begin", begin),
        network.integers(f"{PREFIX}sides", shape),
    )
    return network.add(
        "SLICE", operands, network.tensor(f"{PREFIX}part", shape, source.type), Options("SliceOptions")
    )


def _turned(network: Network, source: Tensor, order: Sequence[int]) -> Tensor:
    operands = (source, network.integers(f"{PREFIX}order", order))
    target = network.tensor(f"{PREFIX}turned", [source.shape[i] for i in order], source.type)
    return network.add("TRANSPOSE", operands, target, Options("TransposeOptions"))


def _joined(network: Network, parts: Sequence[Tensor], shape: Sequence[int], axis: int) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    fields = {"axis": axis, "fusedActivationFunction": 0}
    target = network.tensor(f"{PREFIX}joined", shape, "float32")
    return network.add("CONCATENATION", parts, target, Options("ConcatenationOptions", fields))
