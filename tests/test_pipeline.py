"""The Python API: edgeeff.build and what it returns."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff import recipes
from edgeeff.cache import Cache
from edgeeff.errors import CalibrationError, LabelsError, OptionError
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.source import resolve_source, unsettled
from edgeeff.pipeline.stages.identity import identify
from edgeeff.zoo import catalog

#: Seven blocks of a few channels: a build of it takes a quarter of the time.
TINY = "lite:width=0.25,depth=0.2,size=64"
TARGETS = ["cpu-int8", "mobile-int8", "jetson-int8"]
LABELS = ["nut", "bolt", "washer"]


class Listener:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.warnings: list[str] = []
        self.told: list[str] = []
        self.advanced: Counter[str] = Counter()
        self.totals: dict[str, int | None] = {}

    def stage(self, text: str, total: int | None = None, unit: str = "images") -> None:
        self.stages.append(text)
        self.totals[text] = total

    def tell(self, text: str) -> None:
        self.told.append(text)

    def advance(self, count: int = 1) -> None:
        self.advanced[self.stages[-1]] += count

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def inputs(make_module, make_images, tmp_path_factory):
    """Checkpoint and photos of a tiny network of three classes, and a cache."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.save(make_module(catalog.get(TINY), classes=3).state_dict(), folder / "best.pt")
    np.savez(folder / "photos.npz", images=make_images(10, 72, 5))
    return {
        "checkpoint": folder / "best.pt",
        "calibration": folder / "photos.npz",
        "size": 64,
        "labels": LABELS,
        "cache": Cache(folder / "cache"),
    }


@pytest.fixture(scope="module")
def lite0_inputs(inputs, make_module, tmp_path_factory):
    """The same of a Lite0, which is known by its tensors."""
    path = tmp_path_factory.mktemp("lite0") / "best.pt"
    torch.save(make_module("lite0", classes=3).state_dict(), path)
    return {**inputs, "checkpoint": path}


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    progress = Listener()
    output = tmp_path_factory.mktemp("dist")
    return edgeeff.build(TINY, targets=TARGETS, output=output, progress=progress, **inputs), progress


def test_one_calibration_serves_all_targets(built):
    _, progress = built
    assert progress.stages.count("calibrating") == 1 and progress.advanced["calibrating"] == 8


def test_stages_end_at_their_totals(built):
    _, progress = built
    assert progress.totals["calibrating"] == progress.totals["rounding weights"] == 8
    for stage, count in progress.advanced.items():
        assert count == progress.stages.count(stage) * (progress.totals[stage] or 0), stage


def test_what_is_returned(built):
    bundles, _ = built
    assert [b.bundle.name for b in bundles] == [f"{catalog.get(TINY).name}-{name}" for name in TARGETS]
    for b in bundles:
        assert not b.unchanged and b.hub is not None and b.hub.images == 2
        assert (b.verification is None) == (b.not_run is not None) == b.bundle.name.endswith("jetson-int8")


def test_predict_from_a_loaded_bundle(built, make_images, tmp_path):
    """Pixels, a file and a folder of files are the same images."""
    bundle = edgeeff.Bundle.load(built[0][0].bundle.folder)
    pixels = make_images(2, 64, 9)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    logits = bundle.predict(pixels)
    assert logits.shape == (2, 3) and logits.dtype == np.float32
    fitted = np.stack([bundle.manifest.preprocess.fit(Image.fromarray(image)) for image in pixels])
    np.testing.assert_array_equal(bundle.predict(tmp_path), bundle.predict(fitted))
    np.testing.assert_array_equal(bundle.predict(tmp_path / "1.png"), bundle.predict(fitted)[1:])


def test_evaluate_and_benchmark(built, inputs):
    """The int8 bundle against itself: the same pixels give the same logits."""
    bundle = built[0][0].bundle
    report = edgeeff.evaluate(bundle, inputs["calibration"], reference=bundle)
    assert report.images == 10 and report.reference.agreement.value == 1.0


def test_another_target_runs_no_image_again(built, inputs, tmp_path):
    progress = Listener()
    edgeeff.build(TINY, targets=["mobile-int8"], output=tmp_path, ranges="mse", progress=progress, **inputs)
    assert "calibrating" not in progress.stages and "exporting the float graph" not in progress.stages


def test_a_mean_and_std_per_channel_go_inside_for_tflite_alone(inputs, tmp_path):
    """One calibration and one hub graph; the .tflite takes plain pixels, and agrees with the float graph."""
    progress = Listener()
    normalised = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    built = edgeeff.build(
        TINY,
        targets=["mobile-int8", "mobile-fp32", "cpu-fp32"],
        output=tmp_path,
        progress=progress,
        effort="fast",
        **normalised,
        **inputs,
    )
    int8, floating, cpu = (b.bundle.manifest.preprocess for b in built)
    assert int8.is_unnormalised and floating.is_unnormalised
    assert (cpu.mean, cpu.std) == (normalised["mean"], normalised["std"])
    assert built[1].verification.sqnr > 80
    assert abs(built[0].verification.sqnr - built[0].hub.sqnr) < 3
    assert sum("normalised inside" in line for line in progress.told) == 2


def test_float_targets_need_no_images(inputs, tmp_path, monkeypatch):
    """They are verified on installed photos or noise, and say so; an INT8 target beside them is refused."""
    folder = recipes._folder
    asked = {name: value for name, value in inputs.items() if name != "calibration"}
    heard = Listener()
    on_photos = edgeeff.build(TINY, targets=["cpu-fp32"], output=tmp_path / "photos", progress=heard, **asked)
    assert on_photos[0].verification.images == 20 and not on_photos[0].warnings
    assert sum("20 photos of installed packages" in line for line in heard.told) == 1
    monkeypatch.setattr(recipes, "_folder", lambda s, base: None if s.package else folder(s, base))
    built = edgeeff.build(TINY, targets=["cpu-fp32"], output=tmp_path, progress=Listener(), **asked)
    assert built[0].verification.images == 32 and built[0].verification.sqnr > 80
    assert sum("seeded noise" in text for text in built[0].warnings) == 1
    again = edgeeff.build(
        TINY, targets=["cpu-fp32"], output=tmp_path, validation=inputs["calibration"], **asked
    )
    assert again[0].verification.images == 10
    assert not any("noise" in text for text in again[0].warnings)
    with pytest.raises(CalibrationError, match="none of the photos"):
        edgeeff.build(TINY, targets=["cpu-fp32", "cpu-int8"], output=tmp_path / "int8", **asked)
    assert not (tmp_path / "int8").exists()


def test_less_than_no_golden_input_is_refused(inputs, tmp_path):
    with pytest.raises(OptionError, match="-1"):
        edgeeff.build(TINY, targets=["cpu-fp32"], output=tmp_path, golden=-1, **inputs)


@pytest.mark.slow
def test_an_own_target_from_a_file(inputs, tmp_path):
    (tmp_path / "line-camera.toml").write_text(
        'summary = "Ours"\nruntime = "openvino"\nprecision = "int8"\ninput = "uint8"\nscheme = "openvino"\n'
    )
    target = str(tmp_path / "line-camera.toml")
    bundle = edgeeff.build(TINY, targets=[target], output=tmp_path, name="x", **inputs)[0].bundle
    assert bundle.folder == tmp_path / "x-line-camera" and bundle.manifest.input == "uint8"


def test_a_changed_option_is_a_new_bundle_in_the_same_place(built, inputs):
    first = built[0][2]
    again = {**inputs, "labels": ["a", "b", "c"]}
    output = first.bundle.folder.parent
    second = edgeeff.build(TINY, targets=["jetson-int8"], output=output, **again)[0]
    assert not second.unchanged and second.bundle.folder == first.bundle.folder
    assert edgeeff.Bundle.load(second.bundle.folder).manifest.labels == ("a", "b", "c")
    third = edgeeff.build(TINY, targets=["jetson-int8"], output=output, **inputs)[0]
    assert not third.unchanged and third.bundle.manifest == first.bundle.manifest


@pytest.mark.slow
def test_new_validation_images_are_judged_anew(built, inputs, make_images, tmp_path):
    np.savez(tmp_path / "other.npz", images=make_images(3, 64, 6))
    first = edgeeff.build(TINY, targets=["jetson-int8"], output=tmp_path, **inputs)[0]
    second = edgeeff.build(
        TINY, targets=["jetson-int8"], output=tmp_path, validation=tmp_path / "other.npz", **inputs
    )[0]
    assert not second.unchanged and (first.hub.images, second.hub.images) == (2, 3)


@pytest.mark.slow
def test_golden_vectors_are_optional(inputs, tmp_path):
    bundle = edgeeff.build(TINY, targets=["jetson-int8"], output=tmp_path, golden=0, **inputs)[0].bundle
    assert not any(name.startswith("golden/") for name in bundle.manifest.files)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"targets": []}, OptionError),
        ({"labels": ["nut"]}, LabelsError),
        ({"size": (64, 8)}, OptionError),
        ({"ranges": "guess"}, OptionError),
    ],
    ids=["targets", "labels", "size", "ranges"],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(change, kind, inputs, tmp_path):
    arguments = {"targets": ["jetson-int8"], **inputs, "output": tmp_path / "dist", **change}
    with pytest.raises(kind):
        edgeeff.build(TINY, **arguments)
    assert not (tmp_path / "dist").exists()


@pytest.mark.slow
def test_held_out_images_count_as_part_of_the_set(inputs, folder_of_noise, tmp_path):
    """One broken of ten is a tenth wherever it lies; two are more."""
    arguments = {**inputs, "targets": ["jetson-int8"], "output": tmp_path}
    for broken in (4, 5):  # the fifth is held out, the sixth calibrates
        progress = Listener()
        found = edgeeff.build(
            TINY, **{**arguments, "calibration": folder_of_noise(broken)}, progress=progress
        )[0]
        skipped = [text for text in progress.warnings if text.startswith("skipped")]
        assert len(skipped) == 1 and f"{broken}.png cannot be decoded" in skipped[0]
        bad = found.bundle.read_measured("verification.json")["bad_images"]
        assert [name.rpartition("/")[2] for name in bad] == [f"{broken}.png"]
    with pytest.raises(CalibrationError, match="2 of 10 images cannot be decoded"):
        edgeeff.build(TINY, **{**arguments, "calibration": folder_of_noise(4, 5)})


@pytest.fixture
def folder_of_noise(make_images, tmp_path_factory):
    """``folder_of_noise(4, 5)``: ten images, of which those two are broken."""

    def make(*broken: int):
        folder = tmp_path_factory.mktemp("noise")
        for number, image in enumerate(make_images(10, 64, 7)):
            Image.fromarray(image).save(folder / f"{number}.png")
            if number in broken:
                (folder / f"{number}.png").write_bytes(b"\x89PNG")
        return folder

    return make


def test_the_public_names():
    assert "build" in edgeeff.__all__
    script = "import sys, edgeeff; edgeeff.Bundle; print([m for m in ('torch', 'onnx') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def exported(state, path, make_module):
    """The ONNX file of the network that holds ``state``, at an opset and with names that are not ours."""
    module = make_module(catalog.get(TINY), classes=3)
    module.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, 3, 64, 64),), path, opset_version=12, input_names=["image"], dynamo=False
        )


def test_an_onnx_file_builds_what_its_checkpoint_builds(inputs, make_module, make_images, tmp_path):
    state = torch.load(inputs["checkpoint"], weights_only=True)
    exported(state, tmp_path / "line 4.onnx", make_module)
    progress = Listener()
    arguments = {**inputs, "targets": ["cpu-fp32"], "output": tmp_path / "dist"}
    of_weights = edgeeff.build(TINY, **arguments)[0].bundle
    file = {"checkpoint": tmp_path / "line 4.onnx", "mean": (127,) * 3, "std": (128,) * 3, "crop": 64 / 96}
    of_graph = edgeeff.build(**{**arguments, **file}, progress=progress)[0].bundle
    assert (of_graph.name, of_graph.manifest.model) == ("line-4-cpu-fp32", "line-4")
    assert of_graph.manifest.preprocess == of_weights.manifest.preprocess
    assert "line 4.onnx" in of_graph.manifest.origin and "ONNX" in progress.told[0]
    pixels = make_images(4, 64, 9)
    np.testing.assert_allclose(of_graph.predict(pixels), of_weights.predict(pixels), rtol=1e-3, atol=1e-3)


def test_the_network_and_what_was_assumed_are_shown(lite0_inputs, tmp_path):
    progress = Listener()
    built = edgeeff.build(
        targets=["cpu-fp32"], output=tmp_path, mean=(1, 2, 3), progress=progress, **lite0_inputs
    )
    assert built[0].bundle.name == "lite0-cpu-fp32"  # found by its tensors
    assert progress.told[0].startswith("network  lite0, edgeeff: SAME padding, BN epsilon 0.001, 3 classes")
    assert "mean 1 2 3, std 128" in progress.told[1] and "(mean, size by option)" in progress.told[1]
    assert built[0].bundle.manifest.origin == "edgeeff: SAME padding, BN epsilon 0.001"


@pytest.mark.slow
def test_conventions_are_part_of_what_a_bundle_is_made_from(inputs, tmp_path):
    """The same file under another padding is another network, and another bundle."""
    arguments = {**inputs, "targets": ["cpu-fp32"], "output": tmp_path}
    first = edgeeff.build(TINY, **arguments)[0]
    second = edgeeff.build(TINY, padding="symmetric", **arguments)[0]
    assert not second.unchanged
    assert first.bundle.manifest.digests["graph"] != second.bundle.manifest.digests["graph"]


@pytest.mark.slow
def test_another_input_size_in_place_of_a_bundle_is_warned_of(lite0_inputs, tmp_path):
    """The size that a checkpoint says is taken, shown, and changed by ``--size``."""
    options = lite0_inputs | {"checkpoint": tmp_path / "best.pt", "size": None}
    torch.save({"size": 48, "model": torch.load(lite0_inputs["checkpoint"])}, tmp_path / "best.pt")
    for size, wanted in ((None, 48), (32, 32), (32, 32)):
        progress = Listener()
        options["size"] = size
        built = edgeeff.build(targets=["cpu-fp32"], output=tmp_path, progress=progress, **options)[0]
        assert built.bundle.manifest.preprocess.size == (wanted, wanted)
        replaced = "a bundle for 48×48 pixels stood there, and is replaced by one for 32×32"
        assert (replaced in built.warnings) == (size is not None)


def test_what_a_file_says_and_an_option_settles(lite0_inputs, tmp_path):
    state = torch.load(lite0_inputs["checkpoint"])
    content = {"model": state, "size": 5, "mean": [0.0] * 3, "std": [1.0] * 3, "bgr": True}
    torch.save(content, tmp_path / "best.pt")
    options = lite0_inputs | {"checkpoint": tmp_path / "best.pt", "size": None}
    named = {"--size", "--mean, --std", "--channels"}
    for settled in ({}, {"size": 32}, {"mean": (127.0,) * 3, "std": (128.0,) * 3}, {"channels": "bgr"}):
        asked = resolve_source(BuildRequest.of(checkpoint=options["checkpoint"]))
        identity = identify(asked, Context.of(lite0_inputs["cache"])).identity
        left = unsettled(identity.warnings, settled)
        gone = {", ".join(f"--{key}" for key in settled)} if settled else set()
        assert {text.rpartition("(")[2].rstrip(")") for text in left} == named - gone


def test_a_damaged_report_is_said_once_and_written_anew(built, inputs):
    bundle = built[0][0].bundle
    path = bundle.folder / "measured" / "verification.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    again = []
    for _ in range(2):
        progress = Listener()
        (one,) = edgeeff.build(
            TINY, targets=[TARGETS[0]], output=bundle.folder.parent, progress=progress, **inputs
        )
        for said in (progress.warnings, one.warnings):
            again.append((one.unchanged, sum("counts as not verified" in text for text in said)))
    assert again == [(False, 1), (False, 1), (True, 0), (True, 0)]
    first, second = json.loads(whole), json.loads(path.read_bytes())
    assert first.pop("record")["run_id"] != second.pop("record")["run_id"]
    assert first == second


def test_what_a_program_holds(make_module, make_images, inputs, tmp_path):
    """A network and images without files: other forms of the same leave the bundle unchanged."""
    network, pixels = make_module(catalog.get(TINY), classes=3), make_images(6, 72, 5)
    options = {"targets": ["cpu-fp32"], "size": 64, "labels": LABELS, "cache": inputs["cache"]}
    options |= {"mean": 127, "std": 128, "output": tmp_path, "name": "held", "count": 4}
    calibration = (image for image in pixels)
    told = Listener()
    built = edgeeff.build(
        network.eval(), calibration=calibration, validation=pixels, progress=told, **options
    )
    assert built[0].bundle.manifest.classes == 3 and not built[0].unchanged
    assert any("first 4 of an iterable" in line for line in told.told)
    again = edgeeff.build(
        checkpoint=network, calibration=[*pixels][:4], validation=lambda: iter(pixels), **options
    )
    assert again[0].unchanged and again[0].verification == built[0].verification
    record = again[0].bundle.folder / "measured" / "verification.json"
    found = json.loads(record.read_text())
    del found["artifact"]["sqnr_centred_db"]  # nothing seals it
    record.write_text(json.dumps(found))
    third = edgeeff.build(
        checkpoint=network, calibration=[*pixels][:4], validation=pixels, progress=told, **options
    )
    assert not third[0].unchanged
    assert all(any("is damaged" in text for text in said) for said in (told.warnings, third[0].warnings))
    for wrong in (3, ["b0"]):
        with pytest.raises(TypeError, match="no network's name"):
            edgeeff.build(wrong, targets=["cpu-fp32"])
    with pytest.raises(OptionError, match="--model"):
        edgeeff.build(model=network, targets=["cpu-fp32"])
