"""Windows that slide over height and width: their strides, and the padding around what they see."""

from __future__ import annotations

from edgeeff.graph.padding import same_padding
from edgeeff.graph.views import Pads
from edgeeff.graph.writer import Step


def pair(step: Step, name: str) -> tuple[int, int]:
    """An attribute of two positive numbers, for height and width."""
    values = step.attribute(name, [1, 1])
    if len(values) != 2 or not all(0 < value < 2**16 for value in values):
        step.refuse(f"its {name} are {list(values)}")
    return values[0], values[1]


def pads(step: Step, size: tuple[int, ...], reach: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """The zeros before and after each axis, also where the file only says how to find them (auto_pad)."""
    mode = step.attribute("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = step.attribute("pads", [0, 0, 0, 0])
        if len(pads) != 4 or not all(0 <= amount < 2**16 for amount in pads):
            step.refuse(f"its pads are {list(pads)}")
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        step.refuse(f"its auto_pad is {mode}")
    both = [same_padding(size[i], reach[i], strides[i]) for i in range(2)]
    if mode == "SAME_LOWER":
        both = [(after, before) for before, after in both]
    return both[0][0], both[1][0], both[0][1], both[1][1]
