"""A mcu-int8 bundle on photos by tflite-micro's wheel, without edgeeff: a line for each label.

    pip install tflite-micro pillow
    python run.py BUNDLE photo.jpg ...

How long it takes here says nothing of a microcontroller.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def place(photo: Image.Image, how: dict) -> tuple[float, float, float, float]:
    """What of the photo the input shows: the middle ``crop`` of it, so that the input is covered."""
    height, width = how["size"]
    across, down = width / how["crop"] / photo.width, height / how["crop"] / photo.height
    if not how["squash"]:
        across = down = max(across, down)
    wide, high = width / across, height / down
    left, top = max((photo.width - wide) / 2, 0.0), max((photo.height - high) / 2, 0.0)
    return left, top, min(left + wide, photo.width), min(top + high, photo.height)


def image_of(path: str, how: dict) -> np.ndarray:
    """A photo as the network's input, int8 [1, height, width, channels]: pixels less 128."""
    photo = Image.open(path)
    if how["exif"]:
        photo = ImageOps.exif_transpose(photo)
    photo = photo.convert({1: "L", 3: "RGB"}[len(how["mean"])])
    size = how["size"][1], how["size"][0]
    method = getattr(Image.Resampling, how["interpolation"].upper())
    if how.get("letterbox") is not None:
        share = min(size[0] / photo.width, size[1] / photo.height)
        inner = [max(int(side * share + 1e-6), 1) for side in photo.size]
        colour = tuple(round(value) for value in how["letterbox"])
        boxed = Image.new(photo.mode, size, colour if len(colour) > 1 else colour[0])
        boxed.paste(photo.resize(inner, method))
        photo = boxed
    elif photo.size != size:
        photo = photo.resize(size, method, place(photo, how))
    pixels = np.asarray(photo).reshape(1, size[1], size[0], -1)
    return (pixels.astype(np.int16) - 128).astype(np.int8)


def main(folder: Path, photos: list[str]) -> None:
    """Print for each photo its three likeliest classes, or of a multilabel network those that are there."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise ValueError(f"{error}: pip install tflite-micro") from None

    bundle = json.loads((folder / "manifest.json").read_text("utf-8"))
    if bundle["runtime"] != "tflite_micro" or bundle["task"] not in ("classification", "multilabel"):
        raise ValueError(
            f"{folder} is of {bundle['runtime']} and {bundle['task']}: this runs labels of tflite_micro"
        )
    model = (folder / "model.tflite").read_bytes()
    arena = json.loads((folder / "arena.json").read_text("utf-8"))["size"]
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena)
    meaning = interpreter.get_output_details(0)["quantization_parameters"]
    for path in photos:
        interpreter.set_input(image_of(path, bundle["preprocess"]), 0)
        interpreter.invoke()
        stored = interpreter.get_output(0)[0].astype(np.float32)
        output = (stored - meaning["zero_points"][0]) * meaning["scales"][0]
        shares, exclusive = output, bundle["task"] == "classification"
        if not bundle["softmax"]:
            powers = np.exp(output - output.max() if exclusive else output)
            shares = powers / powers.sum() if exclusive else powers / (1 + powers)
        best = np.argsort(-shares, kind="stable")
        best = best[:3] if exclusive else best[shares[best] >= bundle["threshold"]]
        for index in best:
            # What steers a terminal, or would end the line, is shown as \\xNN.
            shown = [
                f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else c for c in bundle["labels"][index]
            ]
            label = "".join(shown)
            print(path, index, f"{output[index]:.6g}", f"{shares[index]:.6f}", label, sep="\t")


if __name__ == "__main__":
    try:
        if len(sys.argv) < 3:
            raise ValueError("two arguments at least are wanted: BUNDLE PHOTO...")
        main(Path(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError, KeyError) as error:  # a file that is not there, or is not what it should be
        print(
            f"{sys.argv[0]}: {f'the manifest has no {error}' if isinstance(error, KeyError) else error}",
            file=sys.stderr,
        )
        sys.exit(2)
