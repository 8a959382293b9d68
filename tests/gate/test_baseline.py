"""Baselines: written so that two can be compared by eye, read back, refused where they do not belong."""

import difflib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgeeff.errors import ReportError
from edgeeff.gate import baseline, matching
from edgeeff.gate.baseline import Baseline, Correct, Run
from edgeeff.harness import device_class
from edgeeff.history.series import series
from edgeeff.preprocess import Preprocess

ENVIRONMENT = {
    "architecture": "x86_64",
    "board": None,
    "cpu": 'Xeon "E5"\n@ 2 GHz',
    "cpu_class": "vnni",
    "flags": ["avx2", "avx512_vnni"],
    "governor": "performance",
    "turbo": True,
    "load_average": [0.1, 0.2, 0.3],
    "versions": {"edgeeff": "0.1.0", "numpy": "2.2", "openvino": "2026.1", "ai-edge-litert": "2.1"},
}
FACTS = device_class.facts(ENVIRONMENT, {"openvino"})
ONE = Baseline(
    name="b0-cpu-int8",
    model="b0",
    target="cpu-int8",
    bundle="a" * 64,
    series=device_class.digest(FACTS),
    device=FACTS,
    threads=1,
    clock="cpu",
    metrics={"size": (5_211_223.0, "bytes"), "memory": (123.4567891, "MB")},
    runs=(Run("a" * 64, (4.1, 4.2000001, 4.15), "2026-11-26T20:00:00Z"),),
    correct=Correct("b" * 64, np.random.default_rng(0).random(1003) < 0.9),
    reviewer="Kim",
    comment='first\nof "all"',
    input="224x224, 3 channels",
)
BUNDLE = SimpleNamespace(
    name="b0-cpu-int8",
    manifest=SimpleNamespace(
        target="cpu-int8", model="b0", preprocess=Preprocess((224, 224), (0.0,) * 3, (1.0,) * 3)
    ),
)


@pytest.fixture
def written(tmp_path):
    """``written(baseline, name)``: its file."""

    def write(one, name=None):
        path = tmp_path / (name or one.file_name)
        path.write_text(one.text(), encoding="utf-8")
        return path

    return write


def test_a_baseline_is_read_back(written):
    found = baseline.load(written(ONE))
    assert np.array_equal(found.correct.right, ONE.correct.right)
    assert found.device == {name: "" if value is None else value for name, value in FACTS.items()}
    assert found.metrics == {"size": (5_211_223.0, "bytes"), "memory": (123.457, "MB")}
    same = replace(
        found, device=ONE.device, metrics=ONE.metrics, runs=ONE.runs, correct=ONE.correct, path=None
    )
    assert same == ONE
    assert found.text() == ONE.text()  # a file that is read and written again does not change


def test_a_new_run_changes_only_its_own_lines():
    again = ONE.after(replace(ONE, runs=(Run("a" * 64, (4.3, 4.2), "2026-11-27T20:00:00Z"),), reviewer=""))
    changed = [
        line
        for line in difflib.ndiff(ONE.text().splitlines(), again.text().splitlines())
        if line[0] in "+-" and line[2:].strip()
    ]
    assert changed == [
        "+ [[run]]",
        '+ bundle = "' + "a" * 64 + '"',
        "+ launches_ms = [4.3, 4.2]",
        '+ utc = "2026-11-27T20:00:00Z"',
    ]
    assert again.reviewer == "Kim" and len(again.own_runs) == 2


def test_another_bundle_has_to_be_reviewed_anew_and_keeps_what_runs_differ_by():
    new = replace(
        ONE, bundle="c" * 64, runs=(Run("c" * 64, (4.0, 4.0), "2026-11-28T20:00:00Z"),), correct=None
    )
    after = ONE.after(new)
    assert (after.reviewer, after.comment, after.correct) == ("", "", None)
    assert after.own_runs == [(4.0, 4.0)] and len(after.runs) == 2


@pytest.mark.parametrize("change", [{"threads": 4, "clock": "wall"}, {"threads": 2}])
def test_times_of_other_threads_or_another_clock_are_no_runs_of_the_series(change):
    """Else what four threads gain would count as what days differ by, and as the speed of one."""
    new = replace(ONE, runs=(Run("a" * 64, (1.3, 1.31), "2026-11-28T20:00:00Z"),), metrics={}, **change)
    after = ONE.after(new)
    assert after.own_runs == [(1.3, 1.31)] and after.metrics == {}
    assert after.reviewer == "Kim" and after.correct is ONE.correct


def test_a_reading_or_another_runtime_makes_no_other_class():
    other = {
        **ENVIRONMENT,
        "load_average": [9, 9, 9],
        "versions": {**ENVIRONMENT["versions"], "ai-edge-litert": "3"},
    }
    assert device_class.facts(other, {"openvino"}) == FACTS
    for name, value in (("cpu", "ARM"), ("governor", "powersave"), ("versions", {"openvino": "2027.0"})):
        assert (
            device_class.digest(device_class.facts({**ENVIRONMENT, name: value}, {"openvino"})) != ONE.series
        )


def test_what_is_stored_keeps_its_class():
    """Digests that baselines and runs of histories bear: another one would part them from all newer ones."""
    here = {"board": None, "cpu": "x", "architecture": "x86_64", "flags": ["avx2"], "cores": 4}
    here |= {"usable_cores": 2, "governor": None, "turbo": True, "python": "3.11"}
    here["versions"] = {"openvino": "2026.4", "edgeeff": "1", "numpy": "2", "ai-edge-litert": "2.3"}
    assert series(here).startswith("d432fa0b06ff547e")
    assert series({**here, "compute_capability": "8.7"}).startswith("60707b846c7ef07e")
    assert device_class.digest(device_class.facts(here)).startswith("d0d8a1ccaab2e8d1")
    assert device_class.digest(device_class.facts(here, {"openvino"})).startswith("0b536996dfba04b9")


@pytest.mark.parametrize(
    ("changes", "bundle", "said"),
    [
        ({"target": "mobile-int8"}, {}, "is a baseline of target mobile-int8, not of this one: cpu-int8"),
        (
            {"input": "240x240, 3 channels"},
            {},
            "an input of 240x240, 3 channels, not of this one: 224x224, 3",
        ),
        ({"model": "b1"}, {}, "is a baseline of model b1, not of this one: b0"),
        (
            {"series": "d" * 64, "device": {**FACTS, "governor": "powersave"}},
            {},
            "is a baseline of another device class, not of this one: governor powersave, here performance",
        ),
    ],
)
def test_a_baseline_of_something_else_is_refused(changes, bundle, said, written):
    found = baseline.load_all(written(replace(ONE, **changes)).parent)
    with pytest.raises(ReportError, match=said):
        matching.of(BUNDLE, found, ONE.series, FACTS)


def test_the_baseline_of_this_class_is_taken_among_others(written):
    written(replace(ONE, series="d" * 64, device={**FACTS, "governor": "powersave"}))
    written(replace(ONE, input=""))  # as it was not written down once
    found = baseline.load_all(written(replace(ONE, name="other")).parent)
    assert matching.of(BUNDLE, found, ONE.series, FACTS).series == ONE.series
    assert (
        matching.of(SimpleNamespace(name="new", manifest=BUNDLE.manifest), found, ONE.series, FACTS) is None
    )


def test_two_of_one_kind_are_refused(written):
    written(ONE, "one.toml")
    with pytest.raises(ReportError, match="baselines of the same bundle and device class"):
        baseline.load_all(written(ONE, "two.toml").parent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("schema = 1", "schema = 7"), "line 3: schema 7, and this version of edgeeff reads up to 1"),
        (("\nreviewer", "\nreviewr"), "there is no key 'reviewr'\n  → did you mean reviewer?"),
        (("unit = ", "units = "), "there is no key 'units' in metrics.memory\n  → did you mean unit?"),
        (("images = 1003", "images = 2003"), "accuracy.correct does not hold 2003 images"),
        (("images = 1003", "images = 100000000"), "accuracy.images: Input should be less than"),
        (("4.15", "-1.0"), "run 1: launches_ms 3: Input should be greater than 0"),
        (("4.15", "nan"), "run 1: launches_ms 3: Input should be"),
        (('series = "', 'series = "x'), "series: String should match pattern"),
        (("[device]", "[device"), "is not TOML"),
    ],
)
def test_a_malformed_one_is_refused_with_its_line(change, said, tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(ONE.text().replace(*change, 1), encoding="utf-8")
    with pytest.raises(ReportError) as caught:
        baseline.load(path)
    assert said in str(caught.value)
    assert "line" in str(caught.value) or "does not hold" in said
