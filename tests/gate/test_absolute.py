"""Against a baseline whose bundle is gone: the error rates, simulated, and when it says nothing."""

import importlib.util
from pathlib import Path

import pytest

from edgeeff.gate.absolute import between_runs, compare

REPEATS = 400


def _simulation():
    path = Path(__file__).parents[2] / "benchmarks" / "absolute.py"
    spec = importlib.util.spec_from_file_location("edgeeff_benchmarks_absolute", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


absolute = _simulation()


def rates(slowdown, runs, between):
    """Fractions of pass and fail over simulated gates: days differ by ``between``, launches by 1 %."""
    return absolute.rates(slowdown, runs, between, REPEATS, seed=1)


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


@pytest.mark.slow
def test_the_document_has_the_table():
    document = absolute.DOCUMENT.read_text(encoding="utf-8")
    assert absolute.written(document, absolute.table()) == document, "python -m benchmarks.absolute --write"
