"""The gate's report in words: what was measured and why the verdict follows, in lines of 80 columns."""

import numpy as np
import pytest

from edgeeff.gate import explain
from edgeeff.gate.sequential import Plan, conclude, decide
from edgeeff.gate.verdict import GateReport, Settle, Verdict


def pair(mean, deviation, seed=2):
    """A pair's latency as the gate decides it, of so many synthetic launches as it asks for."""
    random, plan = np.random.default_rng(seed), Plan()
    first: list[float] = []
    second: list[float] = []
    while (decided := conclude(first, second, plan) if first else None) is None:
        series = second if first and decide(first, plan) is not None else first
        series.append(float(random.normal(mean, deviation)))
    measured = {"clock": "cpu", "launches": len(first) + len(second), "seconds_per_launch": 0.6}
    measured |= {"looks": list(plan.looks), "alpha": plan.alpha, "beta": plan.beta}
    measured |= {"log_ratios": first, "repeat_log_ratios": second}
    settle = Settle(launches=decided.needed, seconds=90.0) if decided.needed else None
    value = 100 * decided.look.mean
    return Verdict(
        *("b0-cpu-int8", "latency", decided.status, value, "%", value - 1, value + 1, 3.0),
        why="as decided",
        settle=settle,
        measured=measured,
    )


@pytest.mark.parametrize(
    ("mean", "deviation", "status", "last"),
    [(0.0, 0.005, "pass", "pass"), (0.08, 0.01, "fail", "slower"), (0.015, 0.025, "inconclusive", "go on")],
)
def test_every_look_at_a_pair_is_shown(mean, deviation, status, last):
    verdict = pair(mean, deviation)
    assert verdict.status == status
    told = explain.text(GateReport((verdict,)))
    assert max(map(len, told.splitlines())) <= 80
    looks = [line for line in told.splitlines() if line.startswith("  after ")]
    assert len(looks) >= 1 and looks[-1].endswith(last)
    assert ("\n  second series " in told) == (status == "fail")
    assert {"pass": "is a pass", "fail": "exit status 1", "inconclusive": "exit status 3"}[status] in told


def test_every_kind_of_verdict_is_explained():
    against = {"against": "baseline", "clock": "cpu", "launches": 8, "new_ms": [4.1, 4.2]}
    against |= {"old_runs_ms": [[4.0, 4.1]] * 5, "between_runs_percent": 0.9}
    counted = {"images": 500, "lost": 12, "won": 2, "p": 0.006}
    verdicts = (
        Verdict("a" * 90, "latency", "inconclusive", 2.0, "%", -1.0, 5.0, 3.0, why="x", measured=against),
        Verdict("b", "size", "pass", 0.0, "%", limit=1.0, why="within"),
        Verdict("b", "top_1", "fail", 2.0, "points", None, 3.0, 1.0, why="lost", measured=counted),
        Verdict("b", "recall_1", "pass", 0.1, "points", limit=1.0, why="within", measured={"images": 70}),
        Verdict("b", "agreement", "pass", 0.1, "points", limit=1.0, why="within"),
        Verdict("c", "memory", "pass", 2.0, "%", -1.0, 7.0, 10.0, why="within"),
        Verdict("b", "memory", "error", why="the process ended with signal 11\nSegmentation fault"),
    )
    told = explain.text(GateReport(verdicts))
    assert max(map(len, told.splitlines()[1:])) <= 80
    for part in ("Welch's t-test", "500 images", "McNemar", "Segmentation fault", "NOT MEASURED", "0.90 %"):
        assert part in told
    assert told.count("McNemar") == 1 and "the recall_1 of both bundles on 70 images" in told
    assert "a better bundle, or a limit above +3.00 points" in " ".join(told.split())
    assert "a limit below +2.00 % instead of 10 %" in told  # memory is within by its figure alone


def test_nothing_measured_is_no_pass():
    assert "no pass: exit status 2" in explain.text(GateReport(()))
