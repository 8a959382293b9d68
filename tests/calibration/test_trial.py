from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.calibration import trial
from edgeeff.calibration.trial import TrialReport, Variant
from edgeeff.graph import expectations
from edgeeff.graph.execute import execute, prepare
from edgeeff.images import ImageSet
from edgeeff.zoo.spec import IMAGENET, LITE, PLUS_MINUS_ONE


@pytest.fixture(scope="module")
def pixels(trained_lite0, photos):
    batches = ImageSet(tuple(photos)).batches(trained_lite0[1], 20)
    return np.concatenate([batch for batch, _ in batches])


def compare(trained_lite0, pixels, **changed):
    model, preprocess = trained_lite0
    return trial.compare(model, replace(preprocess, **changed), pixels)


def test_the_zoos_normalisations_are_tried():
    assert {IMAGENET, PLUS_MINUS_ONE, LITE} <= set(trial.USUAL)


def test_right_preprocessing_is_left_alone(trained_lite0, pixels):
    report = compare(trained_lite0, pixels)
    assert report.better is None and report.warnings == ()
    assert report.images == 16
    assert (report.variants[0].mean, report.variants[0].std) == LITE
    assert min(report.variants, key=lambda v: v.distance) == report.variants[0]


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        IMAGENET,
        ((0.0,) * 3, (255.0,) * 3),
        ((0.0,) * 3, (1.0,) * 3),
        (tuple(m / 255 for m in LITE[0]), tuple(s / 255 for s in LITE[1])),  # of 0…1, on 0…255
        (tuple(m * 255 for m in LITE[0]), tuple(s * 255 for s in LITE[1])),
    ],
)
def test_wrong_mean_and_std_are_named_with_the_right_ones(mean, std, trained_lite0, pixels):
    report = compare(trained_lite0, pixels, mean=mean, std=std)
    better = report.better
    assert better is not None and not better.exchanged
    assert np.allclose((better.mean, better.std), LITE, rtol=0.01)
    (warning,) = report.warnings
    assert f"{report.variants[0].distance:.2f}" in warning and f"{better.distance:.2f}" in warning
    assert "--mean 127 --std 128" in warning


def test_exchanged_colours_are_seen_also_beside_a_wrong_mean(trained_lite0, pixels):
    swapped = np.ascontiguousarray(pixels[..., ::-1])
    report = compare(trained_lite0, swapped)
    assert report.better is not None and report.better.exchanged
    (warning,) = report.warnings
    assert "red and blue look exchanged" in warning
    both = compare(trained_lite0, swapped, mean=IMAGENET[0], std=IMAGENET[1])
    assert len(both.warnings) == 2
    assert "--mean 127 --std 128" in both.warnings[0] and "exchanged" in both.warnings[1]


def test_images_of_another_kind_do_not_accuse_the_preprocessing(trained_lite0):
    _, preprocess = trained_lite0
    random = np.random.default_rng(0)
    shape = (8, *preprocess.size, 3)
    grey = np.clip(random.normal(128, 20, shape), 0, 255).astype(np.uint8)
    for images in (random.integers(0, 256, shape, np.uint8), grey, np.zeros(shape, np.uint8)):
        assert compare(trained_lite0, images).warnings == ()


def test_too_few_images_say_nothing_of_colours():
    variants = (Variant(*LITE, False, 0.2), Variant(*LITE, True, 0.1))
    assert TrialReport(variants, 4).better is None
    assert TrialReport(variants, 8).better == variants[1]


def test_only_the_beginning_of_the_network_is_run(b0):
    program = prepare(b0.graph)
    names = list(expectations.read(b0.graph))[:2]
    beginning = trial._until(program, set(names))
    assert len(beginning.steps) < len(program.steps) / 10
    seen = {}
    x = torch.from_numpy(b0.preprocess.normalise(b0.images))
    execute(program, x, lambda name, value: seen.setdefault(name, value.clone()))
    assert torch.equal(execute(beginning, x), seen[names[-1]])


def test_a_network_that_came_folded_is_not_tried(b0):
    model = b0.graph.clone()
    expectations.strip(model)
    report = trial.compare(model, b0.preprocess, b0.images)
    assert report.better is None and report.warnings == () and report.variants == ()
    assert report.not_run and "folded" in report.not_run


def test_threads_are_given_back_and_the_report_comes_back_from_json(b0):
    before = torch.get_num_threads()
    report = trial.compare(b0.graph, b0.preprocess, b0.images)
    assert torch.get_num_threads() == before
    assert report.images == len(b0.images)
    assert TrialReport.from_json(json.loads(json.dumps(report.to_json()))) == report
