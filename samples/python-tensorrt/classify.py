"""A TensorRT bundle's engine on photos, without edgeeff: labels or features, by exactly its preprocessing."""

import argparse
import json
from pathlib import Path

import numpy as np
from engine import Network
from PIL import Image, ImageOps


# From here on the samples in Python are the same for every runtime.
def fitted(path, preprocess):
    """A photo as pixels uint8 [H, W, C] of the input."""
    (height, width), channels = preprocess["size"], len(preprocess["mean"])
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"{path} has more than 8 bits for a colour")
        image = ImageOps.exif_transpose(image) if preprocess.get("exif") else image
        image = image.convert("L" if channels == 1 else "RGB")
    method, photo = getattr(Image.Resampling, preprocess["interpolation"].upper()), image.size
    if photo != (width, height) and preprocess.get("letterbox") is not None:
        scale = min(width / photo[0], height / photo[1])
        inner = [max(int(side * scale + 1e-6), 1) for side in photo]
        fill = tuple(map(round, preprocess["letterbox"]))
        shown, image = image.resize(inner, method), Image.new(image.mode, (width, height), fill)
        image.paste(shown)
    elif photo != (width, height):
        scales = width / preprocess["crop"] / photo[0], height / preprocess["crop"] / photo[1]
        scales = scales if preprocess.get("squash") else (max(scales),) * 2
        shown = width / scales[0], height / scales[1]
        left, top = (max((of - part) / 2, 0.0) for of, part in zip(photo, shown))
        box = (left, top, min(left + shown[0], photo[0]), min(top + shown[1], photo[1]))
        image = image.resize((width, height), method, box)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def prepared(pixels, manifest, channels_first):
    """Pixels uint8 [N, H, W, C] as the artifact's input."""
    mean, std = (np.float32(manifest["preprocess"][key]) for key in ("mean", "std"))
    made = (pixels.astype(np.float32) - mean) / std if manifest["input"] == "float32" else pixels
    made = (pixels ^ 128).view(np.int8) if manifest["input"] == "int8" else made  # pixel - 128
    return np.ascontiguousarray(made.transpose(0, 3, 1, 2) if channels_first else made)


def lines(outputs, manifest):
    """What the network says: class, output, probability, label; or an output, its size and its length."""
    if manifest["task"] == "features":
        return [[name, v[0].size, float(np.linalg.norm(v[0]))] for name, v in outputs.items()]
    (values,) = (v[0] for v in outputs.values())
    several, powers = manifest["task"] == "multilabel", np.exp(values - values.max())
    shares = np.exp(-np.logaddexp(0, -values)) if several else powers / powers.sum()
    shares = values if manifest["softmax"] else shares
    order = np.argsort(-shares, kind="stable")
    shown = order[shares[order] >= np.float32(manifest["threshold"])] if several else order[:3]
    return [[i, float(values[i]), float(shares[i]), manifest["labels"][i]] for i in shown]


def main(bundle, photos):
    manifest = {"batch": 1, **json.loads((bundle / "manifest.json").read_text("utf-8"))}
    runtime = manifest["runtime"]
    if manifest["schema_version"] > 2 or runtime != Network.runtime or manifest["task"] == "detection":
        raise ValueError(f"{bundle} is for {runtime} and {manifest['task']}: see the other samples")
    if manifest["preprocess"].get("camera") or len(manifest["preprocess"]["mean"]) == 4:
        raise ValueError(f"{bundle} takes a camera's frames, or four channels: see its README.md")
    network = Network(bundle, manifest)
    images = 1 if isinstance(manifest["batch"], str) else manifest["batch"]  # a fixed batch is filled up
    for photo in photos:
        pixels = fitted(photo, manifest["preprocess"])
        outputs = network(prepared(np.stack([pixels] * images), manifest, network.channels_first))
        for line in lines(outputs, manifest) or [[-1, "no label"]]:
            print(photo, *(repr(e)[1:-1] if isinstance(e, str) else e for e in line), sep="\t")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", nargs="+", help="JPEG, PNG, PPM and what else Pillow reads")
    try:
        main(**vars(parser.parse_args()))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: {' '.join(str(error).split())}\n")
