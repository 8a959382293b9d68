"""Accuracy of real bundles whose logits are known."""

import json
import math
import warnings

import numpy as np
import pytest
from PIL import Image

import edgeeff
from edgeeff.cli import main
from edgeeff.errors import (
    BundleError,
    ChangedFileError,
    ImageError,
    LabelsError,
    MissingRuntimeError,
    OptionError,
)
from edgeeff.images import open_images
from edgeeff.progress import Silent

RED_FOR_GREEN = np.eye(3)[[1, 0, 2]]


@pytest.fixture
def images(tmp_path, colours):
    path = tmp_path / "colours.npz"
    np.savez(path, images=colours[0], labels=colours[1])
    return path


def test_against_labels(make_bundle, images):
    report = edgeeff.evaluate(make_bundle().folder, images)
    assert (report.images, report.labelled, report.skipped) == (60, 60, {})
    assert report.scores.top_1.successes == 60
    assert report.scores.top_5 is None
    assert (report.scores.macro.f1, report.scores.macro.classes) == (1.0, 3)
    assert report.reference is None and report.top_1_drop is None


def test_against_labels_and_a_reference(make_bundle, images):
    bundle = make_bundle("swapped", classifier=RED_FOR_GREEN)
    report = edgeeff.evaluate(bundle, open_images(images), reference=make_bundle("float"))
    assert report.scores.top_1.successes == 20
    assert report.reference.agreement.successes == 20
    assert report.reference.scores.top_1.successes == 60
    assert report.top_1_drop == pytest.approx(200 / 3)
    assert len(report.reference.warnings) == 2
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize(("shift", "guessed"), [(8, False), (4, True)])
def test_deep_images_are_judged_as_their_8_bit_twins(make_bundle, tmp_path, shift, guessed):
    grey = np.random.default_rng(0).integers(60, 256, (6, 32, 32), np.uint8)
    grey[:, 0, 0] = 255
    for folder, values in (("twins", grey), ("deep", grey.astype(np.uint16) << shift)):
        (tmp_path / folder).mkdir()
        for i, value in enumerate(values):
            Image.fromarray(value).save(tmp_path / folder / f"{i}.png")
    bundle = make_bundle()
    expected = bundle.predict(tmp_path / "twins")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.array_equal(bundle.predict(tmp_path / "deep"), expected)
    report = edgeeff.evaluate(bundle, tmp_path / "deep", reference=bundle)
    said = report.to_json()["warnings" if guessed else "notes"]
    assert "6 of 6 images are 16-bit" in said[0]
    assert ["6 of 6 images are 16-bit" in str(warning.message) for warning in caught] == [True] * guessed
    settled = edgeeff.evaluate(bundle, tmp_path / "deep", reference=bundle, white=(256 << shift) - 1)
    assert not any("16-bit" in text for text in settled.warnings) and "--white" in settled.notes[0]


def test_against_itself(make_bundle, images):
    bundle = make_bundle()
    report = edgeeff.evaluate(bundle, images, reference=bundle)
    assert report.reference.sqnr == report.reference.sqnr_centred == math.inf
    assert report.reference.warnings == ()


def test_sqnr_is_that_of_the_logits(make_bundle, images):
    report = edgeeff.evaluate(
        make_bundle("half", classifier=np.eye(3) * 0.9), images, reference=make_bundle()
    )
    assert report.reference.sqnr == pytest.approx(20.0, abs=1e-3)
    assert report.reference.sqnr_centred == pytest.approx(20.0, abs=1e-3)
    assert report.reference.agreement.value == 1.0


def test_given_labels_replace_the_images_own(make_bundle, images, colours):
    labels = np.roll(colours[1], 1)
    labels[:15] = -1
    report = edgeeff.evaluate(make_bundle(), images, labels=labels)
    assert (report.images, report.labelled) == (60, 45)
    assert report.scores.top_1.successes == 0


def test_a_bad_image_is_skipped_and_named_and_labels_keep_their_images(make_bundle, tmp_path, colours):
    folder = tmp_path / "photos"
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        path = folder / ("red", "green", "blue")[label] / f"{i:02}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
    (folder / "red" / "03.ppm").write_bytes(b"no image")
    report = edgeeff.evaluate(make_bundle(), folder)
    assert (report.images, report.scores.top_1.successes) == (59, 59)
    assert [name.endswith("03.ppm") for name in report.skipped] == [True]


@pytest.mark.parametrize("changed", ["images", "bundle"])
def test_what_changes_meanwhile_is_not_judged(changed, make_bundle, images):
    bundle = make_bundle()
    path = images if changed == "images" else bundle.folder / "manifest.json"

    def rewrite(*_: int) -> None:
        path.write_bytes(path.read_bytes())

    with pytest.raises(ChangedFileError, match=path.name):
        edgeeff.evaluate(bundle, images, progress=rewrite)


class Heard(Silent):
    def __init__(self):
        self.stages, self.done, self.warned = [], 0, []

    def stage(self, text, total=None, unit="images"):
        self.stages.append((text, total, unit))

    def advance(self, count=1):
        self.done += count

    def warn(self, text):
        self.warned.append(text)


def test_progress_reaches_the_end(make_bundle, images):
    seen, heard = [], Heard()
    edgeeff.evaluate(make_bundle(), images, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60) and seen == sorted(set(seen))
    report = edgeeff.evaluate(make_bundle(), images, progress=heard)
    assert heard.stages == [(f"judging {report.bundle}", 60, "images")] and heard.done == 60
    assert tuple(heard.warned) == report.warnings


def test_bad_input_has_one_clear_error(make_bundle, images, tmp_path, colours):
    bundle = make_bundle()
    unlabelled = tmp_path / "unlabelled.npz"
    np.savez(unlabelled, images=colours[0])
    with pytest.raises(OptionError, match="nothing to judge by"):
        edgeeff.evaluate(bundle, unlabelled)
    with pytest.raises(LabelsError, match="for 60 images"):
        edgeeff.evaluate(bundle, images, labels=[0, 1])
    with pytest.raises(LabelsError, match=r"labelled 3, the classes of colour are 0…2"):
        edgeeff.evaluate(bundle, images, labels=[3] * 60)
    with pytest.raises(OptionError, match="3 classes, the reference two"):
        edgeeff.evaluate(bundle, images, reference=make_bundle("two", classifier=np.eye(3)[:2]))
    with pytest.raises(OptionError, match="probabilities"):
        edgeeff.evaluate(bundle, images, reference=make_bundle("softmax", softmax=True))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match="not one of 1"):
        edgeeff.evaluate(bundle, broken, labels=[0])


def test_what_was_passed_over_and_assumed_is_in_the_report(make_bundle, tmp_path, colours):
    """Hidden files, other files and a class without images: warned of, in the report and in its JSON."""
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        path = tmp_path / "photos" / ("red", "green", "blue")[label] / f"{i:02}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
    (tmp_path / "photos" / "red" / "._00.ppm").write_bytes(b"\0")
    (tmp_path / "photos" / "red" / "00.heic").write_bytes(b"\0")
    heard = []
    report = edgeeff.evaluate(make_bundle(), tmp_path / "photos", warn=heard.append)
    assert report.scores.top_1.successes == 60
    assert len(heard) == 2 and "1 hidden file" in heard[0] and "1 .heic" in heard[1]
    assert list(report.warnings) == heard == report.to_json()["warnings"]


@pytest.mark.parametrize("misspelt", ["Red", "rde"])
def test_a_folder_that_is_no_class_is_refused(misspelt, make_bundle, tmp_path, colours):
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        path = tmp_path / "photos" / (misspelt, "green", "blue")[label] / f"{i:02}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
    with pytest.raises(LabelsError, match=f"'{misspelt}' .nearest label: 'red'"):
        edgeeff.evaluate(make_bundle(), tmp_path / "photos")
    labels = [int(np.argmax(pixels.mean(axis=(0, 1)))) for pixels in colours[0]]
    assert edgeeff.evaluate(make_bundle(), tmp_path / "photos", labels=sorted(labels)[::-1]).labelled == 60


def test_classes_in_another_order_are_warned_of(make_bundle, images, colours):
    heard = []
    report = edgeeff.evaluate(make_bundle(), images, labels=(colours[1] + 1) % 3, warn=heard.append)
    assert report.scores.top_1.successes == 0
    assert any("no better than chance (0.0% with 3 classes)" in text for text in heard)


@pytest.mark.parametrize("target", ["jetson-fp16", "gpu-fp16", "rtx-fp16"])
def test_a_tensorrt_bundle_is_judged_by_its_graph(make_bundle, images, target):
    """What no engine runs here is run by onnxruntime, and the report says that it was."""
    if target.startswith("rtx"):
        pytest.importorskip("tensorrt_rtx", reason="the tensorrt-rtx extra is not installed")
    bundle = make_bundle("graph", target)
    with pytest.raises(MissingRuntimeError):
        edgeeff.evaluate(bundle, images)
    report = edgeeff.evaluate(bundle, images, via="onnxruntime")
    file, _, how = report.via.partition(" ")
    assert how == "in onnxruntime" and file in bundle.manifest.files
    assert report.scores.top_1.successes == 60
    assert report.to_json()["via"] == report.via and report.to_json()["status"] == "ok"


def test_a_bundle_without_a_graph_runs_by_its_own_runtime(make_bundle, images):
    report = edgeeff.evaluate(make_bundle(), images, via="onnxruntime")
    assert report.via is None and report.scores.top_1.successes == 60


def test_no_other_runtime_stands_in(make_bundle, images):
    with pytest.raises(OptionError, match="--via 'tensorrt'"):
        edgeeff.evaluate(make_bundle(), images, via="tensorrt")


def test_an_altered_graph_is_not_judged(make_bundle, images):
    bundle = make_bundle("graph", "jetson-fp16")
    name = next(n for n in bundle.manifest.files if n.endswith(".onnx"))
    (bundle.folder / name).write_bytes(b"other")
    with pytest.raises(BundleError, match="SHA-256"):
        edgeeff.evaluate(bundle, images, via="onnxruntime")


def test_a_bundle_that_cannot_run_here_throws_no_result_away(make_bundle, images, capsys):
    """In the table, in JSON and in the exit status; status 2 where nothing was judged."""
    folders = [str(make_bundle(name).folder) for name in ("one", "two")]
    jetson = str(make_bundle("jetson", "jetson-fp16").folder)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["eval", *arguments, "--images", str(images)])
        return ended.value.code or 0, *capsys.readouterr()

    status, out, err = run(*folders, jetson, "--json")
    found = json.loads(out)
    assert status == 0 and [r["status"] for r in found] == ["ok", "ok", "NOT RUN"]
    assert "TensorRT" in found[2]["reason"] and found[2]["scores"] is None
    assert "jetson NOT RUN" in found[2]["warnings"][0] and "jetson NOT RUN" in err.replace("\n", " ")
    status, out, err = run(jetson, folders[0])
    assert status == 0 and "NOT RUN" in out and "100.0%" in out
    assert run(folders[0], jetson, "--strict")[0] == 1
    status, out, err = run(jetson)
    assert status == 2 and "error: " in err and "build_engine.py" in err.replace("\n", "")
    status, out, err = run(jetson, "--via=onnxruntime")
    assert status == 0 and "in onnxruntime" in out and "100.0%" in out
