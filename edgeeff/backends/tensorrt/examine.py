"""What can be said of a TensorRT bundle's graphs without TensorRT: their arithmetic, and what FP16 holds.

onnxruntime runs each graph as it is written. Its optimiser (version 1.31, WeightBiasQuantization) quantises
the biases of an FP16-typed graph by products of scales that vanish in FP16: the outputs of a trained Lite0
then have a cosine of 0.08 to what the graph says, and 0.9994 with the optimiser off.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx

from edgeeff.backends import Evidence, Examination
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt import box_endings, graphs, ladder
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.backends.tensorrt.device.onboard.boxes import canonical
from edgeeff.backends.tensorrt.lint import lint
from edgeeff.bundle import Bundle
from edgeeff.detection import RUNTIME
from edgeeff.metrics import json_number, sqnr
from edgeeff.preprocess import Pixels
from edgeeff.tasks import Outputs, joined, lowest

LARGEST_FP16 = 65504.0
#: The share of it beyond which another image, or a sum within a kernel, may well reach the rest.
SAFE = 0.25


def examine(bundle: Bundle, evidence: Evidence) -> Examination:
    """Rung 0 of the ladder, the linter's warnings, and the room that FP16 leaves.

    The report holds ``numerics``, for each graph its SQNR to the hub and to the float graph in dB; ``lint``,
    what the linter warns of, for each graph and the TensorRT versions it is for; and ``fp16``, the largest
    |activation| that any tensor of the float graph reached on the calibration images.
    """
    names = [n for n in (*ladder.QUANTISED, *ladder.CONTROL) if n in bundle.manifest.files]
    names += sorted(name for name in bundle.manifest.files if name.endswith(graphs.NMS))
    decoded = sorted(name for name in bundle.manifest.files if name.endswith(graphs.DECODED))
    numerics = {
        name: _numerics(_run(bundle, name, evidence.images), evidence, name, bundle) for name in names
    }
    warned = {name: _lint(bundle, name) for name in (*names, *decoded)}
    tensor, largest = max(evidence.largest().items(), key=lambda i: (math.isnan(i[1]), i[1]))
    share = largest / LARGEST_FP16
    lines = [f"numerics {name}: {_told(found)}" for name, found in numerics.items()]
    lines += [f"lint     {name}: {_counted(found)}" for name, found in warned.items() if found]
    lines.append(
        f"fp16     largest |activation| on the calibration images: {largest:.4g} ({tensor}),"
        f" {share:.2%} of FP16's {LARGEST_FP16:.0f}"
    )
    warnings = [w for name, found in numerics.items() for w in _warnings(name, found)]
    if not share <= SAFE:
        warnings.append(
            f"FP16 ends at {LARGEST_FP16:.0f}, and {tensor} reached {largest:.4g} on the calibration images:"
            f" more than {SAFE:.0%} of it, so other images may overflow"
        )
    return Examination(
        report={
            "numerics": numerics,
            "lint": warned,
            "fp16": {
                "largest": json_number(largest),
                "tensor": tensor,
                "limit": LARGEST_FP16,
                "share": json_number(share),
            },
        },
        ladder={"0": "; ".join(f"{name} {_told(found)}" for name, found in numerics.items())},
        lines=lines,
        warnings=warnings,
    )


def _run(bundle: Bundle, name: str, images: Pixels) -> Outputs:
    """What onnxruntime makes of a graph; boxes of EfficientNMS_TRT, which it does not have, by edgeeff's own
    decoding."""
    manifest = bundle.manifest
    model = box_endings.without(onnx.load(bundle.folder / name))
    session = session_of(model.SerializeToString(), manifest.preprocess, manifest.input, literal=True)
    if manifest.detection is None or manifest.detection.where != RUNTIME:
        return session.infer(images)
    size = session.batch.size
    runs = [canonical(session.infer(images[i : i + size])) for i in range(0, len(images), size)]
    return manifest.meaning.outputs(joined(runs), manifest.outputs)


def _numerics(outputs: Outputs, evidence: Evidence, name: str, bundle: Bundle) -> dict[str, Any]:
    """Of several outputs the figures of the worst, and of each."""
    reference, hub = evidence.float_outputs, evidence.hub_outputs
    quantised = name.startswith(graphs.QUANTISED) and hub is not None
    meanings = {output.name: output.meaning for output in bundle.manifest.outputs}
    expected = hub if quantised and hub is not None else reference
    judged = rule.compare_all("int8" if quantised else "fp16", outputs, expected, reference, meanings)
    to_float = {output: sqnr(reference[output], outputs[output]) for output in reference}
    to_hub = {output: sqnr(expected[output], outputs[output]) for output in expected}
    if bundle.manifest.detection is not None:  # which has its own measure
        each = judged["outputs"]
        to_float = {output: each[output]["sqnr_float_db"] for output in each}
        to_hub = {output: each[output]["sqnr_hub_db"] for output in each}
    found: dict[str, Any] = {
        "images": judged["images"],
        "sqnr_float_db": json_number(lowest(to_float.values())),
    }
    if quantised:
        found["sqnr_hub_db"] = json_number(lowest(to_hub.values()))
    if len(reference) > 1:
        found["outputs"] = {
            output: {"sqnr_float_db": json_number(to_float[output])}
            | ({"sqnr_hub_db": json_number(to_hub[output])} if quantised else {})
            | {"passed": judged["outputs"][output]["passed"]}
            for output in reference
        }
    return {**found, "tolerance_db": judged["tolerance_db"], "passed": judged["passed"]}


def _lint(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    model = onnx.load(bundle.folder / name)
    found = lint(model, graphs.versions_of(name, box_endings.has_plugin(model)))
    return [
        {**vars(finding), "versions": [str(version) for version in finding.versions]} for finding in found
    ]


def _counted(found: list[dict[str, Any]]) -> str:
    kinds = Counter(f"{finding['rule']} {finding['name']}" for finding in found)
    return ", ".join(f"{kind} ({count}×)" for kind, count in sorted(kinds.items()))


def _told(found: Mapping[str, Any]) -> str:
    to_hub = f"{float(found['sqnr_hub_db']):.1f} dB to the hub graph, " if "sqnr_hub_db" in found else ""
    to_float = f"{float(found['sqnr_float_db']):.1f} dB to float"
    return f"{to_hub}{to_float} ({found['images']} images, onnxruntime)"


def _warnings(name: str, found: Mapping[str, Any]) -> list[str]:
    if found["passed"]:
        return []
    measured = float(found.get("sqnr_hub_db", found["sqnr_float_db"]))
    least = found["tolerance_db"]
    return [f"{name} is {measured:.1f} dB from the graph that it was made of, under {least:.1f} dB"]
