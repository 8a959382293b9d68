"""What the gate asks of the history: runs of a case's bundles on its device class."""

from types import SimpleNamespace

import pytest

from edgeeff import backends, history
from edgeeff.batch import ONE
from edgeeff.gate import remembered
from edgeeff.gate.verdict import GateReport, Verdict
from edgeeff.harness import device_class
from edgeeff.harness.record import Record

A, B = "a" * 64, "b" * 64


@pytest.fixture
def case():
    """As a suite resolves it, as far as the history asks."""
    manifest = SimpleNamespace(target="cpu-int8", runtime="openvino", batch=ONE)
    bundle = SimpleNamespace(manifest=manifest, device=None, runtime=backends.runtime("openvino"))
    return SimpleNamespace(name="b0-cpu-int8", bundle=bundle, threads=1)


def series(environment, runtime):
    return device_class.digest(device_class.facts(environment, device_class.distributions(runtime)))


def test_runs_of_the_same_class_and_conditions_are_known(case, make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    here = make_report(4.0, digest=A)
    environment = here["record"]["environment"]
    other = make_report(9.0, digest=A, environment={**environment, "governor": "powersave"})
    history.remember(here)
    for report in (make_report(4.1, digest=A), make_report(5.0, digest=B), other):
        history.remember(report)
    warned = []
    known = remembered.known(warned.append)
    found = known(case, series(environment, case.bundle.runtime))
    assert {digest: sorted(runs) for digest, runs in found.items()} == {
        A: [(4.0, 4.0), (4.1, 4.1)],
        B: [(5.0, 5.0)],
    }
    case.threads = 2
    assert known(case, series(environment, case.bundle.runtime)) == {}
    assert warned == []


def test_runs_of_gates_against_a_baseline_are_known(case, make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    environment = make_report()["record"]["environment"]
    measured = {"against": "baseline", "clock": "cpu", "threads": 1, "new_ms": [4.0, 4.2]}
    about = {"name": case.name, "model": "b0", "target": "cpu-int8", "runtime": "openvino"}
    for number, mine in enumerate(
        (measured, {**measured, "against": "a bundle"}, {**measured, "threads": 2})
    ):
        verdict = Verdict(case.name, "latency", "pass", 1.0, "%", measured=mine)
        record = Record(
            "gate", {case.name: A}, environment, run_id=f"{number:032x}", about={case.name: about}
        )
        history.remember(GateReport((verdict,), record).to_json())
    known = remembered.known(pytest.fail)
    assert known(case, series(environment, case.bundle.runtime)) == {A: [(4.0, 4.2)]}


def test_a_history_that_cannot_be_read_is_warned_of(case, tmp_path, monkeypatch):
    (tmp_path / "history.sqlite").write_bytes(b"of another program" * 100)
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    warned = []
    assert remembered.known(warned.append)(case, "0" * 64) == {}
    assert len(warned) == 1 and warned[0].startswith("the history was not read: ")
    monkeypatch.setenv("EDGEEFF_HISTORY", "off")
    assert remembered.known(warned.append)(case, "0" * 64) == {} and len(warned) == 1
