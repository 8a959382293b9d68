"""What a benchmark computes from samples, and in which order it takes them. No timing decides here."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeeff.errors import OptionError
from edgeeff.harness import machine
from edgeeff.harness.estimate import estimate, t_quantile
from edgeeff.harness.latency import P99_9_NEEDS, Entry, LatencyReport, benchmark, half_width, summarise
from edgeeff.harness.launch import MINIMUM_ROUNDS, WINDOW, is_steady, measure, order, warm_up
from edgeeff.harness.launches import Launch, Run
from edgeeff.harness.record import record


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(0, 1000))
def test_each_round_runs_every_bundle_once(count, round_):
    assert sorted(order(count, round_)) == list(range(count))


@pytest.mark.parametrize("count", range(2, 9))
def test_order_is_balanced_for_place_and_predecessor(count):
    rounds = [order(count, r) for r in range(2 * count)]
    places = Counter((bundle, place) for row in rounds for place, bundle in enumerate(row))
    assert set(places.values()) == {2} and len(places) == count * count
    follows = Counter(pair for row in rounds for pair in pairwise(row))
    assert set(follows.values()) == {2} and len(follows) == count * (count - 1)


def test_steady_is_a_matter_of_the_last_two_windows():
    falling = [2000] * WINDOW + [1000] * WINDOW
    assert not is_steady([1000] * (2 * WINDOW - 1))
    assert not is_steady(falling)
    assert is_steady(falling + [1020] * WINDOW)
    assert is_steady([1000] * WINDOW + [1000] * (WINDOW - 1) + [90_000])  # one outlier moves no median


def test_warm_up_is_bounded_even_if_no_time_is_left():
    calls = []
    assert warm_up([lambda: calls.append(0), lambda: calls.append(1)], 0.0) == [False, False]
    assert calls == order(2, 0)


def test_measuring_takes_the_bundles_in_turn():
    calls = []
    samples = measure([lambda i=i: calls.append(i) for i in range(3)], 0.0)
    assert calls == [i for r in range(MINIMUM_ROUNDS) for i in order(3, r)]
    assert [len(s.wall_ns) for s in samples] == [len(s.cpu_ns) for s in samples] == [MINIMUM_ROUNDS] * 3


def run(wall, cpu, place=0, images=1, **more):
    cost = {"load_ms": 20.0, "first_ms": 3.0, "peak_memory_mb": None, **more}
    return Run(tuple(wall), tuple(cpu), images, True, place, **cost)


def test_summary_by_hand():
    milliseconds = [i * 1_000_000 for i in range(1, 101)]
    timing = summarise(
        [
            run(milliseconds[:50], [2_000_000], load_ms=10.0, peak_memory_mb=5.0),
            run(milliseconds[50:], [8_000_000], place=1),
            run(milliseconds[50:60], [8_000_000], load_ms=30.0, peak_memory_mb=7.0),
        ]
    )
    wall = timing.wall_ms
    assert (wall.p50, wall.p90) == pytest.approx((53.0, 89.1))
    assert wall.p99_9 is None and wall.divided(2).p99_9 is None
    assert timing.wall_launches_ms == (25.5, 75.5, 55.5)
    assert timing.cpu_launches_ms == (2.0, 8.0, 8.0)
    assert timing.cpu_ms == 8.0
    assert timing.cpu.value == pytest.approx(2 ** (7 / 3))
    assert (timing.inferences, timing.steady_launches) == (110, 3)
    # A bundle that is loaded second finds its runtime there: that launch says nothing of loading.
    assert vars(timing.loading) == {"load_ms": 20.0, "first_ms": 3.0, "peak_memory_mb": 6.0, "launches": 2}
    assert summarise([run([5], [5], place=1)]).loading is None
    assert summarise([run([5], [0])]).cpu is None


def test_rare_percentiles_need_many_inferences():
    assert 1 - 0.999**P99_9_NEEDS >= 0.95 > 1 - 0.999 ** (P99_9_NEEDS - 1)
    times = [1_000_000] * (P99_9_NEEDS - 10) + [9_000_000] * 10
    assert summarise([run(times, times)]).wall_ms.p99_9 == 9.0
    assert summarise([run(times[1:], times[1:])]).wall_ms.p99_9 is None


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 8, 15, 39, 200])
def test_quantiles_are_those_of_student(degrees):
    for probability in (0.5, 0.75, 0.9, 0.975, 0.99, 0.9995):
        expected = stats.t.ppf(probability, degrees)
        assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for wrong in ((0.4, 3), (1.0, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="no quantile"):
            t_quantile(*wrong)


def test_an_estimate_is_the_t_interval_of_the_logs():
    logs = list(np.random.default_rng(0).normal(0.02, 0.01, 10))
    made = estimate(logs)
    low, high = stats.t.interval(0.95, 9, np.mean(logs), stats.sem(logs))
    assert (made.value, *made.interval) == pytest.approx(tuple(np.exp([np.mean(logs), low, high])))
    assert made.half_width == pytest.approx(np.exp((high - low) / 2) - 1)
    assert estimate([0.5]).interval is None and estimate([0.5]).half_width is None


def launches(*pairs):
    """Of (baseline, test) in milliseconds, one for each launch: three rounds, the last of them disturbed."""
    made = []
    for number, (base, test) in enumerate(pairs):
        one, other = ([int(ms * 1e6)] * 2 + [int(ms * factor)] for ms, factor in ((base, 5e6), (test, 9e6)))
        runs = {0: run(one, one), 1: run(other, other)}
        made.append(Launch(number, runs, {2: "tensorrt is not installed"}))
    return made


def report_of(taken, **more):
    names = (("f32", 0), ("int8", 1), ("jetson", 2))
    entries = [
        Entry(
            name,
            "openvino",
            "int8",
            {},
            None if place == 2 else summarise([launch.runs[place] for launch in taken]),
            "tensorrt is not installed" if place == 2 else None,
        )
        for name, place in names
    ]
    here = machine.describe()
    return LatencyReport(
        *(tuple(entries), "f32", len(taken), 1.0, 1, 0, here, record("latency", []), "cpu", tuple(taken)),
        **more,
    )


@pytest.fixture
def report():
    return report_of(launches((10, 3), (20, 6), (10, 3.3)))


def test_report_compares_with_the_baseline_or_any_other(report):
    mean = np.exp(np.mean(np.log([0.3, 0.3, 0.33])))
    assert report.ratio("int8").value == pytest.approx(mean)
    assert report.ratio("int8", clock="wall").value == pytest.approx(mean)
    assert report.ratio("f32", "int8").value == pytest.approx(1 / mean)
    assert report.ratio("f32").interval == (1.0, 1.0)
    assert report.log_ratios("int8") == pytest.approx(np.log([0.3, 0.3, 0.33]))
    with pytest.raises(OptionError, match="int4"):
        report.ratio("int4")


def test_a_coarse_clock_says_nothing():
    taken = [Launch(0, {0: run([5, 5], [0, 5]), 1: run([5, 5], [5, 5])}, {})]
    coarse = report_of([replace(taken[0], not_run={2: "not here"})])
    assert coarse.ratio("int8") is None and coarse.ratio("int8", clock="wall").value == 1.0
    assert half_width(taken * 9, 0, "cpu") == float("inf")


def test_the_width_is_that_of_the_least_certain_ratio_or_of_a_lone_time():
    taken = launches((10, 3), (20, 6), (10, 3.3))
    ratio = estimate([np.log(b / a) for a, b in ((10, 3), (20, 6), (10, 3.3))])
    alone = estimate([np.log(a) for a in (10, 20, 10)])
    assert half_width(taken, 0, "cpu") == pytest.approx(ratio.half_width)
    only = [replace(launch, runs={0: launch.runs[0]}) for launch in taken]
    assert half_width(only, 0, "wall") == pytest.approx(alone.half_width)
    assert half_width(only[:1], 0, "wall") == float("inf")
    assert half_width([replace(launch, runs={}) for launch in taken], 0, "wall") == float("inf")


def test_what_was_not_run_is_listed_with_its_reason(report):
    assert report.ratio("jetson") is None
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [e["status"] for e in data["entries"]] == ["ok", "ok", "NOT RUN"]
    assert data["entries"][2]["reason"] == "tensorrt is not installed"
    assert data["entries"][1]["cpu_ratio"] == report.ratio("int8").to_json()
    assert data["entries"][1]["cpu_log_ratios"] == pytest.approx(np.log([0.3, 0.3, 0.33]))
    assert data["clock"] == "cpu" and data["entries"][2]["cpu_log_ratios"] == []
    assert data["machine"]["architecture"]


@pytest.mark.parametrize(
    "options",
    [
        {"launches": 0},
        {"threads": 0},
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"until": 0.0},
        {"until": 1.0},
        {"until": 0.01, "launches": 7},
        {"timeout": 0.0},
        {"timeout": float("nan")},
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_runs(options, make_bundle):
    with pytest.raises(OptionError):
        benchmark([make_bundle()], **options)


def test_no_bundle_is_refused():
    with pytest.raises(OptionError, match="no bundle"):
        benchmark([])
