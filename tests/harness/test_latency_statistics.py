"""What a benchmark computes from samples, and in which order it takes them. No timing decides here."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeeff.errors import OptionError
from edgeeff.harness import machine
from edgeeff.harness.latency import Entry, LatencyReport, benchmark, paired_ratio, summarise
from edgeeff.harness.launch import MINIMUM_ROUNDS, WINDOW, Samples, is_steady, measure, order, warm_up
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


def test_summary_by_hand():
    milliseconds = [i * 1_000_000 for i in range(1, 101)]
    timing = summarise([Samples(milliseconds[:50], [2_000_000]), Samples(milliseconds[50:], [6_000_000])], 1)
    wall = timing.wall_ms
    assert (wall.mean, wall.p50, wall.p90, wall.p99) == pytest.approx((50.5, 50.5, 90.1, 99.01))
    assert timing.wall_launches_ms == (25.5, 75.5)
    assert timing.cpu_launches_ms == (2.0, 6.0)
    assert timing.cpu_ms == 4.0
    assert (timing.inferences, timing.steady_launches) == (100, 1)


def test_ratio_is_taken_within_each_launch():
    # The medians over launches are 3 and 3; within launches the test is always half as fast again.
    ratio = paired_ratio([1.5, 3.0, 9.0], [1.0, 2.0, 6.0], seed=0)
    assert (ratio.value, ratio.interval) == (1.5, (1.5, 1.5))


def test_ratio_says_nothing_where_the_clock_is_too_coarse():
    assert paired_ratio([1.0, 1.0], [0.0, 1.0], seed=0) is None
    assert paired_ratio([1.0], [2.0], seed=0).interval is None


def entry(name, milliseconds):
    launches = [Samples([int(ms * 2e6)] * 3, [int(ms * 1e6)] * 3) for ms in milliseconds]
    return Entry(name, "openvino", "int8", {}, summarise(launches, 5), None)


@pytest.fixture
def report():
    entries = (
        entry("f32", [10, 20, 10, 20, 10]),
        entry("int8", [3, 6, 3, 6, 3]),
        Entry("jetson", "tensorrt", "int8", {}, None, "tensorrt is not installed"),
    )
    return LatencyReport(entries, "f32", 5, 1.0, 1, 0, machine.describe(), record("latency", []))


def test_report_compares_with_the_baseline_or_any_other(report):
    assert report.ratio("int8").value == pytest.approx(0.3)
    assert report.ratio("int8", clock="wall").value == pytest.approx(0.3)
    assert report.ratio("f32", "int8").value == pytest.approx(10 / 3)
    assert report.ratio("f32").interval == (1.0, 1.0)
    with pytest.raises(OptionError, match="int4"):
        report.ratio("int4")


def test_what_was_not_run_is_listed_with_its_reason(report):
    assert report.ratio("jetson") is None
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [e["status"] for e in data["entries"]] == ["ok", "ok", "NOT RUN"]
    assert data["entries"][2]["reason"] == "tensorrt is not installed"
    assert data["entries"][1]["cpu_ratio"] == {"value": pytest.approx(0.3), "interval": [0.3, 0.3]}
    assert data["machine"]["architecture"]


@pytest.mark.parametrize(
    "options", [{"launches": 0}, {"threads": 0}, {"seconds": 0.0}, {"seconds": float("nan")}]
)
def test_numbers_that_make_no_sense_are_refused_before_anything_runs(tmp_path, options):
    with pytest.raises(OptionError):
        benchmark([tmp_path], **options)


def test_no_bundle_is_refused():
    with pytest.raises(OptionError, match="no bundle"):
        benchmark([])
