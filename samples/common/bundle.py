"""What the samples in Python know of a bundle, from its manifest.json: pixels in, answers out. No edgeeff."""

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read(folder: Any) -> dict[str, Any]:
    """The manifest of a bundle of this schema; a sample must not guess what a field of another one means."""
    path = Path(folder) / "manifest.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["schema_version"] != 2 or facts.get("batch", 1) != 1:
            raise SystemExit(f"{path}: a bundle of schema 2 and of batch 1 is wanted; build it again")
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{path} is no manifest of a bundle ({error!r})") from None
    if facts["preprocess"].get("camera"):
        raise SystemExit(
            f"{path}: the artifact takes camera frames as they are; this sample makes RGB pixels"
        )
    return facts


def fitted(facts: dict[str, Any], image: Any) -> tuple[Any, tuple[float, float]]:
    """A photo as the network's pixels uint8 [H, W, C], and the scale that leads from them to the photo.

    As Preprocess.fit of edgeeff: one resize with antialiasing, of the crop or into a letterbox.
    """
    p = facts["preprocess"]
    height, width = p["size"]
    mode, method = MODES[len(p["mean"])], Image.Resampling[p["interpolation"].upper()]
    image = image if image.mode == mode else image.convert(mode)
    photo_width, photo_height = image.size
    if image.size == (width, height):
        return np.asarray(image, np.uint8).reshape(height, width, -1), (1.0, 1.0)
    if p.get("letterbox") is not None:
        scale = min(width / photo_width, height / photo_height)
        inner = [max(math.floor(side * scale + 1e-6), 1) for side in image.size]
        colour = [round(value) for value in p["letterbox"]]
        boxed = Image.new(mode, (width, height), colour[0] if len(colour) == 1 else tuple(colour))
        boxed.paste(image.resize(inner, method))
        back = photo_width / inner[0], photo_height / inner[1]
        return np.asarray(boxed, np.uint8).reshape(height, width, -1), back
    across, down = width / p["crop"] / photo_width, height / p["crop"] / photo_height
    if not p.get("squash"):
        across = down = max(across, down)
    left, top = max((photo_width - width / across) / 2, 0.0), max((photo_height - height / down) / 2, 0.0)
    box = left, top, min(left + width / across, photo_width), min(top + height / down, photo_height)
    resized = image.resize((width, height), method, box)
    return np.asarray(resized, np.uint8).reshape(height, width, -1), (1 / across, 1 / down)


def prepared(facts: dict[str, Any], pixels: Any, channels_first: bool) -> Any:
    """Pixels uint8 [H, W, C] as the artifact's input of one image."""
    batch = pixels[None]
    if facts["input"] == "uint8":
        made = batch
    elif facts["input"] == "int8":
        made = (batch.astype(np.int16) - 128).astype(np.int8)
    else:
        mean, std = (np.float32(facts["preprocess"][key]) for key in ("mean", "std"))
        made = (batch.astype(np.float32) - mean) / std
    return np.ascontiguousarray(made.transpose(0, 3, 1, 2) if channels_first else made)


def answers(
    facts: dict[str, Any], outputs: dict[str, Any], back: tuple[float, float], size: tuple[int, int]
) -> Iterator[str]:
    """Lines of text: classes, labels, boxes in pixels of the photo, or features.

    Args:
        facts: The manifest.
        outputs: float32 by name, one image each; boxes as ``detections`` [1, K, 6].
        back: The scale from the input to the photo.
        size: Width and height of the photo.
    """
    labels, threshold = facts["labels"], facts.get("threshold", 0.5)
    task = facts.get("task", "classification")
    if "detections" in outputs:
        rows = outputs["detections"][0]
        rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 5] >= 0) & (rows[:, 4] >= threshold)]
        for row in rows[np.argsort(-rows[:, 4], kind="stable")]:
            left, top, right, bottom = np.clip(row[:4].astype(np.float64) * (back * 2), 0, size * 2)
            if left < right and top < bottom:
                shown = "\t".join(f"{side:.6g}" for side in (left, top, right, bottom))
                yield f"{int(row[5])}\t{row[4]:.8g}\t{shown}\t{one_line(labels[int(row[5])])}"
        return
    if task not in ("classification", "multilabel"):
        for name, values in outputs.items():
            yield f"{name}\t{'x'.join(map(str, values.shape[1:]))}\t{np.linalg.norm(values):.6g}"
        return
    scores = next(iter(outputs.values())).reshape(-1).astype(np.float64)
    if facts["softmax"]:
        chances = scores
    elif task == "multilabel":
        chances = 1 / (1 + np.exp(-scores))
    else:
        powers = np.exp(scores - scores.max())
        chances = powers / powers.sum()
    best = np.argsort(-chances, kind="stable")
    for index in best[:3] if task == "classification" else best[chances[best] >= threshold]:
        yield f"{index}\t{scores[index]:.6g}\t{chances[index]:.6f}\t{one_line(labels[index])}"


def ended(main: Callable[[], None]) -> None:
    """Run a sample: what is wrong is one line on standard error, and exit status 2."""
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        print(one_line(end.code), file=sys.stderr)
        sys.exit(2)


def one_line(label: str) -> str:
    """A label without what would steer a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in label)
