"""How each ONNX operator becomes TFLite operators: one small function each, found by its decorator.

A module of this folder is found by being here; an operator is added by writing its function.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

import onnx

from edgeeff.backends.tflite.network import Network

Lowering = Callable[[onnx.NodeProto, Network], None]

LOWERINGS: dict[str, Lowering] = {}


def lowers(*operators: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of these ONNX operators."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(operators, function))
        return function

    return register


for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
