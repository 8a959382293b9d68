"""Photos through a bundle that Triton Inference Server runs. No edgeeff.

    python3 client.py BUNDLE 127.0.0.1:8000 photo.jpg...

Prints a line for each label or box, with tabs between: the photo, and what the other samples print.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
import bundle

try:
    import tritonclient.http as triton
except ImportError:
    print("tritonclient is not installed: pip install 'tritonclient[http]'", file=sys.stderr)
    sys.exit(2)

TYPES = {"uint8": "UINT8", "int8": "INT8", "float32": "FP32"}


def model_of(server: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """What the server says of the bundle's model, which has to be what the bundle says of itself."""
    name = facts["name"]
    try:
        if not server.is_model_ready(name):
            raise SystemExit(
                f"the server has no model {name}: edgeeff inspect BUNDLE --triton FOLDER writes it"
            )
        said: dict[str, Any] = server.get_model_metadata(name)
    except (triton.InferenceServerException, OSError) as error:
        raise SystemExit(f"the server does not answer ({error})") from None
    inputs = said["inputs"]
    if len(inputs) != 1 or inputs[0]["datatype"] != TYPES[facts["input"]]:
        raise SystemExit(
            f"the server's {name} takes {inputs}, and the bundle {facts['input']}: not one build"
        )
    return said


def outputs_of(found: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The server's outputs as the bundle means them: boxes as ``detections`` [1, K, 6]."""
    if facts.get("detection") is None:
        names = [output["name"] for output in facts["outputs"]]
        if set(found) != set(names):
            raise SystemExit(f"the server gives {', '.join(found)}, and the bundle {', '.join(names)}")
        return {name: found[name] for name in names}
    if set(found) == {"detections"}:  # OpenVINO's rows: image, class, score, and sides as shares of the input
        rows = found["detections"].reshape(-1, 7)
        ended = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ended[0] if len(ended) else None]
        height, width = facts["preprocess"]["size"]
        sides = rows[:, 3:] * np.float32([width, height, width, height])
        return {"detections": np.hstack([sides, rows[:, 2:3], rows[:, 1:2]])[None]}
    if "num_detections" in found:  # EfficientNMS_TRT's: top, left, bottom and right in pixels of the input
        count = int(found["num_detections"].reshape(-1)[0])
        parts = [found["detection_boxes"][0][:, [1, 0, 3, 2]]]
        parts += [found[f"detection_{name}"][0][:, None] for name in ("scores", "classes")]
        return {"detections": np.hstack([part.astype(np.float32) for part in parts])[None, :count]}
    raise SystemExit(f"the server gives {', '.join(found)} and no boxes: serve a build with --nms runtime")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("server", help="host:port of HTTP, such as 127.0.0.1:8000")
    parser.add_argument("photos", nargs="+")
    asked = parser.parse_args()
    facts = bundle.read(asked.bundle)
    with triton.InferenceServerClient(asked.server) as server:
        model = model_of(server, facts)
        (source,) = model["inputs"]
        channels_first = source["shape"][-1] != len(facts["preprocess"]["mean"])
        for path in asked.photos:
            try:
                photo = Image.open(path)
                photo.load()
            except (OSError, ValueError) as error:
                raise SystemExit(f"{path} is no photo ({error})") from None
            photo = ImageOps.exif_transpose(photo) if facts["preprocess"].get("exif") else photo
            fitted, back = bundle.fitted(facts, photo)
            image = bundle.prepared(facts, fitted, channels_first)
            # A model that batches itself, and says so by -1, takes the same: one image.
            tensor = triton.InferInput(source["name"], list(image.shape), source["datatype"])
            tensor.set_data_from_numpy(image)
            try:
                answer = server.infer(facts["name"], [tensor])
            except triton.InferenceServerException as error:
                raise SystemExit(f"{path}: the server refuses it ({error})") from None
            found = {output["name"]: answer.as_numpy(output["name"]) for output in model["outputs"]}
            for line in bundle.answers(facts, outputs_of(found, facts), back, photo.size):
                print(f"{path}\t{line}", flush=True)


if __name__ == "__main__":
    bundle.ended(main)
