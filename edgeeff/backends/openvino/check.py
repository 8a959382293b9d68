"""Which kernels OpenVINO chose: how many run in INT8, and which layers fell back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.openvino.run import compile_model

_LAYERS = frozenset({"Convolution", "FullyConnected", "MatMul"})


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Compile the IR and read the executed graph.

    A convolution counts as INT8 by its kernel's name, not its output's precision: ``brgconv_avx512_I8`` may
    well write floats. The layers meant for INT8 are those of the bundle's ``plan.json``.
    """
    layers, originals = _executed_layers(folder, properties)
    int8 = [layer for layer in layers if _is_int8(layer)]
    meant, kept = _planned(folder, "int8"), _planned(folder, "float")
    in_int8 = {name for layer in int8 for name in originals[layer.name]}
    fallbacks = tuple(name for name in meant if name not in in_int8)
    kinds = sorted({layer.kernel for layer in layers if layer.operator in _LAYERS})
    share = f"{len(meant) - len(fallbacks)} of {len(meant)} planned layers run in INT8"
    summary = share if meant else f"{len(layers)} layers run in {', '.join(kinds)}"
    if kept:
        summary += f"; kept in float: {', '.join(kept)}"
    if fallbacks:
        summary += f"; fell back: {', '.join(fallbacks)}"
    return CheckReport(
        status="fallback" if fallbacks else "ok",
        summary=summary,
        counts={
            "layers": len(layers),
            "int8_kernels": len(int8),
            "planned_int8": len(meant),
            "executed_float_convolutions": sum(
                layer.operator in _LAYERS and not _is_int8(layer) for layer in layers
            ),
        },
        fallbacks=fallbacks,
        layers=layers,
    )


def _executed_layers(
    folder: Path, properties: Mapping[str, str]
) -> tuple[tuple[Layer, ...], dict[str, tuple[str, ...]]]:
    """The executed graph's nodes, and the names in the hub graph of what each of them fused."""
    layers, originals = [], {}
    for node in compile_model(folder, properties, 1).get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        name = node.get_friendly_name()
        operator = str(info["layerType"].astype(str)) if "layerType" in info else node.get_type_name()
        if operator in ("Input", "Output", "Const"):
            continue
        kernel = info["primitiveType"].astype(str) if "primitiveType" in info else ""
        precision = info["runtimePrecision"].astype(str) if "runtimePrecision" in info else ""
        fused = info["originalLayersNames"].astype(str) if "originalLayersNames" in info else name
        layers.append(Layer(name, operator, precision, kernel))
        # OpenVINO names the parts of a layer it took apart classifier/WithoutBiases and the like.
        originals[name] = tuple(part.partition("/")[0] for part in fused.split(","))
    return tuple(layers), originals


def _is_int8(layer: Layer) -> bool:
    return layer.operator in _LAYERS and layer.kernel.upper().endswith(("I8", "U8"))


def _planned(folder: Path, precision: str) -> list[str]:
    plan = folder / "plan.json"
    if not plan.is_file():
        return []
    layers: dict[str, dict[str, str]] = json.loads(plan.read_text(encoding="utf-8"))["layers"]
    return [name for name, layer in layers.items() if layer["precision"] == precision]
