"""make demo: real weights, real photos, three targets and their float controls, one table.

Everything it needs comes from installed packages; see calibration/*.toml.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import edgeeff
from edgeeff.bundle import Bundle
from edgeeff.cli import console, tables
from edgeeff.harness.accuracy import AccuracyReport
from edgeeff.harness.latency import LatencyReport
from edgeeff.harness.verify import Verification
from edgeeff.recipes import bundled_recipe
from edgeeff.tasks.classification import LabelScores

QUANTISED = ("cpu-int8", "mobile-int8", "jetson-int8")
CONTROLS = {"openvino": ("cpu-fp32", "cpu-bf16"), "tflite": ("mobile-fp32",), "tensorrt": ()}


def main() -> int:
    """Build, evaluate, benchmark, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="where the bundles go")
    parser.add_argument("--launches", type=int, default=8, help="processes of the benchmark")
    parser.add_argument("--seconds", type=float, default=0.6, help="of measuring per bundle and launch")
    options = parser.parse_args()

    labelled = bundled_recipe("imagenet20")
    others = bundled_recipe("other-photos")
    controls = [name for names in CONTROLS.values() for name in names]
    with console.ConsoleProgress() as progress:
        built = edgeeff.build(
            "lite0",
            targets=[*QUANTISED, *controls],
            calibration=bundled_recipe("default"),
            validation=others,
            output=options.output,
            progress=progress,
        )
        bundles = {b.bundle.manifest.target: b.bundle for b in built}
        runnable = [b.bundle for b in built if b.not_run is None]
        accuracy, fidelity = {}, {}
        for bundle in runnable:
            progress.stage(f"judging {bundle.name}")
            reference = bundles[CONTROLS[bundle.manifest.runtime][0]]
            accuracy[bundle.name] = edgeeff.evaluate(bundle, labelled, warn=progress.warn)
            fidelity[bundle.name] = edgeeff.evaluate(bundle, others, reference=reference, warn=progress.warn)
        progress.stage("measuring latency, the bundles in turn")
        latency = edgeeff.benchmark(
            list(bundles.values()), launches=options.launches, seconds=options.seconds, progress=progress
        )
    _print(list(bundles.values()), {b.bundle.name: b.hub for b in built}, accuracy, fidelity, latency)
    return 0


def _print(
    bundles: list[Bundle],
    hubs: dict[str, Verification | None],
    accuracy: dict[str, AccuracyReport],
    fidelity: dict[str, AccuracyReport],
    latency: LatencyReport,
) -> None:
    made = tables.new(
        "bundle", ">size", ">top-1 of 20", ">agreement", ">SQNR", ">latency p50", ">ratio to f32", ">to bf16",
        title="EfficientNet-Lite0, real ImageNet weights",
    )  # fmt: skip
    by_target = {bundle.manifest.target: bundle.name for bundle in bundles}
    for bundle in bundles:
        size = tables.megabytes(tables.artifact_bytes(bundle))
        timing = latency.entry(bundle.name).timing
        if bundle.name not in accuracy:
            hub = hubs[bundle.name]
            made.add_row(bundle.name, size, *[tables.NOT_RUN] * 6)
            if hub is not None and hub.agreement is not None:
                share = f"{hub.agreement.value:.1%}"
                made.add_row("  its graph in onnxruntime", "", "", share, tables.decibels(hub.sqnr))
            continue
        scores, reference = accuracy[bundle.name].scores, fidelity[bundle.name].reference
        assert isinstance(scores, LabelScores) and reference is not None
        assert reference.agreement is not None
        ratios = [latency.ratio(bundle.name, by_target[name]) for name in CONTROLS[bundle.manifest.runtime]]
        made.add_row(
            bundle.name,
            size,
            f"{scores.top_1.successes}",
            f"{reference.agreement.value:.1%}",
            "the control" if bundle.name == reference.name else tables.decibels(reference.sqnr),
            f"{timing.wall_ms.p50:.2f} ms" if timing else tables.NOT_RUN,
            *(f"{r.value:.2f}" if r else tables.NOT_RUN for r in ratios),
        )
    console.table(made)
    console.plain(
        "Agreement and SQNR against the float control, on 200 crops of photos that no calibration saw; "
        "top-1 on the 20 labelled photos, which calibrated."
    )
    here = latency.machine
    console.plain(
        f"{here.cpu}, class {here.cpu_class}, one thread, governor {here.governor or 'unknown'}; "
        f"ratios of process CPU time, mean of {latency.launches} launches, the bundles in turn."
    )
    console.plain(
        f"{by_target['jetson-int8']}: engine {tables.NOT_RUN}, there is no Jetson here. "
        "Copy the bundle to one and run build_engine.py, then verify.py."
    )


if __name__ == "__main__":
    sys.exit(main())
