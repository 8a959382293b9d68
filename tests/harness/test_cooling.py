"""``--cool``: what is waited for, how long, and what is said where it cannot be."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest

import edgeeff
from edgeeff.cli.timings import notes
from edgeeff.devices.connection import connect
from edgeeff.errors import OptionError
from edgeeff.gate import latency
from edgeeff.gate.sequential import Plan
from edgeeff.harness import fresh_process
from edgeeff.harness.cooling import Cooling, before_launches, degrees, doubts, wait
from edgeeff.harness.fresh_process import How
from edgeeff.harness.throughput import throughput
from edgeeff.onboard import sensors
from edgeeff.progress import Recorder, Silent
from tests.devices.local import Local


class Board:
    """Zones below a folder, which cool by 5 °C a pause; the time is the pauses'."""

    def __init__(self, root, start, least=20.0):
        self.root, self.now, self.heat, self.least, self.told = root, 0.0, start, least, []
        for number, name in enumerate(("cpu-thermal", "gpu-thermal", "off")):
            zone = root / f"sys/class/thermal/thermal_zone{number}"
            zone.mkdir(parents=True)
            (zone / "type").write_text(name)
        self.write()

    def write(self):
        for number, heat in enumerate((self.heat - 7, self.heat, -256.0)):
            (self.root / f"sys/class/thermal/thermal_zone{number}/temp").write_text(f"{heat * 1e3:.0f}\n")

    def sleep(self, seconds):
        self.now += seconds
        self.heat = max(self.least, self.heat - 2.5 * seconds)
        self.write()

    def wait(self, cooling):
        read = lambda: sensors.read(self.root).temperatures_c  # noqa: E731
        return wait(cooling, read, tell=self.told.append, clock=lambda: self.now, sleep=self.sleep)


def test_the_hottest_zone_is_waited_for(tmp_path):
    board = Board(tmp_path, 61.0)
    found = board.wait(Cooling(50.0))
    assert (found.before, found.after, found.zone, found.reached) == (61.0, 46.0, "gpu-thermal", True)
    assert found.waited == 6.0, "three pauses"
    assert board.told == ["cooling from 61 °C (gpu-thermal) to 50 °C, 300 s at most"]
    assert doubts([found]) == []
    again = board.wait(Cooling(50.0))
    assert (again.waited, len(board.told)) == (0.0, 1), "nothing to wait for, nothing said"


def test_the_limit_is_said(tmp_path):
    board = Board(tmp_path, 80.0, least=71.0)
    late = board.wait(Cooling(50.0, limit=5.0))
    assert (late.waited, late.after, late.reached) == (5.0, 71.0, False)
    (said,) = doubts([board.wait(Cooling(90.0)), late])
    assert said.startswith(
        "1 of 2 launches began hotter than --cool 50C: gpu-thermal was still at 71.0 °C after 5 s"
    )
    assert late.to_json()["reached"] is False


def test_exactly_as_hot_is_not_below(tmp_path):
    assert not Board(tmp_path, 50.0, least=50.0).wait(Cooling(50.0, limit=2.0)).reached


def test_a_machine_without_zones_says_so(tmp_path):
    found = wait(Cooling(50.0), lambda: sensors.read(tmp_path).temperatures_c)
    assert (found.zone, found.reached) == (None, False)
    assert "no thermal zone" in doubts([found])[0]


def test_zones_that_stop_answering_do_not_pass_for_cool(tmp_path):
    board = Board(tmp_path, 80.0)
    answers = iter([{"cpu": 80.0}, {}, {}, {}])
    found = wait(Cooling(50.0, 6.0), lambda: next(answers), clock=lambda: board.now, sleep=board.sleep)
    assert (found.after, found.reached) == (80.0, False)


@pytest.mark.parametrize(("text", "value"), [("50C", 50.0), ("50", 50.0), ("47.5 °C", 47.5), (" 80c ", 80.0)])
def test_degrees(text, value):
    assert degrees(text) == value


@pytest.mark.parametrize(
    "text", ["", "hot", "50F", "323K", "-5C", "5C", "500C", "nan", "1e2", "50C50", "５０C"]
)
def test_no_degrees(text):
    with pytest.raises(ValueError, match="is no temperature from 10C to 120C"):
        degrees(text)
    with pytest.raises(OptionError, match="--cool"):
        Cooling.of(text)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_no_limit(limit):
    with pytest.raises(OptionError, match="--cool-limit"):
        Cooling.of("50C", limit)
    with pytest.raises(OptionError, match="without --cool"):
        Cooling.of(None, limit)
    assert Cooling.of(None) is None
    assert Cooling.of("50C", 10.0) == Cooling(50.0, 10.0)


def falling(*heats):
    """Temperatures of a zone, one at each look; the last stays."""
    left = list(heats)
    return lambda device: {"cpu-thermal": left.pop(0) if len(left) > 1 else left[0]}


def test_each_launch_waits_and_the_report_says_so(make_bundle, monkeypatch):
    """The zone is made, since this machine may have none; the launches are real."""
    monkeypatch.setattr("edgeeff.harness.cooling._PAUSE", 0.0)
    monkeypatch.setattr(fresh_process, "_temperatures", falling(61.0, 55.0, 49.0, 48.0))
    told, bundle = [], make_bundle()
    with before_launches(Cooling(50.0), told.append):
        report = edgeeff.benchmark([bundle], launches=2, seconds=0.02)
    assert [(one.before, one.after) for one in report.cooled] == [(61.0, 49.0), (48.0, 48.0)]
    assert told == ["cooling from 61 °C (cpu-thermal) to 50 °C, 300 s at most"]
    assert report.to_json()["cooled"][0]["reached"] is True
    assert not any("--cool" in text for text in report.warnings)
    assert "Cooled to 50 °C before each launch: 0 s waited in all, begun at 49 °C at most." in notes(report)
    assert edgeeff.benchmark([bundle], launches=1, seconds=0.02).cooled == (), "not asked for any more"


def test_what_stays_hot_is_measured_and_warned_of(make_bundle, monkeypatch):
    monkeypatch.setattr("edgeeff.harness.cooling._PAUSE", 0.01)
    monkeypatch.setattr(fresh_process, "_temperatures", falling(80.0))
    with before_launches(Cooling(50.0, limit=0.02)):
        report = throughput([make_bundle()], launches=1, seconds=0.02)
    assert any("1 of 1 launches began hotter than --cool 50C" in text for text in report.warnings)
    assert report.to_json()["cooled"][0]["after"] == 80.0


@pytest.mark.slow
def test_the_gate_waits_too(make_bundle, monkeypatch):
    monkeypatch.setattr(fresh_process, "_temperatures", lambda device: {})
    pair = (make_bundle("new"), make_bundle("old"))
    with before_launches(Cooling(50.0)):
        measured = latency.Measured(pair, (1, 1), How(seconds=0.02), "cpu")
        measured.more()
        verdict = latency.gate("case", measured, Plan(limit=0.5, launches=4), heard := Recorder(Silent()))
    assert len(verdict.measured["cooled"]) == len(measured.launches) >= 2
    assert any("case: --cool 50C: no thermal zone" in text for text in heard.warnings)


def test_of_a_board_they_are_read_over_its_connection(tmp_path):
    with closing(connect("ssh://pi@b", Local(tmp_path / "home"), sys.executable)) as board:
        found = board.temperatures()
    assert found == sensors.read().temperatures_c, "the agent runs on this machine"
