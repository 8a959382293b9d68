"""Training on streamed images: its pace, its losses, what oscillates, what shares codes and scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.cache import Bookmark, Cache
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.learning import losses, states
from edgeeff.quantization.learning.freezing import Freezing
from edgeeff.quantization.learning.learnable import Parameters
from edgeeff.quantization.learning.losses import Loss
from edgeeff.quantization.learning.pace import Limits, Pace
from edgeeff.quantization.learning.subject import Rates, subject_of
from edgeeff.quantization.learning.training import Batch, Course, train
from edgeeff.quantization.learning.varying import vary_pixels


def course(steps, **changed):
    return Course(Limits(steps), Loss(), Rates(0.001, 0.05, 0.3), batch=4, judged=2, **changed)


def stream(images):
    def batches(start):
        step = start
        while True:
            yield Batch([images[(4 * step + i) % 6] for i in range(4)])
            step += 1

    return batches


@pytest.mark.parametrize(
    ("network", "scheme"), [("lite0", "openvino"), ("lite0", "tensorrt"), ("b0", "tflite")]
)
def test_every_scheme_is_trained(network, scheme, finished, inputs):
    draft = finished(network, scheme)
    subject = subject_of(draft)
    random = np.random.default_rng(0)
    layers = {
        name: replace(layer, bias=(layer.bias + random.normal(0, 0.1, layer.bias.shape)).astype(np.float32))
        for name, layer in subject.plan.layers.items()
    }
    spoiled = replace(subject, plan=replace(subject.plan, layers=layers))
    images = inputs(network)
    found = train(spoiled, stream(images), images[6:], course(4))
    assert found.after < 0.9 * found.before and found.best > 0
    assert (found.steps, found.images, found.failed) == (4, 16, "")


def test_a_run_resumed_ends_at_the_same_bits(finished, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(states, "KEPT_EVERY", 2)
    subject, images = subject_of(finished("lite0", "openvino")), inputs("lite0")
    whole = train(subject, stream(images), images[6:], course(4))
    bookmark = Bookmark(Cache(tmp_path), "training", "a")

    def stop(pace, step, error):
        if step == 3:  # the state is kept after the second
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(subject, stream(images), images[6:], course(4), look=stop, bookmark=bookmark)
    again = train(subject, stream(images), images[6:], course(4), bookmark=bookmark)
    assert (again.best, again.after, again.frozen) == (whole.best, whole.after, whole.frozen)
    assert again.found[0] == whole.found[0]
    for name, layer in whole.found[1].items():
        for part in ("scale", "codes", "bias"):
            np.testing.assert_array_equal(getattr(layer, part), getattr(again.found[1][name], part))


def test_a_met_budget_lets_the_rates_fall_and_its_steps_repeat_it(finished, inputs):
    subject, images = subject_of(finished("lite0", "tflite")), inputs("lite0")
    open_end = replace(course(None), limits=Limits(longest=100))
    met = train(subject, stream(images), images[6:], open_end, meets=lambda found, step: step >= 4)
    assert met.met and met.steps == 6  # four, and half as many in which the rates fall
    again = train(subject, stream(images), images[6:], course(met.steps))
    assert (again.after, again.best) == (met.after, met.best)
    at_once = train(subject, stream(images), images[6:], open_end, meets=lambda found, step: True)
    assert (at_once.steps, at_once.found[1]) == (0, dict(subject.plan.layers))


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 50, 67, 2000])
def test_a_pace_of_so_many_steps(steps):
    pace = Pace(Limits(steps))
    rates = [pace.rate(step) for step in range(steps)]
    assert pace.over(steps) and not pace.over(steps - 1)
    assert all(0 < rate <= 1 for rate in rates)
    if steps >= 50:
        assert rates[-1] < 0.05 and max(rates) == 1


@pytest.mark.parametrize("at", [3, 4, 50, 125, 1999])
def test_an_end_that_was_looked_up_is_that_of_so_many_steps(at):
    pace = Pace(Limits(longest=10**9))
    pace.look(at, met=True)
    assert pace.total is not None
    said = Pace(Limits(pace.total))
    assert said.cooling == at
    assert [pace.rate(s) for s in range(pace.total)] == [said.rate(s) for s in range(pace.total)]


def test_what_turns_too_often_is_frozen_where_it_mostly_was():
    codes = {"layer": torch.tensor([2.4, 0.0, 5.0])}
    freezing = Freezing(codes, 127)
    for step in range(60):
        codes["layer"][0] = 2.6 if step % 4 == 0 else 2.4  # over the border and back
        codes["layer"][1] += 0.02  # one way
        freezing.watch(0.0)
    assert freezing.share == pytest.approx(1 / 3)
    assert codes["layer"].tolist() == pytest.approx([2.0, 1.2, 5.0])
    other = Freezing({"layer": torch.zeros(3)}, 127)
    other.restore(freezing.state())
    assert other.share == freezing.share


def test_losses_are_zero_at_the_teacher_and_labels_count():
    logits = {"logits": torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])}
    off = {"logits": logits["logits"] + torch.tensor([0.5, 0.0, 0.0])}
    for kind in ("mse", "kl"):
        of = losses.objective(Deciding(), Loss(kind), 1.0, 2)
        assert of(logits, logits, None) == pytest.approx(0, abs=1e-6)
        assert of(logits, off, None) > 1e-3
    labelled = losses.objective(Deciding(), Loss(labels=1.0), 1.0, 2)
    right, wrong = (float(labelled(logits, logits, torch.tensor(c))) for c in ([0, -1], [2, -1]))
    assert right < wrong and float(labelled(logits, logits, torch.tensor([-1, -1]))) == 0


def test_layers_of_one_set_of_codes_keep_one(finished):
    subject = subject_of(finished("lite0", "openvino"))
    first, second = list(subject.plan.layers)[:2]
    layer = subject.plan.layers[first]
    twice = replace(layer, scale=np.float32(2) * layer.scale)
    plan = replace(subject.plan, layers={**subject.plan.layers, second: twice})
    shared = replace(subject, plan=plan, leaders={second: first})
    parameters = Parameters(shared)
    with torch.no_grad():
        parameters.codes[first] += 3
        _, layers = parameters.plan(subject.largest)
    np.testing.assert_array_equal(layers[first].codes, layers[second].codes)
    assert (layers[first].codes != layer.codes).any()


def test_a_tied_scale_follows(finished):
    subject = subject_of(finished("b0", "tflite"))
    root, tied = list(subject.free)[:2]
    followed = replace(
        subject, free=[name for name in subject.free if name != tied], ties={tied: (root, 0.5)}
    )
    parameters = Parameters(followed)
    with torch.no_grad():
        parameters.logs[root] += 1
    activations, _ = parameters.plan(subject.largest)
    assert activations[tied].scale == pytest.approx(0.5 * activations[root].scale)
    assert float(parameters.rounded(127)[tied, None].detach()) == pytest.approx(activations[tied].scale)


def test_pixels_are_varied_within_their_range():
    images = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), np.uint8)
    varied, whole = vary_pixels(images, (127.0,) * 3, np.random.default_rng(1))
    again, _ = vary_pixels(images, (127.0,) * 3, np.random.default_rng(1))
    np.testing.assert_array_equal(varied, again)
    assert varied.shape == images.shape and 0 < sum(whole) < 6
    assert (varied != images).any((1, 2, 3)).all()
