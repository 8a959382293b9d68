from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.calibration import domain
from edgeeff.calibration.collect import collect, observed_tensors
from edgeeff.calibration.domain import DomainReport
from edgeeff.calibration.statistics import BINS, TensorStatistics
from edgeeff.graph import expectations
from edgeeff.graph.expectations import Expectation
from edgeeff.images import ImageSet
from edgeeff.zoo.spec import IMAGENET


@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_everything_expected_is_observed(name, networks):
    network = networks[name]
    wanted = domain.expected(network.graph)
    assert set(wanted.tensors) <= observed_tensors(network.graph)
    assert len(wanted.tensors) == len(expectations.read(network.graph))
    assert wanted.clamped == (name == "lite0")


def as_expected(wanted, shift=0.0, stretch=1.0, images=10_000):
    """Statistics whose every channel is off by so many of its deviations, and as many times as wide."""
    made = {"logits": tensor(np.zeros(10), np.ones(10), images)}
    for name, one in wanted.tensors.items():
        made[name] = tensor(one.mean + shift * one.std, stretch * one.std, 49 * images)
    return made


def tensor(mean, std, count):
    channels = len(mean)
    return TensorStatistics(
        minimum=np.zeros(channels, np.float32),
        maximum=np.ones(channels, np.float32),
        mean=mean,
        second_moment=std**2 + mean**2,
        count=count,
        histogram=np.zeros((channels, BINS), np.float32),
        edge=np.ones(channels),
    )


@pytest.mark.parametrize("name", ["b0", "lite0"])
@pytest.mark.parametrize(
    ("shift", "stretch", "distance"), [(0, 1, 0), (0.5, 1, 0.5), (0, 0, 1), (0, 2, 1), (0.3, 1.4, 0.5)]
)
def test_the_distance_is_in_the_networks_own_deviations(shift, stretch, distance, name, networks):
    wanted = domain.expected(networks[name].graph)
    report = domain.judge(wanted, as_expected(wanted, shift, stretch))
    assert report.distance == pytest.approx(distance, abs=0.01)
    assert list(report.layers) == list(wanted.tensors)
    assert bool(report.warnings) == (distance > 0)
    for warning in report.warnings:
        assert f"{distance:.2f} standard deviations" in warning and "--mean" in warning


@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_noise_is_further_off_than_images_of_the_domain(name, networks):
    network = networks[name]
    wanted = domain.expected(network.graph)
    own = domain.judge(wanted, network.statistics).distance
    noise = np.random.default_rng(0).integers(0, 256, network.images.shape, np.uint8)
    for images in (noise, np.zeros_like(noise)):
        report = domain.judge(wanted, collect(network.graph, network.preprocess, [images]))
        assert own is not None and report.distance is not None and report.distance > own + 0.1
        assert report.warnings


def test_real_weights_know_photos_from_noise_and_from_wrong_preprocessing(trained_lite0, photos):
    model, preprocess = trained_lite0
    wanted = domain.expected(model)
    batches = [pixels for pixels, _ in ImageSet(tuple(photos[:12])).batches(preprocess, 4)]
    right = domain.judge(wanted, collect(model, preprocess, batches))
    assert right.distance is not None and right.distance < 0.15
    assert right.warnings == ()
    mean, std = IMAGENET
    wrong = domain.judge(wanted, collect(model, replace(preprocess, mean=mean, std=std), batches))
    noise = np.random.default_rng(0).integers(0, 256, (4, *batches[0].shape[1:]), np.uint8)
    of_noise = domain.judge(wanted, collect(model, preprocess, [noise]))
    assert wrong.warnings and of_noise.warnings
    assert (
        wrong.distance and of_noise.distance and of_noise.distance > 2 * wrong.distance > 3 * right.distance
    )


def test_a_network_that_came_folded_is_not_judged(b0):
    model = b0.graph.clone()
    expectations.strip(model)
    report = domain.judge(domain.expected(model), b0.statistics)
    assert report.distance is None and report.warnings == ()
    assert report.not_run and "folded" in report.not_run


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (0.0, np.inf), (-np.inf, 1.0), (-1.0, 0.5)])
def test_clamped_normal(low, high):
    mean, std = np.array([-4.0, -0.5, 0.0, 2.0, 7.0]), np.array([2.0, 1.0, 0.3, 3.0, 2.0])
    sample = np.clip(np.random.default_rng(0).normal(mean[:, None], std[:, None], (5, 400_000)), low, high)
    found = domain._clamped(Expectation(mean, std), low, high)
    np.testing.assert_allclose(found.mean, sample.mean(1), atol=0.02)
    alive = found.std > 0
    np.testing.assert_allclose(found.std[alive], sample.std(1)[alive], atol=0.02)
    assert (sample.std(1)[~alive] < 0.06 * std[~alive]).all()


def test_channels_that_are_switched_off_do_not_count():
    wanted = Expectation(np.zeros(4), np.array([1.0, 2.0, 0.0, 1e-9]))
    found = domain.channel_distances(wanted, np.array([3.0, 0, 9, 9]), np.array([5.0, 1, 9, 9]))
    np.testing.assert_allclose(found, [5, 0.5])


def test_few_images_are_forgiven_what_chance_does(b0):
    """The limit is wider and the distance less for the same statistics of fewer images."""
    wanted = domain.expected(b0.graph)
    many = {name: replace(t, count=t.count * 100) for name, t in b0.statistics.items()}
    few, more = domain.judge(wanted, b0.statistics), domain.judge(wanted, many)
    assert few.distance is not None and more.distance is not None
    assert few.distance < more.distance
    assert few.limit > more.limit > domain.UNBOUNDED_LIMIT


def test_plain_data_and_back(b0):
    report = domain.judge(domain.expected(b0.graph), b0.statistics)
    assert DomainReport.from_json(report.to_json()) == report
