"""Verdicts against a baseline: each metric, and what must not be compared."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgeeff.errors import ReportError
from edgeeff.gate import against
from edgeeff.gate.accuracy import needed_images
from edgeeff.gate.alone import Alone
from edgeeff.gate.baseline import Baseline, Correct, Run
from edgeeff.gate.verdict import Settle

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64
RUNS = [(5.0, 5.02), (5.05, 5.03), (4.98, 5.0), (5.02, 5.01), (5.0, 4.97)]


def baseline(bundle=OLD, runs=RUNS, right=900, images=1000, **metrics):
    figures = {"size": (1e6, "bytes"), "memory": (20.0, "MB"), "load_time": (10.0, "ms")}
    figures |= {"sqnr_centred": (25.0, "dB"), "agreement": (97.0, "%"), **metrics}
    return Baseline(
        *("b0-cpu-int8", "b0", "cpu-int8", bundle, "d" * 64, {}, 1, "cpu"),
        metrics=figures,
        runs=tuple(Run(bundle, run, "2026-11-26T20:00:00Z") for run in runs),
        correct=Correct("e" * 64, np.arange(images) < right),
    )


def alone(launch_ms=(10.0, 10.1), peak=(20.0, 20.0), **changes):
    launches = tuple(
        SimpleNamespace(runs={0: SimpleNamespace(load_ms=ms, peak_memory_mb=mb)})
        for ms, mb in zip(launch_ms, peak, strict=True)
    )
    return Alone(baseline(NEW, **{"runs": [(5.0, 5.01)], **changes}), launches, 3.0)


def decide(measured, standing=None, known=None, **limits):
    case = SimpleNamespace(name="b0-cpu-int8", limits=limits, images="photos", reference="float")
    found = against.verdicts(case, standing or baseline(), measured, known or {})
    return {verdict.metric: verdict for verdict in found}


def test_latency_passes_fails_and_waits_for_runs():
    assert decide(alone(), latency=3.0)["latency"].status == "pass"
    slower = decide(alone(runs=[(5.5, 5.52)]), latency=3.0)["latency"]
    assert (slower.status, round(slower.value)) == ("fail", 10)
    few = decide(alone(), baseline(runs=RUNS[:2]), latency=3.0)["latency"]
    assert few.status == "inconclusive" and "3 more runs of the baseline's bundle are missing" in few.why
    # What the history has of this bundle and of others counts for what days differ by.
    known = {OLD: [RUNS[2]], OTHER: [(8.0, 8.1), (8.1, 8.0), (8.0, 8.0)]}
    assert decide(alone(), baseline(runs=RUNS[:2]), known, latency=3.0)["latency"].status == "pass"


def test_without_times_latency_is_an_error():
    found = decide(alone(), baseline(runs=[]), latency=3.0)["latency"]
    assert found.status == "error" and "holds no times" in found.why


def test_costs_by_their_limits():
    larger = decide(alone(size=(1.02e6, "bytes")), size=1.0)["size"]
    assert larger.status == "fail" and larger.value == pytest.approx(2.0)
    assert decide(alone(size=(0.5e6, "bytes")), size=1.0)["size"].status == "pass"
    high = alone(memory=(25.0, "MB"), peak=(24.9, 25.1))
    assert decide(high, memory=10.0)["memory"].status == "fail"
    mixed = alone(load_time=(16.0, "ms"), launch_ms=(10.0, 22.0))
    assert decide(mixed, load_time=50.0)["load_time"].status == "inconclusive"
    absent = replace(baseline(), metrics={})
    assert decide(alone(), absent, size=1.0)["size"].status == "error"


def test_accuracy_image_by_image():
    assert decide(alone(right=900), top_1=1.0)["top_1"].status == "pass"
    worse = decide(alone(right=850), top_1=1.0)["top_1"]
    assert worse.status == "fail" and worse.value == 5.0 and worse.measured["lost"] == 50
    unclear = decide(alone(right=897), top_1=0.5)["top_1"]
    assert unclear.status == "inconclusive" and unclear.settle.images > 1000
    # It names more images than there were, as a gate of two bundles does: here 10 lost and 8 won of 1000.
    measured = alone(right=900)
    right = measured.baseline.correct.right.copy()
    right[:10], right[900:908] = False, True
    few = replace(measured, baseline=replace(measured.baseline, correct=Correct("e" * 64, right)))
    near = decide(few, top_1=1.0)["top_1"]
    assert near.status == "inconclusive" and near.settle == Settle(images=needed_images(18, 1000, 1.0))
    assert near.settle.images > 1000 and "10 lost and 8 won" in near.why
    measured = alone()
    other = Correct("f" * 64, measured.baseline.correct.right)
    moved = replace(measured, baseline=replace(measured.baseline, correct=other))
    assert decide(alone(images=1001), top_1=1.0)["top_1"].status == "error"  # edited by hand
    found = decide(moved, top_1=1.0, agreement=2.0)
    assert {v.status for v in found.values()} == {"error"} and "other images" in found["top_1"].why


def test_fidelity_by_its_limit():
    found = decide(alone(sqnr_centred=(23.5, "dB"), agreement=(96.0, "%")), sqnr_centred=1.0, agreement=2.0)
    assert (found["sqnr_centred"].status, found["agreement"].status) == ("fail", "pass")
    assert found["sqnr_centred"].value == 1.5 and found["agreement"].unit == "points"


@pytest.mark.parametrize("change", [{"threads": 2}, {"clock": "wall"}])
def test_what_was_measured_otherwise_is_refused(change):
    with pytest.raises(ReportError, match="was measured with"):
        decide(alone(), replace(baseline(), **change), latency=3.0)
