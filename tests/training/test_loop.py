"""The descent: steps, the best state, patience, and losses that are no numbers."""

from __future__ import annotations

import math
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from edgeeff.errors import TrainingError
from edgeeff.progress import Recorder, Silent
from edgeeff.training import loop
from edgeeff.training.average import Average
from edgeeff.training.loop import Course, Group, Score, descend
from edgeeff.training.schedule import Schedule


class Slope:
    """A number that learns to be 3; its batches are numbers, and the loss of ``broken`` is none."""

    def __init__(self, broken: int = -1, values: tuple[float, ...] = ()) -> None:
        self.x, self.broken, self.values, self.judged = torch.zeros(1, requires_grad=True), broken, values, 0

    def groups(self):
        return [Group({"x": self.x}, 0.2)]

    def buffers(self):
        return {}

    def steps(self):
        return 5

    def batches(self, epoch, begin):
        yield from range(epoch * 5 + begin, epoch * 5 + 5)

    def parts(self, batch, epoch):
        factor = math.nan if batch == self.broken else 0.5
        return [lambda random: factor * (self.x - 3).square().sum()] * 2

    def score(self):
        self.judged += 1
        value = self.values[self.judged - 1] if self.values else -abs(float(self.x.detach()) - 3)
        return Score(value, 0.0)


def heard():
    return Recorder(Silent())


def test_it_descends_and_keeps_the_best_state():
    slope = Slope()
    found = descend(slope, Course(epochs=12), heard())
    assert float(slope.x.detach()) == pytest.approx(3, abs=0.2)
    assert len(found.history) == 12 and found.history[0]["loss"] > found.history[-1]["loss"]
    early = Slope(values=(1.0, 3.0, 2.0, 2.0))
    found = descend(early, Course(epochs=4), heard())
    kept = float(early.x.detach())
    again = Slope()
    descend(again, Course(epochs=4), heard())
    assert found.best == 2 and kept < float(again.x.detach())


def test_it_ends_where_nothing_gets_better():
    slope = Slope(values=(1.0, 2.0, 2.0, 2.0, 5.0))
    found = descend(slope, Course(epochs=5, patience=2), heard())
    assert found.best == 2 and len(found.history) == 4 and found.stopped == "no better for 2 epochs"


def test_a_loss_that_is_no_number():
    with pytest.raises(TrainingError, match=r"the loss is no number any more at step 4, at a rate of 0\.\d+"):
        descend(Slope(broken=3), Course(epochs=2), heard())
    progress, slope = heard(), Slope(broken=8)
    found = descend(slope, Course(epochs=3), progress)
    assert found.best == 1 and "at step 9" in found.stopped and math.isfinite(float(slope.x.detach()))
    assert any("the state of epoch 1 is taken" in text for text in progress.warnings)


def test_the_clock_settles_how_many_epochs_there_are():
    class Lines(Silent):
        def tell(self, text):
            lines.append(text)

    lines: list[str] = []
    found = descend(Slope(), Course(epochs=5, minutes=1e-9), Recorder(Lines()))
    assert len(found.history) == 1
    assert any("Another machine may take another number: --epochs 1" in line for line in lines)


def test_schedule_and_average():
    schedule = Schedule(10, 2)
    assert [round(schedule.share(step), 3) for step in (0, 1, 2, 6, 10)] == [0.333, 0.667, 1.0, 0.5, 0.0]
    live = {"x": torch.ones(1)}
    average = Average(live, 0.9)
    live["x"].fill_(2)
    average.update(1000)
    assert float(average.values["x"]) == pytest.approx(1.1)
    with average.in_place():
        assert float(live["x"]) == pytest.approx(1.1)
    assert float(live["x"]) == 2


def test_gradients_of_the_parts_are_added_in_order_and_do_not_pile_up():
    """However long each takes: the sums have the same bits, and few gradients are there at once."""
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    gate, most = threading.Event(), []
    values = (
        torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(12)[:, None]
    )

    def run(number):
        most.append(len(alive))
        if number == 0:
            gate.wait(1)  # the others would all be done before it
        else:
            gate.set()
        gradient = values[number].clone()
        alive.add(gradient)
        return float(number), (gradient, None)

    with ThreadPoolExecutor(2) as pool:
        losses, (sums, nothing) = loop._added(loop.in_order(pool, run, 12))
    expected = values[0].clone()
    for row in values[1:]:
        expected += row
    assert losses == [*map(float, range(12))] and torch.equal(sums, expected) and nothing is None
    assert max(most) <= 4
