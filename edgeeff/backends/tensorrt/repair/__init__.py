"""What other tools write and TensorRT refuses, written so that it is taken: one repair a file, found by name.

A repair changes how a graph is written, not what onnxruntime computes of it. Where that cannot be kept to
the bit (an FP16 graph that is retyped) its sentence says by how much it moves. What has no such rewriting is
told by :func:`remaining`, with the reason, and is left as it is.

A module holds ``AFTER``, the names of those that must have run before it, and ``rewrite(draft)``, which
changes the draft and returns a sentence, or None if there was nothing to do. It may hold ``left(draft)``:
what of its kind is still wrong and has no exact twin.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import onnx

from edgeeff.backends.tensorrt.repair._draft import Draft, Left, control_flow
from edgeeff.errors import GraphError
from edgeeff.graph.importing import checks
from edgeeff.graph.model import node_label

__all__ = ["Left", "Repair", "remaining", "repair", "repairs"]

_OTHER_FORMS = ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger")


@dataclass(frozen=True)
class Repair:
    """One repair: the module's name, its rewriting, and what it has to leave."""

    name: str
    rewrite: Callable[[Draft], str | None]
    left: Callable[[Draft], Left | None] | None


@cache
def repairs() -> tuple[Repair, ...]:
    """All repairs, each after those it builds on; ties by name."""
    rooms = {
        module.name: import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if not module.name.startswith("_")
    }
    sorter = TopologicalSorter({name: sorted(room.AFTER) for name, room in sorted(rooms.items())})
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return tuple(Repair(name, rooms[name].rewrite, getattr(rooms[name], "left", None)) for name in ordered)


def repair(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """A copy of a Q/DQ graph that keeps as many of TensorRT's rules as can be kept exactly.

    Args:
        model: Its weights must be in it. Left as it is.

    Returns:
        The copy, with its shapes inferred if anything was done, and a sentence for each kind of thing done.

    Raises:
        GraphError: Operators compute on integers (QLinear…), or a constant is damaged.
    """
    draft = _begin(model)
    done = [] if control_flow(draft.model) else [r.rewrite(draft) for r in repairs()]
    said = [sentence for sentence in done if sentence]
    if said:
        draft.finish()
    return draft.model, said


def remaining(model: onnx.ModelProto) -> list[Left]:
    """What breaks TensorRT's rules for quantised values and has no exact twin that keeps them.

    Raises:
        GraphError: As :func:`repair`.
    """
    draft = _begin(model)
    found = [repair.left(draft) for repair in repairs() if repair.left is not None]
    return [left for left in found if left is not None]


def _begin(model: onnx.ModelProto) -> Draft:
    if len(model.graph.node) > checks.MOST_NODES:
        raise GraphError(f"it has {len(model.graph.node)} nodes", mend="this is no EfficientNet")
    for node in model.graph.node:
        if node.op_type.startswith("QLinear") or node.op_type in _OTHER_FORMS:
            raise GraphError(
                f"{node_label(node)} computes on integers: TensorRT reads QuantizeLinear and "
                "DequantizeLinear around float operators",
                mend="quantise to a Q/DQ graph (onnxruntime: quant_format=QuantFormat.QDQ)",
            )
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return Draft(copy)
