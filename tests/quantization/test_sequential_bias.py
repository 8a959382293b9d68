from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from edgeeff.cache import Cache
from edgeeff.calibration.selection import Selection
from edgeeff.errors import OptionError
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.images import ImageSet
from edgeeff.images.picture import Picture
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Recorder, Silent
from edgeeff.quantization import sequential_bias, simulate
from edgeeff.quantization.steps import correct_bias_sequentially, ranges
from edgeeff.quantization.steps import round as round_


@pytest.fixture(scope="module")
def rounded(begun):
    """A draft whose ranges are far too wide: what little of a channel is left is mostly a shift."""
    draft = ranges.apply(begun("lite0 whole", "openvino"), method="minmax")
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
    images = inputs("lite0 whole", 8)
    corrected = correct_bias_sequentially.apply(rounded)
    assert moved(corrected, images) < 0.8 * moved(rounded, images)
    same = [
        name for name, layer in corrected.layers.items() if (layer.codes != rounded.layers[name].codes).any()
    ]
    assert not same and corrected.activations == rounded.activations


def test_looks_at_images_from_all_over_the_set(rounded, inputs):
    images = inputs("lite0 whole", 8)
    asked = []

    def spread(count):
        asked.append(count)
        return iter(images[4:].split(2))

    evidence = replace(rounded.evidence, batches=lambda count: pytest.fail("the first ones"), spread=spread)
    found = correct_bias_sequentially.apply(replace(rounded, evidence=evidence), images=4)
    wanted = sequential_bias.correct(rounded.model, rounded.plan(), images[4:].split(2))
    assert asked == [4]
    assert all((found.layers[name].bias == layer.bias).all() for name, layer in wanted.items())


def test_a_folder_a_class_is_spread_over_all_classes(tmp_path):
    """Grey photos, ten classes of three: eight of them are of eight classes, and each photo comes once."""
    for number in range(30):
        path = tmp_path / str(number // 3) / f"{number % 3}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, number, number)).save(path)
    photos = ImageSet(tuple(Picture(path) for path in sorted(tmp_path.glob("*/*.png"))))
    preprocess = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3)
    context = Context.of(Cache(tmp_path / "cache"), Recorder.of(Silent()))
    calibration = Calibration(None, preprocess, Selection(photos, photos), context)
    found = [int(image[0, 0, 0]) for batch in calibration.spread(True, 8) for image in batch]
    assert len({number // 3 for number in found}) == 8 == len(found)
    first = [int(image[0, 0, 0]) for batch in calibration.inputs(True, 8) for image in batch]
    assert first == list(range(8))
    every = [int(image[0, 0, 0]) for batch in calibration.spread(True, 30) for image in batch]
    assert sorted(every) == list(range(30))


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
        correct_bias_sequentially.apply(ranges.apply(begun("lite0 whole", "tflite"), method="minmax"))
