"""What it costs to make boxes of a detector's logits and codes, in CPU time of one thread.

Without bundles: of made-up logits with the statistics of trained detectors (background far under the floor of
the score, a few dozen anchors on each object), and of the worst that there can be (every logit over it). They
are held against the plain way in numpy: sigmoid of everything, sorted, one box after the other against those
that stay. With bundles: of what they say of photos, against the bare inference of these. Both run in
turn, in an order that changes with each round; the figure is the median over rounds of their ratio, with its
95 % bootstrap interval.

    python -m benchmarks.decoding
    python -m benchmarks.decoding dist/d0-cpu-int8 --images photos
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle
from edgeeff.detection import Boxes, Geometry, Nms, decode
from edgeeff.detection.decoding import corners_of, sigmoid
from edgeeff.errors import OptionError
from edgeeff.images import open_images
from edgeeff.metrics import bootstrap_ratio
from edgeeff.tasks import Naming
from edgeeff.tasks.detection import boxes_of

MEASURES = (
    Measure("ratio", digits=3, title="ratio", low="low", high="high"),
    Measure("ms", "ms", 2, "ours"),
    Measure("against", title="against"),
    Measure("its_ms", "ms", 2, "its time"),
)
ABOUT = """CPU time of one thread to make the boxes of one image, against the plain way in numpy (or a
bundle's inference), in turn: the median over {rounds} rounds, with its 95 % bootstrap interval. Made-up
outputs have the statistics of a trained D0's, or the worst that there can be."""

Array = npt.NDArray[Any]
#: COCO's heads.
_CLASSES = 90


def _made_up(geometry: Geometry) -> Iterator[tuple[str, Array, Array]]:
    random = np.random.default_rng(0)
    codes = random.normal(0, 0.2, (geometry.count, 4)).astype(np.float32)
    usual = random.normal(-8, 1, (geometry.count, _CLASSES)).astype(np.float32)
    for _ in range(8):
        first, which = random.integers(geometry.count - 30), random.integers(_CLASSES)
        usual[first : first + 30, which] = random.normal(1, 2, 30)
    yield "8 objects", usual, codes
    yield "all over the floor", random.normal(3, 2, usual.shape).astype(np.float32), codes
    one = np.full_like(usual, -9)
    one[:, 0] = random.normal(1, 1, len(one))
    yield "all of one class", one, codes


def _plain(logits: Array, codes: Array, geometry: Geometry, nms: Nms) -> Boxes:
    """What a port of the reference does that thinks of nothing."""
    scores = sigmoid(logits.reshape(-1))
    order = np.argsort(-logits.reshape(-1), kind="stable")[:5000]  # scores are alike near one
    order = order[scores[order] >= nms.score]
    anchors, classes = np.divmod(order, logits.shape[1])
    corners = corners_of(codes, geometry.centres())[anchors]
    kept: list[int] = []
    for number, (left, top, right, bottom) in enumerate(corners):
        same = [k for k in kept if classes[k] == classes[number]]
        a = corners[same]
        wide = np.minimum(a[:, 2], right) - np.maximum(a[:, 0], left)
        high = np.minimum(a[:, 3], bottom) - np.maximum(a[:, 1], top)
        common = np.maximum(wide, 0) * np.maximum(high, 0)
        areas = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]) + (right - left) * (bottom - top)
        if not (common > nms.iou * (areas - common)).any():
            kept.append(number)
            if len(kept) == nms.max_boxes:
                break
    return Boxes(corners[kept], scores[order[kept]], classes[kept])


def _compared(calls: dict[str, Callable[[], object]], rounds: int, times: int) -> tuple[Array, Array]:
    """The medians of two calls in each round, s of CPU time."""
    medians = np.empty((2, rounds))
    for turn in range(rounds):
        taken = np.empty((2, times))
        for number in range(times):
            for which in np.roll(range(2), turn + number):
                begin = time.thread_time()
                [*calls.values()][which]()
                taken[which, number] = time.thread_time() - begin
        medians[:, turn] = np.median(taken, axis=1)
    return medians[0], medians[1]


def _row(name: str, other: str, own: Array, held: Array) -> dict[str, Any]:
    interval = bootstrap_ratio(list(own), list(held), seed=0)
    return {
        "of": name,
        "ms": float(np.median(own)) * 1e3,
        "against": other,
        "its_ms": float(np.median(held)) * 1e3,
        "ratio": float(np.median(own / held)),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _of_bundle(path: Path, images: str, rounds: int) -> list[dict[str, Any]]:
    """What ``run`` shows (boxes at the threshold), and all boxes, of which average precision is."""
    bundle = Bundle.load(path)
    manifest = bundle.manifest
    if manifest.detection is None:
        raise OptionError(f"{path} is no detector's", mend="name bundles of detectors")
    session = bundle.session(1)
    pictures = open_images(images)
    photos = [pixels[:1] for pixels, _ in islice(pictures.batches(manifest.preprocess, 1), 8)]
    said = [session.infer(photo) for photo in photos]
    meaning, naming = manifest.meaning, Naming(manifest.labels, manifest.absent)

    def shown() -> None:
        for outputs in said:
            meaning.decode(outputs, naming)

    def every() -> None:
        for outputs in said:
            boxes_of(outputs, meaning)

    def inference() -> None:
        for photo in photos:
            session.infer(photo)

    rows = []
    for name, call in (("shown", shown), ("all", every)):
        own, bare = _compared({"boxes": call, "inference": inference}, rounds, 5)
        rows.append(_row(f"{bundle.name}, {name}", "inference", own / len(photos), bare / len(photos)))
    return rows


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--images", help="photos for the bundles")
    parser.add_argument("--side", type=int, default=512, help="of the made-up input; 512: 49 104 anchors")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    if asked.bundles:
        if asked.images is None:
            parser.error("bundles need --images")
        rows = [row for path in asked.bundles for row in _of_bundle(path, asked.images, asked.rounds)]
    else:
        geometry, nms = Geometry((asked.side, asked.side)), Nms()
        for name, logits, codes in _made_up(geometry):
            own, plain = (partial(way, logits, codes, geometry, nms) for way in (decode, _plain))
            if not np.array_equal(own().classes, plain().classes):
                raise SystemExit(f"{name}: both ways give other boxes")
            calls: dict[str, Callable[[], object]] = {"ours": own, "plain": plain}
            rows.append(_row(name, "the plain way", *_compared(calls, asked.rounds, 3)))
    formats = dict.fromkeys(("ms", "its_ms"), ".2f") | dict.fromkeys(("ratio", "low", "high"), ".4f")
    show("boxes of one image, one thread, CPU time", rows, formats)
    write(asked.json, "Boxes of a detector's outputs", ABOUT.format(rounds=asked.rounds), rows, MEASURES)


if __name__ == "__main__":
    main()
