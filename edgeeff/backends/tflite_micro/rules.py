"""What a model keeps for tflite-micro: integers throughout, and only operators that it has for them."""

from __future__ import annotations

from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.backends.tflite_micro.operators import ADDED
from edgeeff.detection import Detection
from edgeeff.errors import GraphError

_SHOWN = 3


def refuse_detector(detection: Detection | None) -> None:
    """Refuse a detector.

    Raises:
        GraphError: It is one.
    """
    if detection is not None:
        raise GraphError(
            "a detector's boxes are float, and tflite-micro's target computes in int8 throughout",
            mend="build mobile-int8 for it, or a classifier for the microcontroller",
        )


def refuse(model: Model) -> None:
    """Hold a model against the rules.

    Raises:
        GraphError: It breaks one; the message names the operators.
    """
    if floats := [op for op in model.operators if _is_float(model, op)]:
        raise GraphError(
            f"{_named(floats)} would compute in float, and tflite-micro's target computes in int8 throughout",
            mend="quantise those layers too (leave out --keep-float), or build mobile-int8",
        )
    if absent := [op for op in model.operators if op.code not in ADDED]:
        raise GraphError(
            f"tflite-micro has no int8 kernel of {_named(absent)}",
            mend="choose a network without them, or build mobile-int8",
        )
    if model.any_batch:
        raise GraphError("the model takes any number of images", mend="build with --batch 1")


def _is_float(model: Model, operator: Operator) -> bool:
    return any(model.tensors[name].type == "float32" for name in (*operator.inputs, *operator.outputs))


def _named(operators: list[Operator]) -> str:
    names = [f"{op.code} {op.outputs[0]}" for op in operators[:_SHOWN]]
    rest = len(operators) - _SHOWN
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")
