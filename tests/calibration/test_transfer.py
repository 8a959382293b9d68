"""Photos that the head knows and the backbone does not are no reason to warn; all else is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.calibration import domain, judgement, transfer
from edgeeff.calibration.collect import collect
from edgeeff.calibration.content import Examination
from edgeeff.calibration.domain import DomainReport
from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.trial import TrialReport, Variant
from edgeeff.graph.execute import execute, prepare
from edgeeff.images import open_images
from edgeeff.zoo.spec import IMAGENET, LITE

#: A frozen backbone's layers: what photos share fits, what is special does not; and images that fit nowhere.
FROZEN = {f"layer {i}": 0.1 + 0.06 * i for i in range(9)}
WRONG = {f"layer {i}": 0.5 for i in range(9)}


def decided(classes, images, sure=9.0, of=None):
    """Logits of images that go round the first ``of`` classes."""
    logits = np.zeros((images, classes), np.float32)
    logits[np.arange(images), np.arange(images) % (of or classes)] = sure
    return logits


@pytest.mark.parametrize(
    ("logits", "least", "most"),
    [
        (decided(10, 40), 0.95, 1.0),
        (decided(2, 40), 0.99, 1.0),
        (decided(1000, 16, sure=20), 0.95, 1.0),  # fewer images than classes
        (np.repeat(decided(3, 3, sure=20), [36, 2, 2], axis=0), 0.95, 1.0),  # most of them of one class
        (decided(26, 52, sure=3.0), 0.1, 0.5),  # of two minds about each
        (decided(10, 40, of=1), 0.0, 0.01),  # sure, and always of the same
        (np.zeros((40, 10), np.float32), 0.0, 1e-6),
        (np.tile([[-8.0], [8.0]], (8, 1)).astype(np.float32), 0.99, 1.0),  # one logit: a sigmoid's
        (np.full((16, 1), 8.0, np.float32), 0.0, 0.01),
        (decided(10, 40) + 1e4, 0.95, 1.0),  # no overflow
    ],
)
def test_information_is_of_sure_and_different_answers(logits, least, most):
    found = transfer.information(logits)
    assert found is not None and least <= found <= most + 1e-9


def test_too_few_images_say_nothing():
    assert transfer.information(decided(2, transfer.FEWEST - 1)) is None
    assert not transfer.knows(None, FROZEN)


@pytest.mark.parametrize(
    ("layers", "told_apart", "silent", "explained"),
    [
        (FROZEN, 0.9, True, False),
        (FROZEN, 0.5, False, True),  # ImageNet's head on groceries
        (FROZEN, 0.01, False, True),
        (FROZEN, None, False, True),
        (WRONG, 0.9, False, False),  # wrong preprocessing leaves many a head decided
        (WRONG, 0.0, False, False),
    ],
)
def test_when_the_domain_is_a_warning(layers, told_apart, silent, explained):
    report = DomainReport(0.31, 0.25, layers, told_apart=told_apart)
    assert report.transfer == silent
    assert bool(report.warnings) != silent
    assert any("frozen" in text for text in report.warnings) == explained
    assert DomainReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    within = replace(report, distance=0.2)
    assert not within.transfer and within.warnings == ()


def test_the_line_says_what_was_found():
    report = DomainReport(0.31, 0.25, FROZEN, told_apart=0.89)
    line = Judgement(Examination([]).report(), TrialReport((), 0), report).line
    assert "0.31" in line and "0.89 of 1" in line and "frozen backbone" in line
    assert max(map(len, line.splitlines()[1:])) <= 80


@pytest.fixture
def pale(lite0, tmp_path):
    """Images far from what the network was trained on."""
    np.savez(tmp_path / "pale.npz", images=(lite0.images // 8 + 112).astype(np.uint8))
    return open_images(tmp_path / "pale.npz")


def test_the_head_is_asked_beyond_the_domain_alone(lite0, pale):
    def judged(images, tried):
        examination, asked = Examination([], force=True), []
        found = collect(lite0.graph, lite0.preprocess, [images])
        judgement.judge(lite0.graph, found, examination, tried, lambda: asked.append(1) or 0.9)
        return bool(asked)

    suits = TrialReport((Variant(*LITE, False, 0.41), Variant(*IMAGENET, False, 0.94)), 16)
    better = TrialReport((Variant(*IMAGENET, False, 0.94), Variant(*LITE, False, 0.41)), 16)
    exchanged = TrialReport((Variant(*LITE, False, 0.47), Variant(*LITE, True, 0.41)), 16)
    far = np.concatenate([batch for batch, _ in pale.batches(lite0.preprocess, 8)])
    assert domain.judge(domain.expected(lite0.graph), collect(lite0.graph, lite0.preprocess, [far])).beyond
    assert judged(far, suits)
    assert not judged(far, better)  # too far to be named, but near enough to be the reason
    assert not judged(far, exchanged)
    assert not judged(far, TrialReport((), 0))  # not tried
    assert not judged(lite0.images, suits)


def test_the_head_is_asked_about_the_images_themselves(lite0, pale):
    found = transfer.told_apart(lite0.graph, lite0.preprocess, pale)
    pixels = np.concatenate([batch for batch, _ in pale.batches(lite0.preprocess, 8)])
    logits = execute(prepare(lite0.graph), torch.from_numpy(lite0.preprocess.normalise(pixels))).numpy()
    assert found == pytest.approx(transfer.information(logits), abs=1e-5)
    assert (
        transfer.told_apart(lite0.graph, lite0.preprocess, replace(pale, pictures=pale.pictures[:3])) is None
    )
