from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeeff.calibration import judgement
from edgeeff.calibration.collect import collect
from edgeeff.calibration.content import Examination
from edgeeff.calibration.judgement import Judgement
from edgeeff.errors import CalibrationError
from edgeeff.graph import expectations
from edgeeff.images import open_images


@pytest.fixture
def a_set(tmp_path):
    def make(pixels):
        np.savez(tmp_path / "images.npz", images=pixels)
        return open_images(tmp_path / "images.npz")

    return make


def judged(network, images, graph=None, force=False):
    model = graph or network.graph
    tried = judgement.at_sight(model, network.preprocess, images, force=force)
    examination = Examination(images.pictures, force=force)

    def batches():
        for pixels, numbers in images.batches(network.preprocess, 4):
            examination.add(pixels, numbers)
            yield pixels

    return judgement.judge(model, collect(model, network.preprocess, batches()), examination.report(), tried)


def test_noise_is_refused_before_calibration_begins(b0, a_set):
    noise = np.random.default_rng(0).integers(0, 256, b0.images.shape, np.uint8)
    with pytest.raises(CalibrationError, match="8 noise"):
        judgement.at_sight(b0.graph, b0.preprocess, a_set(noise))
    assert judgement.at_sight(b0.graph, b0.preprocess, a_set(noise), force=True).images == 8
    noise[3] = b0.images[3]  # one photo in the sample, and only the whole set can tell
    judgement.at_sight(b0.graph, b0.preprocess, a_set(noise))
    with pytest.raises(CalibrationError, match="--force-calibration"):
        judged(b0, a_set(noise))


def test_forced_noise_is_told_in_all_warnings_and_refused_when_read_again(b0, a_set):
    noise = np.random.default_rng(0).integers(0, 256, b0.images.shape, np.uint8)
    images = a_set(noise)
    found = judged(b0, images, force=True)
    warnings = found.warnings(images.pictures)
    assert "noise, no photos: 8 of 8 calibration images" in warnings[0] and "images.npz[0]" in warnings[0]
    assert "standard deviations" in warnings[-1]
    again = Judgement.from_bytes(found.to_bytes())
    assert again == found and again.to_bytes() == found.to_bytes()
    with pytest.raises(CalibrationError):
        again.content.refuse(images.pictures)


def test_a_network_that_came_folded_says_that_it_was_not_run(b0, a_set):
    model = b0.graph.clone()
    expectations.strip(model)
    found = judged(b0, a_set(b0.images), model)
    assert found.line.startswith("domain   NOT RUN: the network came with")
    assert found.warnings([]) == ()


def test_the_number_is_told_also_where_it_is_well(lite0, a_set):
    found = judged(lite0, a_set(lite0.images))
    assert found.domain.distance is not None
    assert f"{found.domain.distance:.2f} standard deviations" in found.line


def test_images_that_cannot_be_decoded_are_no_reason_to_stop(b0, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    tried = judgement.at_sight(b0.graph, b0.preprocess, open_images(tmp_path))
    assert tried.not_run == "no image could be decoded"


def test_reading_a_judgement_loads_no_torch_and_no_onnx():
    """A build that finds everything in the cache loads neither."""
    heavy = "{'torch', 'onnx', 'onnx_ir'}"
    code = f"import sys, edgeeff.calibration.judgement; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
