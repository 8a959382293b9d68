"""What stages are worth: ``edgeeff finetune --stages`` against photos of one size, for the same epochs.

Every contender trains the same network on the same photos, from the same seed, all of its blocks: at the
fixed size with the regularisation that the stages end at, and in stages; with ``--plain`` also at the fixed
size with slight augmentation alone. The trunk's features are computed before. Figures: seconds of steps by
wall time, processor time of the whole run (all threads, head and judging included), and the top-1 of the
state that is kept. The aim: a ratio of 0.75 or less, at equal top-1 (half a point more or less).

As it stands, 4000 photos of 100 classes and eight epochs, it takes some 40 minutes of one core.

Photos come from a generator: a Python file whose ``CutPaste(stamps, backgrounds, split, size)`` has
``sample(i)``, a uint8 image [size, size, 3] and a class; splits are ``train`` and ``val``.

    python -m benchmarks.training_stages --generator cutpaste.py --stamps usr/share/tuxpaint/stamps \\
        --backgrounds usr/share/backgrounds/gnome --backgrounds usr/share/backgrounds/mate
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.table import arguments, show, write_json
from edgeeff.cache import Cache
from edgeeff.progress import Silent
from edgeeff.training.finetune import finetune

#: What the generator is asked for at most, for each photo that is kept.
_MOST_DRAWN = 1000


def _photos(asked: argparse.Namespace, split: str, count: int) -> Path:
    """So many photos of each of the first classes, in a folder of each, written once."""
    folder = Path(asked.work) / f"{split}-{asked.classes}-{count}-{asked.size}"
    if (folder / "done").exists():
        return folder / "photos"
    spec = importlib.util.spec_from_file_location("generator", asked.generator)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = module.CutPaste(asked.stamps, asked.backgrounds, split, asked.size)
    missing = dict.fromkeys(range(asked.classes), count)
    for number in range(_MOST_DRAWN * count * asked.classes):
        pixels, label = source.sample(number)
        if missing.get(label, 0):
            target = folder / "photos" / f"{label:03d}"
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target / f"{number}.png")
            missing[label] -= 1
        if not any(missing.values()):
            break
    (folder / "done").write_text(json.dumps(missing))
    return folder / "photos"


def _run(asked: argparse.Namespace, name: str, options: dict[str, Any]) -> dict[str, Any]:
    train, val = (_photos(asked, split, getattr(asked, split)) for split in ("train", "val"))
    started = time.process_time()
    found = finetune(
        train,
        validation=val,
        model=asked.model,
        size=asked.size,
        crop=1.0,
        views=1,
        seed=asked.seed,
        output=Path(asked.work) / f"{name.replace(' ', '-')}.pt",
        force=True,
        cache=Cache(Path(asked.work) / "cache"),
        progress=Silent(),
        **options,
    )
    cpu = time.process_time() - started
    entries = found.history.get("blocks", ())
    return {
        "contender": name,
        "top_1": found.scores["top_1"]["value"],
        "steps_s": sum(entry["seconds"] for entry in entries),
        "cpu_s": cpu,
        "curve": [round(float(entry["value"]), 4) for entry in entries],
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--stamps", type=Path, required=True)
    parser.add_argument("--backgrounds", type=Path, action="append", required=True)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--train", type=int, default=40, help="photos of each class to learn from")
    parser.add_argument("--val", type=int, default=20, help="photos of each class to judge by")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--magnitude", type=float, default=10.0)
    parser.add_argument("--survival", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--plain", action="store_true", help="also the fixed size with --augment slight alone"
    )
    parser.add_argument("--work", help="folder for photos and checkpoints (default: a temporary one)")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asked.work = asked.work or temporary
        _run(asked, "head", {"epochs": 10})  # what the trunk makes of the photos goes into the cache
        blocks = {"blocks": "all", "epochs": asked.epochs}
        strength = {"magnitude": asked.magnitude, "survival": asked.survival}
        contenders = {
            "fixed": {**blocks, **strength, "stages": 1},
            **({"plain": {**blocks, "stages": 1}} if asked.plain else {}),
            "stages": {**blocks, **strength, "stages": asked.stages},
        }
        rows = [_run(asked, name, options) for name, options in contenders.items()]
    fixed = rows[0]
    for row in rows:
        row["steps_ratio"], row["cpu_ratio"] = (
            row["steps_s"] / fixed["steps_s"],
            row["cpu_s"] / fixed["cpu_s"],
        )
        row["points"] = 100 * (row["top_1"] - fixed["top_1"])
    shown = [{name: value for name, value in row.items() if name != "curve"} for row in rows]
    formats = {"top_1": ".1%", "steps_s": ".0f", "cpu_s": ".0f", "points": "+.1f"}
    show(
        f"{asked.model} at {asked.size} px, {asked.epochs} epochs of {asked.classes * asked.train} photos",
        shown,
        {**formats, "steps_ratio": ".2f", "cpu_ratio": ".2f"},
    )
    write_json(asked.json, rows, asked={name: str(value) for name, value in vars(asked).items()})


if __name__ == "__main__":
    main()
