"""``--cool``: what is waited for, how long, and what is said where it cannot be."""

from __future__ import annotations

import pytest

from edgeeff.errors import OptionError
from edgeeff.harness.cooling import Cooling, degrees, doubts, wait
from edgeeff.onboard import sensors


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
