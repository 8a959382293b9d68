"""TensorFlow's SAME padding, which is also ONNX's SAME_UPPER."""

from __future__ import annotations

from math import ceil


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The zeros before and after one axis of ``size`` pixels.

    The output has ``ceil(size / stride)`` pixels; an odd number of zeros puts the extra one after.

    Args:
        size: Pixels of the input.
        kernel: The kernel's reach, pixels: its side, or with dilation what it spans.
        stride: Of the convolution.
    """
    total = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
