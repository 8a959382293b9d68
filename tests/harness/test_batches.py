"""Bundles of several images in a run: what they say of an image is what a bundle of one says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgeeff
from edgeeff import cli
from edgeeff.backends.openvino import run as openvino_run
from edgeeff.backends.tflite import run as tflite_run
from edgeeff.batch import ONE, Batch
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.errors import BundleError, OptionError
from edgeeff.harness.golden import check_golden
from edgeeff.harness.profile import profile
from edgeeff.images import open_images

COLOURS = ("red", "green", "blue")
TARGETS = ("mobile-fp32", "cpu-fp32")
BATCHES = (Batch(3), Batch(4, True))
SESSIONS = {"mobile-fp32": tflite_run.TfliteSession, "cpu-fp32": openvino_run.OpenVinoSession}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("batch", BATCHES)
def test_any_number_of_images_gives_what_one_by_one_gives(target, batch, make_bundle, colours):
    images = colours[0][:7]
    alone = make_bundle("alone", target).predict(images)
    bundle = Bundle.load(make_bundle("together", target, batch=batch).folder)
    assert bundle.manifest.batch == batch
    session = bundle.session()
    for count in (7, 1, 3, 2):
        (found,) = session.infer(images[:count]).values()
        np.testing.assert_allclose(found, alone[:count], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bundle.predict(list(images)), alone, rtol=1e-5, atol=1e-5)
    assert check_golden(bundle).status == "ok"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("batch", "places"), [(Batch(2), (0, 1)), (Batch(6), (4, 5)), (Batch(4, True), (1, 2))]
)
def test_a_runtime_that_changes_the_order_in_a_run_fails(target, batch, places, make_bundle, monkeypatch):
    """Places beyond the four golden images too: those of a run that is filled up are held as well."""
    bundle = make_bundle("swapped", target, batch=batch)
    assert check_golden(bundle).status == "ok"
    run = SESSIONS[target]._run  # what infer makes a run with, whichever way that goes

    def swapping(session, pixels):
        found = {name: np.array(values) for name, values in run(session, pixels).items()}
        for values in found.values():
            values[list(places)] = values[list(reversed(places))]
        return found

    monkeypatch.setattr(SESSIONS[target], "_run", swapping)
    assert check_golden(bundle).status == "failed"


@pytest.mark.parametrize("target", TARGETS)
def test_accuracy_does_not_hang_on_the_batch(target, make_bundle, colours, tmp_path):
    pixels, labels = colours
    np.savez(tmp_path / "images.npz", images=pixels[:20], labels=labels[:20])
    images = open_images(tmp_path / "images.npz")
    reports = [
        edgeeff.evaluate(
            make_bundle(f"of-{batch}", target, batch=batch), images, reference=make_bundle("one", target)
        )
        for batch in (ONE, *BATCHES)
    ]
    for report in reports:
        assert report.images == 20 and report.scores.top_1.value == 1.0
        assert report.reference.agreement.value == 1.0


@pytest.mark.parametrize("target", TARGETS)
def test_an_artifact_of_another_batch_than_its_manifest_is_refused(target, make_bundle):
    bundle = make_bundle("four", target, batch=Batch(4))
    files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files}
    for said in (ONE, Batch(4, True)):
        other = write_bundle(bundle.folder, replace(bundle.manifest, batch=said), files)
        with pytest.raises(BundleError, match="takes 4 images in a run"):
            other.session()


def test_times_are_of_a_run_and_of_an_image(make_bundle):
    one, four, open_ = (make_bundle(f"of-{batch}", batch=batch) for batch in (ONE, Batch(4), Batch(6, True)))
    report = edgeeff.benchmark([one, four, open_], launches=2, seconds=0.02, images=2)
    assert [entry.timing.images for entry in report.entries] == [1, 4, 2]
    fixed = [w for w in report.to_json()["warnings"] if "images in a run" in w]
    assert [w.partition(": ")[2] for w in fixed] == ["of-1 takes 1, of-4 takes 4"]
    for entry in report.to_json()["entries"]:
        timing = entry["timing"]
        for percentile, time in timing["wall_ms"].items():
            if time is not None:
                assert timing["wall_ms_per_image"][percentile] == pytest.approx(time / timing["images"])
        assert timing["cpu_ms_per_image"] == pytest.approx(timing["cpu_ms"] / timing["images"])
    runs = [(launch.runs[1].cpu_ns, launch.runs[0].cpu_ns) for launch in report.taken]
    logs = [np.median(np.log(np.divide(a, b) / 4)) for a, b in runs]
    assert report.ratio(four.name).value == pytest.approx(np.exp(np.mean(logs)))
    with pytest.raises(OptionError, match="takes 1…6"):
        edgeeff.benchmark([one, open_], launches=1, seconds=0.02, images=7)
    with pytest.raises(OptionError, match="of-1 takes 1, of-4 takes 4 images in a run"):
        profile([one, four], launches=1, seconds=0.02, images=2)
    same = edgeeff.benchmark([four], launches=1, seconds=0.01, images=4)
    assert not any("images in a run" in warning for warning in same.warnings)


def test_a_profile_is_of_a_run(make_bundle):
    one, four = (make_bundle(f"of-{batch}", "cpu-fp32", batch=batch) for batch in (ONE, Batch(4)))
    report = profile([one, four], launches=1, seconds=0.02)
    times = [entry.times for entry in report.entries]
    assert [found.images for found in times] == [1, 4]
    assert times[1].multiply_adds == 4 * times[0].multiply_adds > 0


def _answered(capsys, *arguments):
    """``edgeeff run --json`` in this process: its status and what it printed."""
    try:
        cli.main(["run", "--json", *map(str, arguments)])
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def test_images_are_run_together_and_named_one_by_one(make_bundle, colours, tmp_path, capsys):
    np.savez(tmp_path / "images.npz", images=colours[0][:7])
    found = {}
    for batch in (ONE, *BATCHES):
        folder = make_bundle(f"of-{batch}", batch=batch).folder
        status, out, _ = _answered(capsys, folder, tmp_path / "images.npz", "--limit=5")
        assert status == 0
        found[batch] = json.loads(out)
        with Bundle.load(folder).open() as predict:
            told = predict.each(list(colours[0][:7]))
        assert [one.label for one in told] == [COLOURS[i] for i in colours[1][:7]]
    assert len(found[ONE]) == 5
    assert [one["classes"][0]["label"] for one in found[ONE]] == [COLOURS[i] for i in colours[1][:5]]
    assert found[BATCHES[0]] == found[BATCHES[1]] == found[ONE]


def test_images_before_a_broken_one_are_answered(make_bundle, colours, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(colours[0][i]).save(folder / f"{i}.png")
    (folder / "2.png").write_bytes(b"no image")
    status, out, error = _answered(capsys, make_bundle("four", batch=Batch(4)).folder, folder)
    assert status == 2 and "2.png" in error
    assert [Path(one["image"]).name for one in json.loads(out)] == ["0.png", "1.png"]
