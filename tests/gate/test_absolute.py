"""Against a baseline whose bundle is gone: the error rates, simulated, and when it says nothing."""

import numpy as np
import pytest

from edgeeff.gate.absolute import between_runs, compare


def rates(change, runs, between, repeats=400, launches=8):
    """Shares of pass and fail over simulated gates: days differ by ``between``, launches by 1 %."""
    random = np.random.default_rng(1)

    def run(mean):
        return np.exp(np.log(mean) + random.normal(0, between) + random.normal(0, 0.01, launches)).tolist()

    found = []
    for _ in range(repeats):
        old = [run(5.0) for _ in range(runs)]
        found.append(compare(run(5.0 * (1 + change)), old, between_runs({"a": old}), 3.0).status)
    return found.count("pass") / repeats, found.count("fail") / repeats


@pytest.mark.parametrize("between", [0.003, 0.01, 0.02])
def test_error_rates_hold_whatever_days_differ_by(between):
    """1 % and 5 % by construction: of 400 repeats 11 and 35 at most, in 999 of 1000 tries."""
    assert rates(0.0, 5, between)[1] <= 11 / 400
    assert rates(0.03, 5, between)[0] <= 35 / 400


def test_what_it_finds():
    """Where days differ by 1 %, a slowdown has to be 10 %, not 3 %, to be surely found with five runs."""
    assert rates(0.10, 5, 0.01)[1] >= 0.98
    assert rates(0.03, 5, 0.01)[1] <= 0.5
    assert rates(0.06, 20, 0.01)[1] >= 0.98


def test_too_few_runs_say_how_many_are_missing():
    old = [[5.0, 5.1], [5.1, 5.2]]
    found = compare([9.0, 9.1], old, between_runs({"a": old}), 3.0)
    assert (found.status, found.runs_missing, found.between) == ("inconclusive", 3, None)
    assert found.change == pytest.approx(77.4, abs=0.2)
    # Runs of an earlier bundle tell what days differ by too: 2 + 4 runs have 4 degrees of freedom.
    spread = between_runs({"a": old, "b": [[8.0, 8.0], [8.1, 8.1], [8.0, 8.1], [8.1, 8.0]]})
    assert compare([9.0, 9.1], old, spread, 3.0).status == "fail"


def test_equal_times_pass():
    old = [[5.0] * 4] * 5
    assert compare([5.0] * 4, old, between_runs({"a": old}), 3.0).status == "pass"
    assert compare([5.5] * 4, old, between_runs({"a": old}), 3.0).status == "fail"
