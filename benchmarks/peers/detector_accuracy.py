"""What INT8 costs a detector in average precision: ours beside NNCF and onnxruntime, from one calibration.

    python -m benchmarks.peers.detector_accuracy --calibration PHOTOS --judge BOXES --checkpoint FILE
        [--model efficientdet-d0] [--size PIXELS] [--effort NAME] [--without NAME …] [--json FILE]

All start from the same weights, images and preprocessing, and give raw heads, so that one and the same code
makes boxes of them. They are judged in one pass over the same images by edgeeff's own evaluation, against our
float bundle: mean average precision (COCO's, IoU 0.50 to 0.95), how much of it is lost with the 95 % interval
of the paired difference, and boxes on which both agree. ``jetson-int8`` is judged by its hub graph in
onnxruntime: the scheme's arithmetic, not TensorRT's kernels.

--judge: photos with boxes that calibration did not see (COCO's .json, a VOC folder, a YAML of YOLO's).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import edgeeff
from benchmarks.peers import detectors
from benchmarks.table import arguments, show, write_json
from edgeeff.bundle import Bundle
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.images import open_images

OURS = ("cpu-int8", "mobile-int8", "jetson-int8")
FLOAT = "cpu-fp32"
FORMATS = {"map": ".2f", "map_50": ".2f", "lost": ".2f", "agreement_%": ".1f", "quantise_s": ".0f"}

Quantise = Callable[[Bundle, Path, str, Path], Bundle]
#: The peers by the names they have in the table.
PEERS: dict[str, Quantise] = {
    "NNCF default (PERFORMANCE)": partial(detectors.nncf, preset="performance"),
    "NNCF MIXED": partial(detectors.nncf, preset="mixed"),
    "onnxruntime MinMax": detectors.onnxruntime,
}


def row(name: str, report: AccuracyReport, seconds: float | None) -> dict[str, Any]:
    """One line of the table; ``seconds`` is what the quantisation took."""
    scores = report.to_json()["scores"]
    reference = report.reference
    lost = reference.lost if reference is not None else None
    agreement = reference.agreement if reference is not None else None
    return {
        "method": name,
        "map": 100 * scores["map"],
        "map_50": 100 * scores["map_50"],
        "lost": None if report.drop is None else report.drop,
        "95_%": None if lost is None else f"{lost.low:.2f} … {lost.high:.2f}",
        "agreement_%": None if agreement is None else 100 * agreement.value,
        "quantise_s": seconds,
    }


def measure(options: Any, folder: Path) -> list[dict[str, Any]]:
    """All rows: the float network, ours, the peers."""
    start = time.perf_counter()
    edgeeff.build(
        model=options.model,
        checkpoint=options.checkpoint,
        targets=[FLOAT, *OURS],
        calibration=options.calibration,
        validation=options.calibration,  # the judge's images are not to be seen here
        count=len(open_images(options.calibration)),
        size=options.size,
        nms="host",
        effort=options.effort,
        output=folder,
    )
    names: dict[str, tuple[Bundle, float | None]] = {}
    whole = time.perf_counter() - start
    for target in OURS:  # one build makes all: its time is told once
        bundle = Bundle.load(folder / f"{options.model}-{target}")
        names[f"ours {target}"] = (bundle, whole if target == OURS[0] else None)
    own = names[f"ours {OURS[0]}"][0]
    for name, quantise in PEERS.items():
        if any(part.lower() in name.lower() for part in options.without):
            continue
        start = time.perf_counter()
        peer = quantise(own, options.checkpoint, options.model, options.calibration)
        names[name] = (peer, time.perf_counter() - start)
    reference = Bundle.load(folder / f"{options.model}-{FLOAT}")
    rows = [row("float", edgeeff.evaluate(reference, options.judge), None)]
    reports = edgeeff.evaluate_all(
        [bundle for bundle, _ in names.values()], options.judge, reference=reference, via="onnxruntime"
    )
    for (name, (_, seconds)), report in zip(names.items(), reports, strict=True):
        rows.append(row(name + ("*" if "jetson" in name else ""), report, seconds))
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="efficientdet-d0")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument(
        "--judge", type=Path, required=True, help="photos with boxes, not used in calibration"
    )
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the checkpoint's own")
    parser.add_argument("--effort", default="balanced", help="of our own builds")
    parser.add_argument("--without", action="append", default=[], help="leave out peers of this name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    title = f"{options.model}, {len(open_images(options.judge))} photos (* the hub graph, in onnxruntime)"
    show(title, rows, FORMATS)
    write_json(options.json, rows, options=vars(options))


if __name__ == "__main__":
    main()
