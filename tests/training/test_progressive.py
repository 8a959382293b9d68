"""Blocks that learn in stages: photos that grow, varied more and more, and left out at random."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffWarning, OptionError, OutOfMemoryError
from edgeeff.progress import Silent
from edgeeff.training import fitting, loop
from edgeeff.training.finetune import finetune
from edgeeff.training.regularising import Regularisation, plan
from edgeeff.training.tasks import _classes
from edgeeff.training.tuned import Tuned

from .conftest import SIZE, TINY

STAGED = {"stages": 2, "magnitude": 8.0, "mixup": 0.4, "cutmix": 0.4, "survival": 0.6, "augment": "wide"}


def train(photos: Path, trained: Path, output: Path, **options):
    options = {"model": TINY, "epochs": 2, "views": 1, "rate": 0.03, "batch": 6, "blocks": 3, **options}
    return finetune(photos, checkpoint=str(trained), output=output, **{"progress": Silent(), **options})


class _Killed(BaseException):
    pass


def test_stages_end_at_the_same_bytes_however_they_are_run(photos, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(_classes, "HEAD_EPOCHS", 2)  # the head's own course is tested elsewhere
    sizes, real = [], Tuned.parts

    def parts(self, batch, epoch):
        sizes.append((epoch, batch[0].shape[1:3]))
        return real(self, batch, epoch)

    monkeypatch.setattr(Tuned, "parts", parts)
    found = train(photos, trained, tmp_path / "whole.pt", **STAGED)
    assert {*sizes} == {(0, (32, 32)), (1, (64, 64))}
    assert len(found.history["blocks"]) == 2
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    step, threads = loop._Run._step, torch.get_num_threads()

    def cut(run, batch, epoch, taken):
        if batch.__class__ is tuple and (epoch, taken) == (1, 4):
            raise _Killed
        return step(run, batch, epoch, taken)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_step", cut)
        with pytest.raises(_Killed):
            train(photos, trained, tmp_path / "cut.pt", cache=Cache(tmp_path / "cut"), **STAGED)
    torch.set_num_threads(3)
    try:
        train(photos, trained, tmp_path / "cut.pt", cache=Cache(tmp_path / "cut"), **STAGED)
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "cut.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


def test_blocks_that_gain_nothing_are_said_to(photos, trained, tmp_path):
    with pytest.warns(EdgeeffWarning, match="none of 1 epochs was better than the state at the beginning"):
        # So fast that nothing of the network is left.
        found = train(
            photos, trained, tmp_path / "best.pt", block_rate=10.0, warmup=0, epochs=1, progress=None
        )
    assert found.history["blocks"][0]["value"] <= found.history["head"][-1]["value"]
    recipe = torch.load(tmp_path / "best.pt", weights_only=True)["recipe"]
    assert json.loads(recipe)["trunk"] == "frozen"


def test_what_does_nothing_is_refused(photos, trained, tmp_path, monkeypatch):
    def refused(match: str, **options) -> OptionError:
        with pytest.raises(OptionError, match=match) as caught:
            train(photos, trained, tmp_path / "best.pt", **options)
        assert caught.value.mend and not (tmp_path / "best.pt").exists()
        return caught.value

    assert "--blocks" in refused("--magnitude with a frozen trunk", blocks=None, magnitude=9, epochs=1).mend
    refused("--stages 5 with --epochs 2", stages=5)
    refused("--stages 2 with --minutes", stages=2, epochs=None, minutes=1)
    refused("--magnitude 31", magnitude=31)
    refused("--mixup -1", mixup=-1)
    refused("--survival 0", survival=0)
    refused("--augment 'much'", augment="much")
    monkeypatch.setattr(fitting.memory, "available", lambda: 1 << 20)
    with pytest.raises(OutOfMemoryError, match=f"photos of {SIZE}×{SIZE}"):
        train(photos, trained, tmp_path / "best.pt")


def test_what_comes_of_what_was_asked():
    few = plan(Regularisation(), 500, 15, (64, 64), 0.2)
    assert len(few.stages) == 1 and few.survival == 1 and few.stages[0].strength.magnitude == 0
    assert "fewer than 10000" in few.lines[0]
    many = plan(Regularisation(), 20_000, 15, (64, 64), 0.2)
    assert len(many.stages) == 4 and many.survival == 0.8 and many.stages[-1].strength.magnitude == 10
    assert "epoch    13 to 15: photos of 64×64, magnitude 10, dropout 0.2" in many.lines
    for epochs in (None, 3):  # no stages by themselves where there cannot be any
        alone = plan(Regularisation(magnitude=7), 20_000, epochs, (64, 64), 0.2)
        assert len(alone.stages) == 1 and alone.stages[0].strength.magnitude == 7 and "none" in alone.lines[0]
