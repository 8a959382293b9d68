from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
import torch

from edgeeff.calibration.collect import collect, observed_tensors
from edgeeff.calibration.statistics import statistics_to_bytes
from edgeeff.graph.execute import execute, prepare


def split(pixels, size):
    return [pixels[i : i + size] for i in range(0, len(pixels), size)]


def test_tensors_that_some_scheme_quantises(networks):
    for network in networks.values():
        names = observed_tensors(network.graph)
        assert set(network.statistics) == names
        for node in network.graph.graph:
            clamped = [reader.op_type for reader in node.outputs[0].consumers()] == ["Clip"]
            assert (node.outputs[0].name in names) == (not clamped and node.op_type != "Flatten")
        assert {"input", "logits"} <= names


def test_statistics_are_those_of_the_tensors(b0):
    seen = {}
    x = torch.from_numpy(b0.preprocess.normalise(b0.images))
    execute(prepare(b0.graph), x, lambda name, value: seen.update({name: value.clone()}))
    for name, found in b0.statistics.items():
        value = seen[name].reshape(*seen[name].shape[:2], -1).double()
        # Not to the last bit: that hangs on how many images are computed together.
        close = {"rtol": 1e-5, "atol": 1e-5 * float(value.abs().max())}
        np.testing.assert_allclose(found.minimum, value.amin((0, 2)), **close)
        np.testing.assert_allclose(found.maximum, value.amax((0, 2)), **close)
        np.testing.assert_allclose(
            found.mean, value.mean((0, 2)), rtol=1e-4, atol=1e-5 * float(value.abs().max())
        )
        np.testing.assert_allclose(found.second_moment, value.square().mean((0, 2)), rtol=1e-4)
        assert found.count == value.shape[0] * value.shape[2]


@pytest.mark.parametrize("processors", [1, 2, 4])
def test_the_number_of_threads_changes_no_bit(processors, lite0, monkeypatch):
    expected = statistics_to_bytes(collect(lite0.graph, lite0.preprocess, split(lite0.images, 2)))
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(processors)
        assert statistics_to_bytes(collect(lite0.graph, lite0.preprocess, split(lite0.images, 2))) == expected
        assert torch.get_num_threads() == processors
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("size", [1, 3])
def test_the_split_into_batches_changes_nothing_but_rounding(size, b0):
    parts = collect(b0.graph, b0.preprocess, split(b0.images, size))
    for name, whole in b0.statistics.items():
        found = parts[name]
        assert found.count == whole.count
        bound = max(abs(whole.low), abs(whole.high))
        for field in ("minimum", "maximum", "mean"):
            np.testing.assert_allclose(
                getattr(found, field), getattr(whole, field), rtol=1e-3, atol=1e-4 * bound
            )
        np.testing.assert_allclose(found.second_moment, whole.second_moment, rtol=1e-3)
        np.testing.assert_array_equal(found.histogram.sum(1), whole.histogram.sum(1))


def test_the_input_is_what_preprocessing_says(lite0):
    found = lite0.statistics["input"]
    pixels = lite0.images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found.mean, (pixels.mean(0) - 127) / 128, atol=1e-5)
    np.testing.assert_allclose(found.minimum, (pixels.min(0) - 127) / 128, rtol=1e-6)


def test_progress_counts_images(lite0):
    counts = []
    collect(lite0.graph, lite0.preprocess, split(lite0.images, 3), counts.append)
    assert counts == [3, 3, 2]


def test_no_images_no_statistics(lite0):
    assert collect(lite0.graph, lite0.preprocess, []) == {}


def test_an_error_of_the_source_is_raised_and_threads_are_given_back(lite0):
    def broken():
        yield lite0.images[:2]
        raise RuntimeError("the camera went away")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="camera"):
        collect(lite0.graph, lite0.preprocess, broken())
    assert torch.get_num_threads() == before


def test_memory_does_not_grow_with_the_number_of_images(lite0, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    held = 0
    most = 0

    def source(count):
        nonlocal held, most

        class Batch(np.ndarray):
            def __del__(self):
                nonlocal held
                held -= 1

        for _ in range(count):
            held += 1
            most = max(most, held)
            yield lite0.images[:1].view(Batch)

    tracemalloc.start()
    peaks = []
    for count in (4, 24):
        tracemalloc.reset_peak()
        collect(lite0.graph, lite0.preprocess, source(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert most <= 6  # a batch is decoded only when there is room for it
    assert peaks[1] < 1.1 * peaks[0]


def test_a_batch_that_fails_lets_nobody_wait(lite0):
    """Whichever batch fails, its own error comes out, and the threads that follow it end."""
    for bad in range(5):
        batches = [lite0.images[:2] for _ in range(6)]
        batches[bad] = np.zeros((1, 16, 16, 4), np.uint8)  # four channels: the stem cannot read it
        with pytest.raises(Exception, match=r"channels|broadcast|shape"):
            collect(lite0.graph, lite0.preprocess, batches)
