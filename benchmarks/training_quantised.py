"""What quantisation-aware training brings a target, and what it costs.

    python -m benchmarks.training_quantised --checkpoint FILE --calibration PHOTOS --train PHOTOS
        --judge PHOTOS [--target mobile-int8] [--minutes 20 | --steps N] [--loss mse] [--labels 0]
        [--effort max] [--rates 0.001 0.002 0.0005] [--after-only] [--json FILE]

The bundle is built without training and with it, and run (where its runtime is not here, as TensorRT's, its
hub graph by onnxruntime) on labelled images that nothing else saw: points of top-1 lost with the paired 95 %
interval, agreement, and SQNR without each image's mean. A detector is built with `edgeeff build --train` and
judged by `edgeeff eval`. A machine that does other work takes fewer steps in the same minutes: the line says
how many there were.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgeeff
from benchmarks.table import arguments, show, write_json
from edgeeff.errors import MissingRuntimeError
from edgeeff.images import open_images
from edgeeff.pipeline import training as pipeline
from edgeeff.progress import Silent

FORMATS = {"lost": "+.2f", "±": ".2f", "agree": ".2f", "cdB": ".2f", "steps": ".0f", "cpu_min": ".1f"}


class Heard(Silent):
    """Prints what was decided."""

    def tell(self, text: str) -> None:
        """On standard error."""
        print(text, file=sys.stderr, flush=True)


def session_of(bundle: edgeeff.Bundle) -> Any:
    """The artifact's, or that of its hub graph."""
    try:
        return bundle.session()
    except MissingRuntimeError:
        found = bundle.graph_session()
        if found is None:
            raise
        return found[1]


def judged(bundle: edgeeff.Bundle, reference: edgeeff.Bundle, photos: Path) -> dict[str, float]:
    """A bundle against the float one on labelled images."""
    images = open_images(photos)
    labels = images.labels
    assert labels is not None, f"{photos} has no labels"
    sessions = [session_of(one) for one in (reference, bundle)]
    found: list[list[Any]] = [[], []]
    kept: list[Any] = []
    for pixels, numbers in images.batches(bundle.manifest.preprocess, 8):
        kept.append(labels[numbers])
        for logits, session in zip(found, sessions, strict=True):
            logits.append(next(iter(session.infer(pixels).values())))
    of_float, of_plan = (np.concatenate(rows).astype(np.float64) for rows in found)
    truth = np.concatenate(kept)
    right = [(rows.argmax(1) == truth).astype(float) for rows in (of_float, of_plan)]
    lost = right[0] - right[1]
    centred = [rows - rows.mean(1, keepdims=True) for rows in (of_float, of_plan)]
    noise = np.square(centred[0] - centred[1]).sum()
    return {
        "float": 100 * float(right[0].mean()),
        "lost": 100 * float(lost.mean()),
        "±": 196 * float(lost.std(ddof=1)) / len(lost) ** 0.5,
        "agree": 100 * float((of_float.argmax(1) == of_plan.argmax(1)).mean()),
        "cdB": 10 * float(np.log10(np.square(centred[0]).sum() / noise)),
        "images": len(truth),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """One row before training and one after it, for each target."""
    options = parsed(argv)
    if options.rates:
        pipeline.RATES = tuple(options.rates)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        common: dict[str, Any] = {
            "checkpoint": options.checkpoint,
            "calibration": options.calibration,
            "model": options.model,
            "size": options.size,
            "crop": options.crop,
            "progress": Heard(),
        }
        if options.validation:
            common["validation"] = options.validation
        (of_float,) = edgeeff.build(targets=["cpu-fp32"], output=Path(folder) / "float", **common)
        for target in options.target or ["mobile-int8"]:
            for name, more in {"before": {}, "after": training(options)}.items():
                if name == "before" and options.after_only:
                    continue
                place = Path(folder) / name
                (one,) = edgeeff.build(
                    targets=[target], output=place, effort=options.effort, **common, **more
                )
                cost = (one.bundle.verification()[0] or {}).get("training", {})
                rows.append(
                    {
                        "": f"{target}, {name}",
                        **judged(one.bundle, of_float.bundle, options.judge),
                        "steps": cost.get("steps", 0),
                        "cpu_min": cost.get("cpu_seconds", 0) / 60,
                    }
                )
                show(f"{len(rows)}", rows, FORMATS)
    write_json(options.json, rows)


def parsed(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = arguments(__doc__)
    for name in ("calibration", "train", "judge"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--model")
    parser.add_argument("--size")
    parser.add_argument("--crop", type=float)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--loss", default="mse")
    parser.add_argument("--labels", type=float, default=0)
    parser.add_argument("--min-sqnr", type=float)
    parser.add_argument("--rates", type=float, nargs=3, metavar=("WEIGHT", "SCALE", "BIAS"))
    parser.add_argument("--effort", default="max")
    parser.add_argument("--after-only", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(argv)


def training(options: Namespace) -> dict[str, Any]:
    """The keywords of a build that trains."""
    found: dict[str, Any] = {"train": options.train, "train_loss": options.loss}
    if options.labels:
        found["train_labels"] = options.labels
    found |= {"train_steps": options.steps} if options.steps else {"minutes": options.minutes}
    if options.min_sqnr:
        found["min_sqnr"] = options.min_sqnr
    return found


if __name__ == "__main__":
    main()
