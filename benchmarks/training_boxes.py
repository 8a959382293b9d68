"""What a detector learns of photos with boxes, and what of that its INT8 bundles keep.

    python -m benchmarks.training_boxes --photos TRAIN.json --judge VAL.json --checkpoint FILE
        [--size PIXELS] [--epochs 15] [--blocks all] [--target NAME …] [--json FILE]

`edgeeff finetune` as a user runs it: the heads alone, then, with --blocks, the pyramid and the backbone too.
Mean average precision of the float network and of each bundle on photos that were not learnt from; CPU time
of the whole process. The machine need not be quiet: no wall time is shown.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import edgeeff
from benchmarks.table import arguments, show, write_json

FORMATS = {"map": ".2f", "map_50": ".2f", "lost": ".2f", "cpu_s": ".0f"}


def measure(options: Any, folder: Path) -> list[dict[str, Any]]:
    """A row for the float network of each phase, and one for each bundle."""
    begun = time.process_time()
    found = edgeeff.finetune(
        options.photos,
        validation=options.judge,
        checkpoint=str(options.checkpoint),
        size=options.size,
        epochs=options.epochs,
        blocks=options.blocks,
        batch=options.batch,
        output=folder / "best.pt",
        build=options.target,
        bundles=folder / "dist",
    )
    seconds = time.process_time() - begun
    rows = []
    for phase, epochs in found.history.items():
        best = max(epochs, key=lambda epoch: epoch["value"])
        rows.append({"what": f"{phase}, {len(epochs)} epochs", **_figures(best), "lost": None, "cpu_s": None})
    whole = {"what": "checkpoint", **_figures(found.scores), "lost": None, "cpu_s": seconds}
    bundles = [
        {"what": one.built.bundle.name, **_figures(one.scores), "lost": one.lost, "cpu_s": None}
        for one in found.bundles
    ]
    return [*rows, whole, *bundles]


def _figures(scores: Any) -> dict[str, float | None]:
    return {name: 100 * scores[name] if name in scores else None for name in ("map", "map_50")}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument(
        "--judge", type=Path, required=True, help="photos with boxes that are not learnt from"
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the checkpoint's own")
    parser.add_argument("--epochs", type=int, default=15, help="of the last phase")
    parser.add_argument(
        "--blocks", help="blocks of the backbone that learn, or all; default: the heads alone"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--target", action="append", default=[], help="also build for it, and judge that")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    show(f"{options.checkpoint.name} on {options.photos.name}", rows, FORMATS)
    write_json(options.json, rows, options=vars(options))


if __name__ == "__main__":
    main()
