"""Several bundles in one pass over the images: what is said of each is what is said of it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import edgeeff
from edgeeff.batch import Batch
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.harness.accuracy import evaluate_all
from edgeeff.harness.outcomes import Outcomes, common
from edgeeff.images import ahead

RED_FOR_GREEN = np.eye(3)[[1, 0, 2]]


def quiet(_: str) -> None:
    pass


def said(report):
    data = report.to_json()
    del data["record"]
    return data


@pytest.fixture
def photos(tmp_path, colours):
    """A folder for each colour, of photos that are larger than the network's input; one is broken."""
    random = np.random.default_rng(3)
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        path = tmp_path / "photos" / ("red", "green", "blue")[label] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        large = np.asarray(Image.fromarray(pixels).resize((24, 16))).astype(int)
        noisy = np.clip(large + random.integers(-60, 60, large.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path)
    (tmp_path / "photos" / "red" / "03.png").write_bytes(b"no image")
    return tmp_path / "photos"


def test_reports_are_those_of_each_alone(make_bundle, photos, monkeypatch):
    """Of other batches and of another preprocessing too, to the last bit; each file is decoded once."""
    squash = replace(make_bundle("one").manifest.preprocess, squash=True)
    noisy = np.eye(3) + np.random.default_rng(0).normal(0, 0.2, (3, 3))
    bundles = [
        make_bundle("noisy", classifier=noisy),
        make_bundle("swapped", classifier=RED_FOR_GREEN, batch=Batch(3)),
        make_bundle("squashed", classifier=noisy, preprocess=squash, batch=Batch(4, True)),
    ]
    reference = make_bundle("float")
    alone = [edgeeff.evaluate(b, photos, reference=reference, warn=quiet) for b in bundles]
    opened = []
    decode = ahead.try_decode_each
    monkeypatch.setattr(ahead, "try_decode_each", lambda p, each: opened.append(p) or decode(p, each))
    together = evaluate_all(bundles, photos, reference=reference, warn=quiet)
    assert len(opened) == 60
    assert [said(report) for report in together] == [said(report) for report in alone]
    assert alone[0].reference.sqnr != alone[2].reference.sqnr  # the squashed one saw other pixels


def test_outcomes_say_of_each_image_what_was_decided(make_bundle, photos):
    one, other = evaluate_all(
        [make_bundle("one"), make_bundle("swapped", classifier=RED_FOR_GREEN)], photos, warn=quiet
    )
    outcomes = one.outcomes
    assert len(outcomes.images) == one.images == 59
    assert not any("03.png" in name for name in outcomes.images)
    assert outcomes.right.sum() == one.scores.top_1.successes
    for name, truth in zip(outcomes.images, outcomes.truth, strict=True):
        assert f"/{outcomes.named(truth)}/" in name
    swap = np.array([1, 0, 2])
    assert np.array_equal(swap[outcomes.decided], other.outcomes.decided)
    assert "outcomes" not in one.to_json()


def test_images_without_labels_have_no_truth(make_bundle, colours, tmp_path):
    np.savez(tmp_path / "images.npz", images=colours[0])
    bundle = make_bundle()
    report = edgeeff.evaluate(bundle, tmp_path / "images.npz", reference=bundle, warn=quiet)
    assert not report.outcomes.known.any() and not report.outcomes.right.any()
    assert np.array_equal(report.outcomes.decided, colours[1])


def test_outcomes_are_paired_by_their_images():
    def of(*names):
        return Outcomes(names, np.zeros(len(names), np.int32), np.zeros(len(names), np.int32))

    first, second = common(of("a", "b", "b", "c"), of("b", "c", "b", "d"))
    assert (first, second) == ([1, 2, 3], [0, 2, 1])
    assert common(of("a", "a"), of("a", "a")) == (range(2), range(2))


def test_a_bundle_that_cannot_run_here_stops_no_other(make_bundle, photos):
    jetson = make_bundle("jetson", "jetson-fp16")
    reports = evaluate_all([make_bundle("one"), jetson, make_bundle("two")], photos, warn=quiet)
    assert [report.not_run is None for report in reports] == [True, False, True]
    assert said(reports[0]) == {**said(reports[2]), "bundle": "one"}
    with pytest.raises(MissingRuntimeError):
        evaluate_all([jetson, jetson], photos)
    with pytest.raises(MissingRuntimeError):
        evaluate_all([make_bundle("one")], photos, reference=jetson)
    with pytest.raises(OptionError, match="no bundle"):
        evaluate_all([], photos)
