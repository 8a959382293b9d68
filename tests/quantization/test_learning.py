from __future__ import annotations

import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgeeff.cache import Cache
from edgeeff.graph.execute import execute, prepare
from edgeeff.progress import Silent
from edgeeff.quantization import simulate
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.learning import descent, short, states
from edgeeff.quantization.learning.learnable import Learnable
from edgeeff.quantization.steps import learn


def error(draft, images):
    """Error energy of the centred logits, as a share of the signal's."""
    program = prepare(draft.model)
    float_logits = execute(program, images)
    logits = execute(program, images, read=simulate.reader(draft.plan()))
    wanted, found = (z - z.mean(1, keepdim=True) for z in (float_logits, logits))
    return float((found - wanted).square().sum() / wanted.square().sum())


def spoiled(draft):
    """A plan with the mistakes that learning should mend: biases off, and ranges too wide."""
    random = np.random.default_rng(0)
    layers = {
        name: replace(layer, bias=(layer.bias + random.normal(0, 0.1, layer.bias.shape)).astype(np.float32))
        for name, layer in draft.layers.items()
    }
    free = {n for n, s in draft.placement.sites.items() if s.fixed is None and n not in draft.known}
    activations = {
        name: replace(a, scale=float(np.float32(1.5 * a.scale))) if name in free else a
        for name, a in draft.activations.items()
    }
    return replace(draft, layers=layers, activations=activations)


@pytest.mark.parametrize(("network", "scheme"), [("lite0", "tensorrt"), ("b0", "tflite")])
def test_learning_mends_a_spoiled_plan(network, scheme, finished, inputs):
    draft = spoiled(finished(network, scheme))
    learned = learn.apply(draft, steps=8, batch=4, images=8, scale_rate=0.03, bias_rate=0.03)
    assert error(learned, inputs(network)) < 0.8 * error(draft, inputs(network))
    for name, site in draft.placement.sites.items():
        if site.fixed is not None or name in draft.known:
            assert learned.activations[name] == draft.activations[name]
    assert learned.notes[-1] == "learned in 8 steps"


def test_maps_are_looked_at_image_by_image(monkeypatch):
    """Of one output, too: those of all images do not fit memory. Logits are looked at together."""
    together = []

    def deciding(outputs):
        together.extend(map(len, outputs.values()))
        return Deciding()(outputs)

    images = torch.rand(3, 2, 4, 4).unbind()
    subject = SimpleNamespace(program=SimpleNamespace(outputs=["y"]), deciding=deciding)
    for output, looks in ((lambda x: x, [1, 1, 1]), (lambda x: x.flatten(1), [3])):
        monkeypatch.setattr(short, "outputs_of", lambda program, x, output=output: {"y": output(x)})
        together.clear()
        wanted = Deciding()({"y": output(torch.stack(images))}).square().mean()
        assert short.signal(subject, images) == pytest.approx(float(wanted))
        assert together == looks


def test_what_is_no_better_is_not_taken(finished):
    draft = finished("lite0", "openvino")
    wild = learn.apply(draft, steps=2, batch=4, images=8, weight_rate=50.0, bias_rate=50.0)
    assert wild.activations == draft.activations
    for name, layer in draft.layers.items():
        for part in ("scale", "codes", "bias"):
            np.testing.assert_array_equal(getattr(wild.layers[name], part), getattr(layer, part))


def test_given_ranges_stay(begun, finished):
    name = next(n for n, s in finished("lite0", "openvino").placement.sites.items() if n != "input")
    draft = finished("lite0", "openvino")
    given = replace(draft, given={name: draft.activations[name].limits})
    learned = learn.apply(given, steps=2, batch=4, images=8, scale_rate=0.1, bias_rate=0.1)
    assert learned.activations[name] == draft.activations[name]


def test_the_number_of_threads_changes_nothing(finished, monkeypatch):
    draft = spoiled(finished("lite0", "tflite"))
    found = []
    for cores, threads in ((1, 1), (4, 2)):
        monkeypatch.setattr(descent.os, "cpu_count", lambda cores=cores: cores)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found.append(learn.apply(draft, steps=3, batch=4, images=8).plan())
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    one, other = found
    assert one.activations == other.activations
    for name, layer in one.layers.items():
        for field in ("scale", "codes", "bias"):
            np.testing.assert_array_equal(getattr(layer, field), getattr(other.layers[name], field))


def test_gradients_of_a_learned_scale():
    """Inside, the rounding error; outside, the code at the end (Esser et al. 2020, equation 3)."""
    value = torch.tensor([0.26, -0.9, 7.0, -9.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    rounded = Learnable.apply(value, scale, -8, 7)
    torch.testing.assert_close(rounded, torch.tensor([0.5, -1.0, 3.5, -4.0]))
    rounded.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert value.grad is not None and scale.grad is not None
    torch.testing.assert_close(value.grad, torch.tensor([1.0, 10.0, 0.0, 0.0]))
    inside = (1 - 0.52) * 1 + (-2 + 1.8) * 10
    torch.testing.assert_close(scale.grad, torch.tensor(inside + 7 * 100 - 8 * 1000))


class Progress(Silent):
    """Interrupts after some steps, as Ctrl-C would; counts."""

    def __init__(self, last: int | None = None) -> None:
        self.last, self.calls, self.unit = last, [], ""

    def stage(self, text, total=None, unit="images"):
        self.unit = unit

    def advance(self, count=1):
        self.calls.append(count)
        if sum(self.calls) == self.last:
            raise KeyboardInterrupt


def test_interrupted_learning_goes_on_where_it_was(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(states, "KEPT_EVERY", 2)
    cache = Cache(tmp_path)
    draft = replace(spoiled(finished("lite0", "tflite")), cache=cache)
    arguments = {"steps": 4, "batch": 2, "images": 4}
    whole = learn.apply(replace(draft, cache=None), **arguments)
    with pytest.raises(KeyboardInterrupt):
        learn.apply(replace(draft, progress=Progress(3)), **arguments)
    assert [stage for stage, _, _ in cache.entries()] == ["learning"]
    # What depends on something else begins anew.
    other = Progress()
    learn.apply(replace(draft, progress=other), **{**arguments, "seed": 1})
    assert sum(other.calls) == 4 and other.calls[0] == 0 and other.unit == "steps"
    resumed = Progress()
    found = learn.apply(replace(draft, progress=resumed), **arguments)
    assert resumed.calls == [2, 1, 1]
    assert not cache.entries()
    assert found.activations == whole.activations
    for name, layer in whole.layers.items():
        for field in ("scale", "codes", "bias"):
            np.testing.assert_array_equal(getattr(layer, field), getattr(found.layers[name], field))


def test_a_state_too_large_is_not_kept(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(states, "KEPT_EVERY", 1)
    monkeypatch.setattr(states, "LARGEST_STATE", 1000)
    cache = Cache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        draft = replace(finished("lite0", "tflite"), cache=cache, progress=Progress(2))
        learn.apply(draft, steps=3, batch=4, images=8)
    assert not cache.entries()


def test_images_lie_on_the_disk_while_they_are_learnt_from():
    """Not in memory beside one another, whatever their number."""
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = []

    def images():
        for number in range(20):
            image = torch.full((3, 4, 5), float(number))
            alive.add(image)
            most.append(len(alive))
            yield image.transpose(1, 2)

    found = learn.on_disk(images())
    assert [float(one.mean()) for one in found] == [*map(float, range(20))] and max(most) <= 3
    assert found[7].shape == (3, 5, 4) and found[7].dtype == torch.float32
