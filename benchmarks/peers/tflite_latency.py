"""How long an inference takes in LiteRT: mobile-int8 against a peer's file of the same network, and f32.

    python -m benchmarks.peers.tflite_latency --calibration PHOTOS --litert litert/bin/python [--model lite0]
        [--checkpoint FILE] [--size PIXELS] [--launches 16] [--json FILE]

``--litert`` is the Python of an environment with litert-torch and ai-edge-quantizer, which cannot stand
beside ours: ``peers/litert_build.py`` says how it is made, and runs in it. ``--file`` takes a file instead
that it, or another peer, has made of this network: int8 [1, H, W, 3] in, int8 out.

All run by LiteRT with XNNPACK, timed as in ``peers/latency.py``. ``integers`` is mobile-int8 with an int8
input and no layer in float, as the peer's file is; the target itself takes float32, and where the processor's
rule says so computes its first two layers in float.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edgeeff
from benchmarks.peers.contenders import Task, ours
from benchmarks.peers.latency import ABOUT, FORMATS, MEASURES, rows_of
from benchmarks.results import write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.harness.golden import GOLDEN
from edgeeff.harness.latency import benchmark
from edgeeff.images import open_images

PEER = "litert-torch + ai-edge-quantizer"
SCRIPT = Path(__file__).parent / "litert_build.py"


def converted(task: Task, python: Path, output: Path) -> Path:
    """The network as the peer makes it, from the same weights and images.

    Raises:
        SystemExit: It did not.
    """
    with tempfile.TemporaryDirectory() as folder:
        network, images = Path(folder) / "network.pt2", Path(folder) / "images.npy"
        inputs = np.concatenate(list(task.inputs()))
        program = torch.export.export(task.network.eval(), (torch.from_numpy(inputs[:1]),))
        torch.export.save(program, network)
        np.save(images, inputs)
        # An environment's own packages alone: PYTHONPATH may name ours.
        without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [python, SCRIPT, network, images, output]
        done = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {SCRIPT} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return output


def integers(task: Task) -> Bundle:
    """``mobile-int8`` with an int8 input, which asks for integers throughout."""
    name = f"{task.model}-integers"
    edgeeff.build(
        model=task.model,
        checkpoint=task.checkpoint,
        targets=["mobile-int8"],
        calibration=task.calibration,
        validation=task.calibration,
        count=len(open_images(task.calibration)),
        size=task.size,
        output=task.output,
        effort=task.effort,
        io="int8",
        name=name,
    )
    return Bundle.load(task.output / f"{name}-mobile-int8")


def wrapped(content: bytes, like: Bundle) -> Bundle:
    """A peer's file in a bundle as that of integers is, with its images."""
    facts: dict[str, Any] = {"outputs": (), "digests": {}, "tools": {}, "files": {}}
    manifest = replace(like.manifest, name=PEER, target=PEER, **facts)
    made = write_bundle(like.folder.parent / "peer", manifest, {"model.tflite": content})
    shutil.copytree(like.folder / GOLDEN, made.folder / GOLDEN)
    return made


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--litert", type=Path, help="Python of the peer's environment")
    source.add_argument("--file", type=Path, help="a .tflite file that a peer made of this network")
    parser.add_argument("--keep", type=Path, help="where the peer's file is kept, for --file")
    parser.add_argument("--effort", default="balanced", help="of our builds")
    parser.add_argument("--launches", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.8, help="measuring time for each bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--title", help="the network's name on the page; default: the model's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            options.model,
            options.checkpoint,
            options.calibration,
            options.size,
            Path(folder),
            options.effort,
        )
        file = options.file or converted(task, options.litert, options.keep or Path(folder) / "peer.tflite")
        plain = integers(task)
        peer = wrapped(file.read_bytes(), plain)
        bundles = [peer, *ours(task, "mobile-int8", "mobile-fp32").values(), plain]
        report = benchmark(
            bundles, launches=options.launches, seconds=options.seconds, threads=options.threads
        )
    rows = rows_of(report)
    show(f"{options.model}, one image, {report.threads} thread(s), ratio to {report.baseline}", rows, FORMATS)
    about = ABOUT.format(first=report.baseline, launches=options.launches, threads=report.threads)
    title = f"Latency of {options.title or options.model} in LiteRT"
    write(options.json, title, about, rows, MEASURES)


if __name__ == "__main__":
    main()
