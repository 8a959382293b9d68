"""The group-sequential test: by hand, its error rates by simulation, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgeeff.errors import OptionError
from edgeeff.gate.sequential import Plan, conclude, decide, launches_needed, look, looks

PLAN = Plan()
LIMIT = math.log(1.03)


def test_a_look_is_students_t():
    ratios = [0.010, 0.030, 0.020, 0.026]
    found = look(ratios, alpha=0.0025, beta=0.0125)
    low = stats.ttest_1samp(ratios, 0.0, alternative="greater").confidence_interval(0.9975).low
    high = stats.ttest_1samp(ratios, 0.0, alternative="less").confidence_interval(0.9875).high
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("launches", [4, 6, 14, 16, 18, 34, 200, 1000])
def test_all_looks_together_spend_each_error_probability_once(launches, monkeypatch):
    spent = []
    original = look

    def spying(ratios, alpha, beta):
        spent.append((alpha, beta))
        return original(ratios, alpha, beta)

    monkeypatch.setattr("edgeeff.gate.sequential.look", spying)
    undecided = np.resize([0.5, -0.5], launches) + LIMIT / 2
    plan = Plan(launches=launches)
    assert decide(undecided, plan).status == "inconclusive"
    assert len(spent) == len(plan.looks)
    assert np.sum(spent, axis=0) == pytest.approx([plan.alpha, plan.beta])
    assert all(a > 0 and b > 0 for a, b in spent)


def test_looks_grow_with_the_launches_and_end_with_them():
    for launches in range(4, 1001, 2):
        found = looks(launches)
        assert found[0] == 4
        assert found[-1] == launches
        assert sorted(set(found)) == list(found)
        assert len(found) < 32


def test_it_goes_on_until_a_look_and_pass_comes_before_fail():
    sure = np.log(1.01) + np.array([1e-4, -1e-4, 2e-4, -2e-4])  # certainly slower, certainly within the limit
    assert decide(sure[:3], PLAN) is None
    assert decide(sure, PLAN).status == "pass"
    slow = sure + math.log(1.06)
    assert decide(slow, PLAN).status == "fail"
    assert decide(-slow, PLAN).status == "pass"  # faster


def test_a_fail_needs_a_second_series():
    jitter = np.resize([1e-3, -1e-3], 16)
    slow, same = jitter + math.log(1.05), jitter
    assert conclude(slow[:4], [], PLAN) is None
    assert conclude(slow[:4], slow[:2], PLAN) is None
    assert conclude(slow[:4], slow[:4], PLAN).status == "fail"
    assert conclude(same[:4], [], PLAN).status == "pass"
    # One outlying series of four among many that are equal; half of all does not settle it.
    unsure = conclude(slow[:4], same[:4], PLAN)
    assert unsure.status == "inconclusive"
    assert unsure.needed > 16
    assert conclude(jitter[:4] + 0.012, same[:4], Plan(limit=0.03)).status == "pass"


@pytest.mark.parametrize("ratios", [[0.0] * 4, [0.02] * 4, [0.01, math.nan, 0.0, 0.01], [math.inf, 1, 2, 3]])
def test_what_is_no_measurement_is_refused(ratios):
    with pytest.raises(ValueError, match=r"the very same|not a number"):
        decide(ratios, PLAN)


def test_plans_that_make_no_sense_are_refused():
    for wrong in ({"launches": 2}, {"launches": 17}, {"launches": 1002}, {"limit": 0.0}, {"limit": math.nan}):
        with pytest.raises(OptionError):
            Plan(**wrong)


def rates(slowdown: float, deviation: float, *, series: int, seed: int) -> tuple[float, float]:
    """Shares of series that fail, and that pass."""
    drawn = np.random.default_rng(seed).normal(math.log1p(slowdown), deviation, (series, PLAN.launches))
    statuses = [decide(one, PLAN).status for one in drawn]
    return statuses.count("fail") / series, statuses.count("pass") / series


def test_simulated_error_rates_are_those_that_are_promised():
    """2000 series each: a promised 1 % is exceeded by chance with less than one in 10 000 at 1.9 %."""
    for deviation in (0.008, 0.02):
        failed, passed = rates(0.0, deviation, series=2000, seed=1)
        assert failed <= 0.019
        assert passed >= (0.99 if deviation < 0.01 else 0.95)
        failed, passed = rates(0.03, deviation, series=2000, seed=2)
        assert passed <= 0.019
        assert failed >= (0.98 if deviation < 0.01 else 0.9)


def test_noise_of_a_few_per_cent_uses_up_the_error_probability_and_no_more():
    """Where no look decides much, all of them spend: a test that spends too much shows here."""
    failed, _ = rates(0.0, 0.05, series=2000, seed=3)
    assert 0.002 <= failed <= 0.0165


def test_the_launches_that_an_inconclusive_names_settle_it():
    random, decided, gates = np.random.default_rng(4), 0, 0
    for deviation in (0.03, 0.05):
        for slowdown in (0.0, 0.015, 0.03):
            for _ in range(60):
                first = decide(random.normal(math.log1p(slowdown), deviation, PLAN.launches), PLAN)
                if first.status != "inconclusive":
                    continue
                more = Plan(launches=first.needed)
                assert more.launches > PLAN.launches
                again = decide(random.normal(math.log1p(slowdown), deviation, more.launches), more)
                decided, gates = decided + (again.status != "inconclusive"), gates + 1
    assert gates > 100
    assert decided / gates >= 0.95


def test_where_no_number_of_launches_would_do_none_is_named():
    assert launches_needed(0.5, 16, PLAN) is None
