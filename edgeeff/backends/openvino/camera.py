"""A camera's frames in OpenVINO: planes of uint8 in, the network's normalised input out, all in float32.

Operators of our own rather than the PrePostProcessor's: its NV12 knows BT.601 of limited range alone, and its
resize either does not filter (97 of 100 answers of Lite0 stay as they were) or takes 20 ms for a frame of
1280×720.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from edgeeff.backends import Emission
from edgeeff.framing import PREFIX, Framing, Plane, framing
from edgeeff.resampling import Block


def with_frames(model: Any, emission: Emission) -> Any:
    """The model with a camera's frames [N, H, W, C] in place of its normalised input [N, 3, H, W]."""
    made = framing(emission.preprocess)
    (source,) = model.get_parameters()
    images = source.get_partial_shape()[0]
    parameters, planes = [], []
    for plane in made.planes:
        parameter = ops.parameter(ov.PartialShape([images, *plane.shape]), ov.Type.u8, name=plane.name)
        parameter.output(0).get_tensor().set_names({plane.name})
        parameter.set_layout(ov.Layout("NHWC"))
        parameters.append(parameter)
        planes.append(_plane(parameter, plane, made))
    pixels = planes[0] if len(planes) == 1 else ops.concat(planes, 1)
    if not np.array_equal(made.matrix, np.eye(3)):
        pixels = _coloured(pixels, made.matrix, made.added)
    if not made.rounded:
        pixels = ops.clamp(pixels, 0.0, 255.0)
    mean, std = (
        np.asarray(v, np.float32).reshape(1, 3, 1, 1)
        for v in (emission.preprocess.mean, emission.preprocess.std)
    )
    pixels = ops.multiply(ops.subtract(pixels, _constant(mean)), _constant(1 / std))
    name = source.output(0).get_any_name()
    for reader in list(source.output(0).get_target_inputs()):
        reader.replace_source_output(pixels.output(0))
    found = ov.Model(model.outputs, parameters, model.get_friendly_name())
    _named(pixels, name)
    return found


def names(model: Any) -> frozenset[str]:
    """The operators that :func:`with_frames` put before the network."""
    found = (node.get_friendly_name() for node in model.get_ordered_ops())
    return frozenset(name for name in found if name.startswith(PREFIX))


def _plane(parameter: Any, plane: Plane, made: Framing) -> Any:
    """One plane as float32 [N, C, height, width] of the network's size."""
    height, width, channels = plane.shape
    if not plane.down:
        pixels = ops.transpose(ops.convert(parameter, "f32"), _integers([0, 3, 1, 2]))
        if (height, width) == made.size:
            return pixels
        # Each value becomes a square of 2×2.
        wide = ops.concat([ops.unsqueeze(pixels, _integers([4]))] * 2, 4)
        wide = ops.reshape(wide, _integers([0, channels, height, width * 2]), True)
        tall = ops.concat([ops.unsqueeze(wide, _integers([3]))] * 2, 3)
        return ops.reshape(tall, _integers([0, channels, height * 2, width * 2]), True)
    left, right = plane.across[0].start, plane.across[-1].stop
    top, bottom = plane.down[0].start, plane.down[-1].stop
    shown = parameter
    if (top, left, bottom, right) != (0, 0, height, width):
        ends = ([top, left], [bottom, right], [1, 1], [1, 2])
        shown = ops.slice(parameter, *(_integers(each) for each in ends))
    pixels = ops.convert(ops.transpose(shown, _integers([0, 3, 1, 2])), "f32")
    wide = _products(pixels, plane.across, left, 3, made.rounded)
    return _products(wide, plane.down, top, 2, made.rounded)


def _products(values: Any, blocks: Sequence[Block], first: int, axis: int, rounded: bool) -> Any:
    """The blocks of one direction, along an axis whose first pixel is number ``first``."""
    parts = []
    for block in blocks:
        ends = ([block.start - first], [block.stop - first], [1], [axis])
        some = ops.slice(values, *(_integers(each) for each in ends))
        if axis == 2:
            parts.append(ops.matmul(_constant(block.weights[None, None]), some, False, False))
        else:
            parts.append(ops.matmul(some, _constant(block.weights), False, True))
    whole = parts[0] if len(parts) == 1 else ops.concat(parts, axis)
    if not rounded:
        return whole
    return ops.clamp(ops.floor(ops.add(whole, _constant(0.5))), 0.0, 255.0)


def _coloured(pixels: Any, matrix: Any, added: Any) -> Any:
    """Channels [N, 3, H, W] as R, G and B."""
    if np.array_equal(matrix, np.eye(3)[::-1]):
        return ops.gather(pixels, _integers([2, 1, 0]), _integers(1))
    weights = _constant(matrix.reshape(3, 3, 1, 1))
    mixed = ops.convolution(pixels, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.add(mixed, _constant(added.reshape(1, 3, 1, 1)))


def _named(end: Any, tensor: str) -> None:
    """Number the operators before ``end``, which they lead to: equal artifacts are equal bytes."""
    waiting, seen, order = [end], set(), []
    while waiting:
        node = waiting.pop()
        if id(node) in seen or node.get_type_name() in ("Parameter", "Constant"):
            continue
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        order.append(node)
        waiting += [value.get_node() for value in node.input_values()]
    for number, node in enumerate(reversed(order)):
        node.set_friendly_name(f"{PREFIX}{node.get_type_name()}_{number}")
    end.output(0).get_tensor().set_names({tensor})


def _integers(values: Any) -> Any:
    return ops.constant(np.asarray(values, np.int64))


def _constant(values: Any) -> Any:
    return ops.constant(np.ascontiguousarray(values, np.float32))
