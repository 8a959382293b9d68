"""When a gate's launches are enough, what it says then, and what it takes for no measurement."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from edgeeff.errors import EdgeeffError
from edgeeff.gate import costs, latency, pair
from edgeeff.gate.formats import junit, words
from edgeeff.gate.sequential import Plan
from edgeeff.gate.verdict import GateReport
from edgeeff.harness.launches import How, Launch, Run
from edgeeff.harness.sensors import Around, read
from edgeeff.progress import Recorder, Silent


def run(times_ms, place=0, peak=10.0, load=5.0) -> Run:
    times = tuple(round(1e6 * time) for time in times_ms)
    return Run(times, times, 1, True, place, load, 1.0, peak)


def launches(slower, noise=0.01, seed=0, rounds=20, launch_noise=True):
    """Launches of a machine whose old bundle takes 5 ms, as `measure` makes them."""
    random = np.random.default_rng(seed)

    def launch(bundles, batches, how, number):
        old = 5.0 * np.exp(random.normal(0, 0.05, rounds))
        ratio = 1 + (slower(number) if callable(slower) else slower)
        shift = random.normal(0, noise) if launch_noise else 0.0
        new = old * ratio * np.exp(shift + random.normal(0, 0.005, rounds))
        first = number % 2
        return Launch(number, {0: run(new, place=first), 1: run(old, place=1 - first)}, {})

    return launch


@pytest.fixture
def gate(make_bundle):
    pair = (make_bundle("new"), make_bundle("old"))

    def decide(launch, plan=None, clock="cpu", listener=None):
        measured = latency.Measured(pair, (1, 1), How(seconds=0.1), clock, launch)
        return latency.gate("case", measured, plan or Plan(), listener or Recorder(Silent()))

    return decide


def test_a_pass_ends_at_the_first_look_that_can_say_so(gate):
    verdict = gate(launches(0.0, noise=0.001))
    assert (verdict.status, verdict.measured["launches"]) == ("pass", 4)
    assert -1 < verdict.low < verdict.value < verdict.high < 3 == verdict.limit
    assert "4 launches exclude a slowdown of 3 %" in verdict.why
    assert len(verdict.measured["new_ms"]) == len(verdict.measured["log_ratios"]) == 4
    json.dumps(verdict.to_json(), allow_nan=False)


def test_a_fail_is_said_after_a_second_series(gate):
    verdict = gate(launches(0.05, noise=0.002))
    assert verdict.status == "fail"
    assert [len(verdict.measured[name]) for name in ("log_ratios", "repeat_log_ratios")] == [4, 4]
    assert verdict.value == pytest.approx(5, abs=0.5)
    assert "two series" in verdict.why


def test_a_slow_spell_is_no_fail(gate):
    """The first series alone is slower: a neighbour, the heat."""
    verdict = gate(launches(lambda number: 0.05 if number < 4 else 0.0, noise=0.0005))
    assert verdict.status == "inconclusive"
    assert [len(verdict.measured[name]) for name in ("log_ratios", "repeat_log_ratios")] == [4, 4]
    assert "the second did not confirm it" in verdict.why


def test_an_inconclusive_names_what_would_settle_it(gate):
    verdict = gate(launches(0.015, noise=0.05))
    assert verdict.status == "inconclusive"
    assert verdict.measured["launches"] == 16
    assert verdict.settle.launches > 16
    assert "exclude neither" in verdict.why
    assert f"--launches {verdict.settle.launches})" in words.summary(verdict)
    settled = gate(launches(0.0, noise=0.05, seed=1), Plan(launches=verdict.settle.launches))
    assert settled.status == "pass"
    hopeless = gate(launches(0.0, noise=2.0))
    assert (hopeless.status, hopeless.settle) == ("inconclusive", None)
    assert "quieten the machine" in hopeless.why


def test_load_is_told_and_warned_of_only_where_it_may_hide_a_slowdown(gate):
    quiet = launches(0.0, noise=0.001)

    def busy(*args):
        return replace(quiet(*args), around=Around(read(), read(), others=1000.0))

    for clock, warned in (("cpu", False), ("wall", True)):
        listener = Recorder(Silent())
        verdict = gate(busy, clock=clock, listener=listener)
        assert verdict.status == "pass"
        assert any("1000.0 of" in text for text in verdict.measured["doubts"])
        assert any("1000.0 of" in text for text in listener.warnings) == warned


def test_launches_that_are_copies_are_no_measurements(gate):
    same = Launch(0, {0: run([1, 2, 3]), 1: run([1, 2, 3], 1)}, {})
    verdict = gate(lambda *_: same)
    assert verdict.status == "error"
    assert "the very same ratio" in verdict.why


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([1.0, -0.5, 1.0], "went backwards"),
        ([1.0, 0.0, 1.0], "too coarse"),
        ([4.0, 4.0, 8.0, 4.0, 8.0], "has steps of 4 ms, too coarse"),
        ([3.0, 3.0, 3.0], "stands still"),
        ([], "no inference"),
    ],
)
def test_times_that_no_working_clock_gives_are_no_verdict(gate, times, says):
    verdict = gate(lambda *_: Launch(0, {0: run(times), 1: run([1.0, 1.1, 1.2], 1)}, {}))
    assert (verdict.status, verdict.value) == ("error", None)
    assert says in verdict.why


def test_noisy_times_of_few_rounds_are_times():
    latency.refuse_times([5_000_000, 9_000_000, 7_123_456], "a", "wall", 0.03)


def test_what_a_launch_tells_of_its_end_is_in_the_verdict(gate):
    def hang(*_):
        raise EdgeeffError("running a, b did not end within 300 s:\ndriver lost", mend="give more --timeout")

    verdict = gate(hang)
    assert verdict.status == "error"
    assert "did not end within 300 s (give more --timeout)" in verdict.why
    assert verdict.measured["printed"] == "driver lost"
    assert "driver lost" in junit.text(GateReport((verdict,)), "suite")


def made(new, old, field):
    return [
        Launch(n, {0: run([1.0], n % 2, **{field: a}), 1: run([1.0], 1 - n % 2, **{field: b})}, {})
        for n, (a, b) in enumerate(zip(new, old, strict=True))
    ]


@pytest.mark.parametrize(
    ("new", "status"),
    [(11.5, "fail"), (10.5, "pass"), (9.0, "pass"), (math.nan, "error")],
)
def test_memory_counts_what_was_loaded_first(new, status):
    """The bundle at the second place finds the libraries loaded: its figure is another one."""
    figures = [None if math.isnan(new) else new * (1.0 + 0.0001 * n) if n % 2 == 0 else 2.0 for n in range(8)]
    others = [10.0 * (1.0 + 0.0001 * n) if n % 2 else 1.0 for n in range(8)]
    verdict = costs.memory("case", made(figures, others, "peak"), 10.0)
    assert verdict.status == status
    if status != "error":
        assert verdict.value == pytest.approx(10 * new - 100, abs=0.1)


def test_loading_that_chance_may_have_slowed_is_inconclusive():
    old = 5.0 * np.linspace(0.9, 1.1, 8)
    one, other = 6.0 * np.resize([1, 4], 8), 4.5 * np.resize([4, 1], 8)
    verdict = costs.load_time("case", made(one, other, "load"), 20.0)
    assert verdict.status == "inconclusive"
    assert verdict.value == pytest.approx(100 / 3)
    # One launch that nothing disturbed is enough to see that it is as fast.
    disturbed = old * np.array([3.0, 9.0, 1.0, 2.0, 4.0, 1.0, 7.0, 2.0])
    passed = costs.load_time("case", made(disturbed, old, "load"), 20.0)
    assert (passed.status, passed.low, passed.high) == ("pass", None, None)  # the interval of a mean far off
    assert costs.load_time("case", made(2 * old, old, "load"), 20.0).status == "fail"


@pytest.mark.parametrize(("broken", "status"), [(None, "fail"), (1, "error")])
def test_memory_takes_more_launches_where_those_of_latency_are_too_few(make_bundle, broken, status):
    """Of four launches two pairs count: a third as much again, and they could not say so."""
    new, old = make_bundle("new"), make_bundle("old")
    quick = launches(0.0, noise=0.001)

    def launch(bundles, batches, how, number):
        if number == broken:
            raise EdgeeffError("the new one crashed", mend="see what it printed")
        made = quick(bundles, batches, how, number)
        peaks = (13.0 if number != 2 else 13.4, 10.0)
        return replace(made, runs={i: replace(one, peak_memory_mb=peaks[i]) for i, one in made.runs.items()})

    measured = latency.Measured((new, old), (1, 1), How(seconds=0.1), "cpu", launch)
    both = pair._Pair("case", new, old, {"memory": 10.0}, pair.Method(), Recorder(Silent()))
    both.verdicts.append(latency.gate("case", measured, Plan(), both.listener))
    at_first = len(measured.launches)
    assert costs.memory("case", measured.launches, 10.0).status == ("error" if broken else "inconclusive")
    pair._costs(both, measured)
    _, memory = both.verdicts
    assert (memory.status, at_first, len(measured.launches)) == (status, broken or 4, broken or 6)
    assert ("latency was not measured either" in memory.why) == bool(broken)
