"""A .tflite bundle on photos, without edgeeff: boxes, by exactly its preprocessing."""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


class Network:
    """The bundle's artifact, loaded, for one thread."""

    runtime, channels_first = "tflite", False

    def __init__(self, folder, manifest):
        from ai_edge_litert.interpreter import Interpreter

        if manifest["runtime_properties"]:
            raise ValueError(f"{folder} is run without XNNPACK, which this program does not do")
        self.runner = Interpreter(str(folder / "model.tflite"), num_threads=1).get_signature_runner()
        (self.input,) = self.runner.get_input_details()
        self.details = self.runner.get_output_details()

    def __call__(self, images):
        """The outputs by name, for images as the artifact takes them; integers as what they mean."""
        found = self.runner(**{self.input: images})
        for name, values in found.items():
            scale, zero_point = self.details[name]["quantization"]
            if scale:
                found[name] = np.float32(values.astype(np.int32) - zero_point) * np.float32(scale)
        return found


def boxes_made(outputs, width, height):
    """Boxes that the artifact makes: corners in pixels of the input, scores and classes."""
    count = int(outputs["num_detections"].flat[0])  # behind so many stands nothing
    corners, classes, scores = (outputs[f"detection_{e}"][0][:count] for e in ("boxes", "classes", "scores"))
    return corners[:, [1, 0, 3, 2]] * np.float32([width, height] * 2), scores, classes.astype(int)


# From here on the samples in Python are the same for every runtime.
def fitted(path, preprocess):
    """A photo as pixels uint8 [H, W, C] of the input, the part of it that they show, and its size."""
    (height, width), channels = preprocess["size"], len(preprocess["mean"])
    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")) or channels == 4:
            raise ValueError(f"{path} has more than 8 bits for a colour, or the bundle takes four channels")
        image = ImageOps.exif_transpose(image) if preprocess.get("exif") else image
        image = image.convert("L" if channels == 1 else "RGB")
    method, photo = getattr(Image.Resampling, preprocess["interpolation"].upper()), image.size
    box = (0.0, 0.0, float(photo[0]), float(photo[1]))
    if photo != (width, height) and preprocess.get("letterbox") is not None:
        scale = min(width / photo[0], height / photo[1])
        inner = [max(int(side * scale + 1e-6), 1) for side in photo]
        box = (0.0, 0.0, width * photo[0] / inner[0], height * photo[1] / inner[1])
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
    return np.asarray(image, np.uint8).reshape(height, width, channels), box, photo


def prepared(pixels, manifest, channels_first):
    """Pixels uint8 [N, H, W, C] as the artifact's input."""
    mean, std = (np.float32(manifest["preprocess"][key]) for key in ("mean", "std"))
    made = (pixels.astype(np.float32) - mean) / std if manifest["input"] == "float32" else pixels
    made = (pixels ^ 128).view(np.int8) if manifest["input"] == "int8" else made  # pixel - 128
    return np.ascontiguousarray(made.transpose(0, 3, 1, 2) if channels_first else made)


def anchors(said):
    """Centre y and x, height and width of each: level by level, row by row, each size with all its shapes."""
    found, (rows, columns), ratios = [], said["size"], np.array(said["ratios"])
    sides = said["scale"] * 2.0 ** (np.arange(said["octaves"]) / said["octaves"])[:, None]
    for level in range(1, said["levels"][1] + 1):
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
        if level >= said["levels"][0]:
            strides = np.array([said["size"][0] / rows, said["size"][1] / columns])
            middle = (np.moveaxis(np.indices((rows, columns)), 0, 2)[:, :, None] + 0.5) * strides
            half = np.stack([sides * s * r / 2 for s, r in zip(strides, ratios.T[::-1])], 2).reshape(-1, 2)
            low, high = np.float32(middle - half), np.float32(middle + half)
            found.append(np.concatenate([(low + high) / 2, high - low], 3).reshape(-1, 4))
    return np.concatenate(found)


def boxes_of_anchors(outputs, detection, threshold):
    """The same from scores and codes of anchors."""
    nms, flat, codes = detection["nms"], outputs["class_logits"][0].reshape(-1), outputs["box_codes"][0]
    score = max(nms["score"], threshold * (1 - 1e-5))
    places = np.flatnonzero(flat >= np.float32(np.log(score / (1 - score))))
    places = places[np.argsort(-flat[places], kind="stable")][:5000]
    numbers, classes = np.divmod(places, outputs["class_logits"].shape[2])
    code, anchor = codes[numbers], anchors(detection["geometry"])[numbers]
    middle = np.clip(code[:, :2], -1e6, 1e6) * anchor[:, 2:] + anchor[:, :2]
    half = np.exp(np.clip(code[:, 2:], -16, 16)) * anchor[:, 2:] / 2
    corners = np.concatenate([middle - half, middle + half], 1)[:, [1, 0, 3, 2]]
    area, kept = (corners[:, 2:] - corners[:, :2]).prod(1), []
    for i in np.flatnonzero(~np.isnan(code).any(1)):
        better = [k for k in kept if nms["across"] or classes[k] == classes[i]]
        own, c = corners[i], corners[better]
        common = np.maximum(np.minimum(c[:, 2:], own[2:]) - np.maximum(c[:, :2], own[:2]), 0).prod(1)
        if not (common > (area[better] + area[i] - common) * np.float32(nms["iou"])).any():
            kept.append(i)
    kept = kept[: nms["max_boxes"]]
    return corners[kept], np.exp(-np.logaddexp(0, -flat[places[kept]])), classes[kept]


def lines(outputs, manifest, box, photo):
    """The boxes of an image, the best first: class, score, corners in pixels of the photo, label."""
    detection, (height, width) = manifest["detection"], manifest["preprocess"]["size"]
    host, threshold = detection["where"] == "host", manifest["threshold"]
    made = boxes_of_anchors(outputs, detection, threshold) if host else boxes_made(outputs, width, height)
    corners, scores, classes = made
    scale = np.array([(box[2] - box[0]) / width, (box[3] - box[1]) / height] * 2)
    corners = np.clip(corners * scale + np.array([*box[:2], *box[:2]]), 0, [*photo, *photo])
    there = (scores >= np.float32(threshold)) & (corners[:, 2:] > corners[:, :2]).all(1)
    order = [i for i in np.argsort(-scores, kind="stable") if there[i]]
    return [[classes[i], float(scores[i]), *corners[i], manifest["labels"][classes[i]]] for i in order]


def main(bundle, photos):
    manifest = {"batch": 1, **json.loads((bundle / "manifest.json").read_text("utf-8"))}
    task = "a camera's frames" if manifest["preprocess"].get("camera") else manifest["task"]
    if manifest["schema_version"] > 2 or manifest["runtime"] != Network.runtime or task != "detection":
        raise ValueError(f"{bundle} is for {manifest['runtime']} and {task}: see the other samples")
    network = Network(bundle, manifest)
    images = 1 if isinstance(manifest["batch"], str) else manifest["batch"]  # a fixed batch is filled up
    for photo in photos:
        pixels, box, size = fitted(photo, manifest["preprocess"])
        outputs = network(prepared(np.stack([pixels] * images), manifest, network.channels_first))
        for line in lines(outputs, manifest, box, size) or [[-1, "no box"]]:
            print(photo, *(repr(e)[1:-1] if isinstance(e, str) else e for e in line), sep="\t")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", nargs="+", help="JPEG, PNG, PPM and what else Pillow reads")
    try:
        main(**vars(parser.parse_args()))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: {' '.join(str(error).split())}\n")
