"""What is said of long work where there is no terminal to draw a bar on."""

from __future__ import annotations

import pytest

from edgeeff.cli import console


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(console, "time", found)
    return found


def test_how_long_a_stage_will_take_is_told_once(clock, capsys):
    with console.ConsoleProgress() as progress:
        progress.stage("learning", 300, "steps")
        clock.now = 7.0  # the first step also warms up
        progress.advance(50)  # and 49 were found done
        for _ in range(100):
            clock.now += 2.0
            progress.advance()
    said = capsys.readouterr().err.splitlines()
    assert said == ["• learning (300 steps)", "  about 490 s more"]


def test_what_is_over_or_cannot_be_told_is_not_estimated(clock, capsys):
    with console.ConsoleProgress() as progress:
        progress.stage("calibrating", 3)
        for _ in range(3):
            clock.now += 9.0  # at the end 18 have passed since the first, and nothing is left to wait for
            progress.advance()
        progress.stage("downloading", 10**6, "bytes")
        progress.stage("packing")
        clock.now += 60
        progress.advance()
    assert capsys.readouterr().err.splitlines() == ["• calibrating (3 images)", "• downloading", "• packing"]
