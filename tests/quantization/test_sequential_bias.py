from __future__ import annotations

import pytest
import torch

from edgeeff.errors import OptionError
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.quantization import sequential_bias, simulate
from edgeeff.quantization.steps import correct_bias_sequentially, ranges
from edgeeff.quantization.steps import round as round_


@pytest.fixture(scope="module")
def rounded(begun):
    """A draft whose ranges are far too wide: what little of a channel is left is mostly a shift."""
    draft = ranges.apply(begun("lite0", "openvino"), method="minmax")
    wide = {name: a.__class__(a.scale * 16, a.zero_point, a.type) for name, a in draft.activations.items()}
    return round_.apply(draft.__class__(**{**vars(draft), "activations": wide}))


def moved(draft, images):
    """How far the means of each layer's output lie from the float graph's, as a share of their size."""
    program = prepare(draft.model)
    layers = {str(node.outputs[0].name) for node in draft.layer_nodes()}
    found = []
    for read in (None, simulate.reader(draft.plan())):
        means = {}
        outputs_of(
            program, images, lambda n, v, m=means: m.update({n: v.mean((0, *range(2, v.dim())))}), read
        )
        found.append(torch.cat([means[name] for name in sorted(layers)]))
    return float((found[0] - found[1]).norm() / found[0].norm())


def test_takes_the_shift_out(rounded, inputs):
    images = inputs("lite0", 8)
    corrected = correct_bias_sequentially.apply(rounded)
    assert moved(corrected, images) < 0.8 * moved(rounded, images)
    same = [
        name for name, layer in corrected.layers.items() if (layer.codes != rounded.layers[name].codes).any()
    ]
    assert not same and corrected.activations == rounded.activations


def test_a_shift_that_images_do_not_share_stays():
    shifts = torch.tensor([[1.0, 3.0, 0.0], [1.0, -3.0, 0.0]], dtype=torch.float64)
    assert sequential_bias._common(shifts).tolist() == [1.0, 0.0, 0.0]
    assert sequential_bias._common(shifts[:1]).tolist() == [0.0, 0.0, 0.0]  # one image shares with none


def test_memory_bounds_the_images(rounded, monkeypatch):
    program = prepare(rounded.model)
    assert sequential_bias.affordable(program, 8) == 8
    monkeypatch.setattr(sequential_bias, "HELD", 1)
    assert sequential_bias.affordable(program, 8) == 4
    assert sequential_bias.affordable(program, 2) == 2


def test_comes_after_the_weights(begun):
    with pytest.raises(OptionError, match="correct_bias_sequentially comes before the weights"):
        correct_bias_sequentially.apply(ranges.apply(begun("lite0", "tflite"), method="minmax"))
