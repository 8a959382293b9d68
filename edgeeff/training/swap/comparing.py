"""The swapped network beside the network as it was: built for the same targets, judged and timed in one run.

Both are built from the same photos and settings, on the least effort, on which no artifact's time hangs. They
run interleaved, in fresh processes, as ``edgeeff bench`` has it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff.errors import MissingRuntimeError
from edgeeff.harness.accuracy import evaluate_all
from edgeeff.harness.latency import benchmark
from edgeeff.metrics import json_number
from edgeeff.pipeline.build import build
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.request.parts import Images, Output, Preprocessing, Quantise, Source
from edgeeff.preprocess import Pixels
from edgeeff.progress import Silent
from edgeeff.target import load_target
from edgeeff.training.setting import Setting
from edgeeff.training.swap.photos import Stream, in_batches, spread, stacked

#: Photos that calibrate, and that judge the artifacts, at most; pixels of either, at most.
CALIBRATING, JUDGING, _PIXELS = 256, 1000, 64_000_000
#: The float artifact that the others are held against, by the runtime of a target.
_FLOAT = {"openvino": "cpu-fp32", "tflite": "mobile-fp32"}


def compare(setting: Setting, content: bytes, arch: str, targets: Sequence[str]) -> dict[str, Any]:
    """Build both networks for each target, and hold them against each other.

    Args:
        setting: The swap.
        content: The swapped network's checkpoint.
        arch: Its name.
        targets: Names of targets.

    Returns:
        For each target: ``ratio`` (time of the swapped ÷ that of the network as it was; under 1: faster) with
        its interval and clock, ``before`` and ``after`` of the artifacts: agreement with and centred SQNR to
        the float network as it was, dB, and top-1 where labels are known; or ``not_run`` with the reason.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="edgeeff-swap-") as place:
        folder = Path(place)
        (folder / "swapped.pt").write_bytes(content)
        calibration = _written(setting, folder / "calibration.npz", judging=False)
        judging = _written(setting, folder / "judging.npz", judging=True)
        swapped = Source(checkpoint=str(folder / "swapped.pt"), model=arch)
        sources = {"before": setting.request.source, "after": swapped}
        for target in targets:
            setting.context.progress.stage(f"comparing on {target}")
            try:
                found[target] = _on(setting, folder, sources, target, (calibration, judging))
            except MissingRuntimeError as error:
                found[target] = {"not_run": error.what}
            if slower := _slower(found[target]):
                setting.context.warn(
                    f"on {target} {arch} takes {slower:.2f} times as long as before the swap"
                )
    return found


def _slower(found: Mapping[str, Any]) -> float | None:
    """How many times as long the swapped network takes, where it surely takes longer."""
    ratio = found.get("ratio") or {}
    interval = ratio.get("interval")
    return float(ratio["value"]) if interval and interval[0] > 1 else None


def _on(
    setting: Setting,
    folder: Path,
    sources: Mapping[str, Source],
    target: str,
    images: tuple[Path, Path],
) -> dict[str, Any]:
    """Both on one target."""
    floating = _FLOAT.get(load_target(target).runtime)
    bundles: dict[str, Path] = {}
    for name, source in sources.items():
        wanted = (target, *([floating] if floating and name == "before" else []))
        request = BuildRequest(
            source=source,
            output=Output(targets=wanted, output=folder / "built", name=name),
            images=Images(calibration=images[0], validation=images[1], count=None, force_calibration=True),
            preprocess=_as_prepared(setting),
            quantise=Quantise(effort="fast"),
        )
        for one in build(request, cache=setting.context.cache, progress=Silent()):
            bundles[name if one.bundle.manifest.target == target else "float"] = one.bundle.folder
    found = _times(bundles)
    if "float" in bundles:
        found |= _accuracies(bundles, images[1])
    return found


def _times(bundles: Mapping[str, Path]) -> dict[str, Any]:
    """How long both take, interleaved."""
    report = benchmark([bundles["before"], bundles["after"]], progress=Silent())
    before, after = (entry.name for entry in report.entries)
    if (why := report.entry(after).not_run or report.entry(before).not_run) is not None:
        return {"not_run": why}
    ratio = report.ratio(after)
    return {
        "ratio": ratio.to_json() if ratio is not None else None,
        "clock": report.clock,
        "runtime_properties": {
            name: dict(report.entry(one).runtime_properties)
            for name, one in (("before", before), ("after", after))
        },
        "warnings": list(report.warnings),
    }


def _accuracies(bundles: Mapping[str, Path], judging: Path) -> dict[str, Any]:
    """What the artifacts are worth, against the float network as it was."""
    both = ("before", "after")
    reports = evaluate_all(
        [bundles[one] for one in both], judging, reference=bundles["float"], progress=Silent()
    )
    found: dict[str, Any] = {}
    for name, report in zip(both, reports, strict=True):
        against, scores = report.reference, report.scores
        found[name] = {
            "photos": report.images,
            "scores": scores.to_json() if scores else None,
            "agreement": against.agreement.to_json() if against and against.agreement else None,
            "sqnr_centred_db": json_number(against.sqnr_centred) if against else None,
        }
    return found


def _as_prepared(setting: Setting) -> Preprocessing:
    """Photos are prepared already: nothing is cut off, and the rest is as it was."""
    own = setting.preprocess
    return Preprocessing(size=own.size, mean=own.mean, std=own.std, crop=1.0)


def _written(setting: Setting, path: Path, *, judging: bool) -> Path:
    """Prepared pixels of some photos with their classes, where they are known."""
    data = setting.data.validation if judging else setting.data.train
    own = setting.preprocess
    most = max(8, min(JUDGING if judging else CALIBRATING, _PIXELS // (own.size[0] * own.size[1])))
    chosen = spread(len(data), most)
    stream = Stream(data.pictures, own, setting.context)
    parts: list[Pixels] = []
    numbers: list[int] = []
    for batch in stream.batches(in_batches(chosen, 32)):
        parts.append(batch.pixels)
        numbers += batch.numbers
    truth = data.truth[numbers] if judging else np.zeros(0, np.int64)
    known: dict[str, Any] = {"labels": truth} if len(truth) and (truth >= 0).any() else {}
    np.savez(path, images=stacked(parts), **known)
    return path
