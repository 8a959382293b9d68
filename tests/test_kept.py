"""What a graph makes of many images takes as much memory as a batch of it does."""

import tracemalloc

import numpy as np
import pytest

from edgeeff.harness.verify import judge, judge_parts
from edgeeff.pipeline import kept
from edgeeff.pipeline.kept import Kept
from edgeeff.quantization.boxed import Levels
from edgeeff.quantization.budget import judge_outputs
from edgeeff.tasks import joined


def batches(count, seed=0, noise=0.0, large=1):
    """Two images each but the last."""
    for number in range(0, count, 2):
        random = np.random.default_rng(number)
        own = np.random.default_rng((seed, number))
        shapes = {"wide": (min(2, count - number), 50 * large, 3), "narrow": (min(2, count - number), 4)}
        yield {
            name: (random.normal(size=shape) + noise * own.normal(size=shape)).astype(np.float32)
            for name, shape in shapes.items()
        }


def test_memory_does_not_grow_with_images(monkeypatch):
    monkeypatch.setattr(kept, "IN_MEMORY", 1 << 20)
    peaks = []
    for count in (8, 32):
        tracemalloc.start()
        found = Kept(batches(count, large=2000), count)
        assert sum(1 for _ in found.pairs(batches(count, large=2000))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_outputs_in_a_file_are_compared_as_those_in_memory(monkeypatch):
    photos = np.array([0, 0, 1, 2, 3])
    small = Kept(batches(5), 5)
    monkeypatch.setattr(kept, "IN_MEMORY", 0)
    large = Kept(batches(5), 5)
    assert Kept(batches(5), 5, whole=True).large is small.large is False and large.large
    reference, test = joined(batches(5)), joined(batches(5, 1, 0.1))
    for name, values in reference.items():
        np.testing.assert_array_equal(large.rows(0, 5)[name], values)
        np.testing.assert_array_equal(large.rows(3, 9)[name], small.rows(3, 9)[name])
    levels = Levels()
    for one, other in large.pairs(batches(5, 1, 0.1)):
        levels.update(one, other)
    found, whole = levels.judged(photos), judge_outputs(reference, test, None, photos)
    assert found == whole
    flat = [({"narrow": a["narrow"]}, {"narrow": b["narrow"]}) for a, b in large.pairs(batches(5, 1, 0.1))]
    by_image = judge_parts(flat)
    at_once = judge({"narrow": test["narrow"]}, float_outputs={"narrow": reference["narrow"]})
    assert (by_image.images, by_image.agreement) == (5, at_once.agreement)
    assert by_image.sqnr == pytest.approx(at_once.sqnr)


def test_other_images_are_refused(monkeypatch):
    monkeypatch.setattr(kept, "IN_MEMORY", 0)
    for count in (3, 6):
        with pytest.raises(ValueError):
            list(Kept(batches(5), 5).pairs(batches(count)))
