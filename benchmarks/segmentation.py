"""A segmenter end to end, by the command line as users have it: mean IoU in float, and what INT8 loses of it.

    python -m benchmarks.segmentation --data FOLDER --checkpoint b0.pt [--minutes 45] [--size 128x160]

FOLDER holds ``images/train``, ``images/val``, ``masks/train``, ``masks/val`` (CamVid's 11 classes and void).
The encoder is the checkpoint's, or ``--model``'s published weights. All of the network learns for so many
minutes; then it is built for OpenVINO, TFLite and TensorRT, and judged on ``val`` beside its float bundle,
with the interval of what was lost. TensorRT's bundle is judged by its graph in onnxruntime.

On two processors with nothing else to do: the minutes that are asked for, and ten.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian")
NAMES = (*CLASSES, "bicyclist", "void")
TARGETS = ("cpu-int8", "mobile-int8", "jetson-int8", "cpu-fp32")


def edgeeff(*arguments: str) -> str:
    """A verb's standard output."""
    command = [sys.executable, "-m", "edgeeff", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--checkpoint", type=Path)
    asked.add_argument("--model", default="b0")
    asked.add_argument("--minutes", default="45")
    asked.add_argument("--size", default="128x160")
    asked.add_argument("--effort", default="balanced")
    asked.add_argument("--output", type=Path)
    said = asked.parse_args()
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        described = {"path": str(said.data.absolute()), "train": "images/train", "val": "images/val"}
        data = folder / "camvid.yaml"  # JSON is YAML
        data.write_text(json.dumps({**described, "names": list(NAMES)}))
        source = [f"--checkpoint={said.checkpoint}"] if said.checkpoint else [f"--model={said.model}"]
        trained = folder / "best.pt"
        how = (f"--size={said.size}", f"--minutes={said.minutes}", f"--output={trained}", "--json")
        learnt = json.loads(edgeeff("finetune", str(data), *source, *how))
        targets = [f"--target={target}" for target in TARGETS]
        photos = f"--calibration={said.data / 'images/train'}"
        bundles = f"--output={folder / 'dist'}"
        edgeeff(
            "build", f"--checkpoint={trained}", *targets, photos, f"--effort={said.effort}", bundles, "--json"
        )
        built = {target: next((folder / "dist").glob(f"*{target}")) for target in TARGETS}
        reports = []
        for target in TARGETS[:-1]:
            via = ("--via=onnxruntime",) if target.startswith("jetson") else ()
            judged = ("--images", str(data), f"--reference={built['cpu-fp32']}", "--json", "--no-history")
            reports += json.loads(edgeeff("eval", str(built[target]), *judged, *via))
    epochs = learnt["history"]["all"]
    print(f"float mIoU {learnt['scores']['miou']:.3f} after {len(epochs)} epochs")
    for report in reports:
        lost = report["reference"].get("lost", {})
        print(f"{report['bundle']:32} mIoU {report['scores']['miou']:.3f}, lost {lost}")
    if said.output:
        said.output.write_text(json.dumps({"training": learnt, "reports": reports}, indent=1))


if __name__ == "__main__":
    main()
