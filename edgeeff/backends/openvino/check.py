"""Which kernels OpenVINO chose, against what the plan relies on.

A layer meant for INT8 that runs in another type fell back. A Swish written as arithmetic has to be one
elementwise kernel (Subgraph), or two, where a sum of quantised features before it makes one too long: a node
for each operator would cost more than the exponential that it saves. A layer kept in float has to run in the
type of the bundle's INFERENCE_PRECISION_HINT.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino as ov

from edgeeff import inference_device, planned
from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.openvino import structure
from edgeeff.backends.openvino.run import compile_model

_LAYERS = frozenset({"Convolution", "FullyConnected", "MatMul"})
_ONE_KERNEL = "Subgraph"
_KERNELS = 2  # that a Swish may be
#: How the operators of a Swish are called beside the last, which has the name alone (swish_polynomial).
_STEP = re.compile(r"\.(magnitude|held|even|odd|(sum|power)\d+)$")
_FEW = 10  # one of so many layers kept in float may run in f32 where another type was asked for
_NAMED = 3  # so many layers are named on one line, more are counted


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Compile the IR and read the executed graph.

    A convolution counts as INT8 by its kernel's name, not its output's precision: ``brgconv_avx512_I8`` may
    well write floats. The layers meant for INT8 are those of the bundle's ``plan.json``.
    """
    device = inference_device.named()
    if device != inference_device.CPU:
        compile_model(folder, properties, 1)
        return CheckReport("ok", f"{device} compiles it; which kernels it runs is looked at on the CPU alone")
    layers, originals = _executed_layers(folder, properties)
    int8 = [layer for layer in layers if _is_int8(layer)]
    plan = planned.read(folder)
    meant, kept = _planned(plan, "int8"), _planned(plan, "float")
    in_int8 = {name for layer in int8 for name in originals[layer.name]}
    fallbacks = tuple(name for name in meant if name not in in_int8)
    kinds = sorted({layer.kernel for layer in layers if layer.operator in _LAYERS})
    share = f"{len(meant) - len(fallbacks)} of {len(meant)} planned layers run in INT8"
    summary = share if meant else f"{len(layers)} layers run in {', '.join(kinds)}"
    if kept:
        summary += f"; {_some(kept)} kept in float"
    if polynomials := plan.get("polynomials", []):
        summary += f"; {len(polynomials)} Swishes as arithmetic"
    deviations = [
        *_apart(layers, originals, polynomials),
        *_otherwise(layers, originals, kept, properties.get("INFERENCE_PRECISION_HINT")),
    ]
    summary += "".join(f"; {sentence}" for sentence in deviations)
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
        deviations=deviations,
        layers=layers,
    )


def _apart(
    layers: tuple[Layer, ...], originals: dict[str, tuple[str, ...]], polynomials: list[str]
) -> list[str]:
    """What is to be said of polynomials that are neither one kernel each nor two."""
    fused = {n for layer in layers if layer.operator == _ONE_KERNEL for n in originals[layer.name]}
    kernels: Counter[str] = Counter()
    for layer in layers:
        kernels.update({_STEP.sub("", name) for name in originals[layer.name]})
    whole = {name for name in polynomials if {name, f"{name}.magnitude"} <= fused}
    apart = [name for name in polynomials if name not in whole or kernels[name] > _KERNELS]
    return [f"{_some(apart)}: Swish is not one kernel"] if apart else []


def _otherwise(
    layers: tuple[Layer, ...], originals: dict[str, tuple[str, ...]], kept: list[str], hint: str | None
) -> list[str]:
    """What is to be said of layers kept in float that do not run in the type that was asked for."""
    if hint is None:
        return []
    ran = {name: layer for layer in layers if layer.operator in _LAYERS for name in originals[layer.name]}
    other = {name: ran[name].precision for name in kept if name in ran and ran[name].precision != hint}
    if {*other.values()} <= {"f32"} and _FEW * len(other) <= len(kept):
        return []  # a detector's last layers, whose outputs are f32: exact, and next to nothing of its time
    types = ", ".join(sorted(set(other.values())))
    return [f"{_some(list(other))} in {types}, not in {hint}"] if other else []


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} layers"


def _executed_layers(
    folder: Path, properties: Mapping[str, str]
) -> tuple[tuple[Layer, ...], dict[str, tuple[str, ...]]]:
    """The executed graph's nodes, and the names in the hub graph of what each of them fused.

    Of a convolution that OpenVINO rewrote, such as one whose output a fusion weights, the name is forgotten:
    it is the first node's that reads it.
    """
    layers, executed = [], {}
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
        executed[name] = fused.split(",")
    whole = structure.computed(executed, structure.operations(_of_one(folder)))
    # OpenVINO names the parts of a layer it took apart classifier/WithoutBiases and the like.
    originals = {name: tuple(part.partition("/")[0] for part in parts) for name, parts in whole.items()}
    return tuple(layers), originals


def _of_one(folder: Path) -> Any:
    """The IR of one image, so that the work of each layer is known."""
    model = ov.Core().read_model(folder / "model.xml")
    if model.is_dynamic():
        model.reshape({taken: ov.PartialShape([1, *list(taken.partial_shape)[1:]]) for taken in model.inputs})
    return model


def _is_int8(layer: Layer) -> bool:
    return layer.operator in _LAYERS and layer.kernel.upper().endswith(("I8", "U8"))


def _planned(plan: dict[str, Any], precision: str) -> list[str]:
    layers: dict[str, dict[str, str]] = plan.get("layers", {})
    return [name for name, layer in layers.items() if layer["precision"] == precision]
