"""Bad input: status 2, one clear error that says what, where and how to mend it, nothing written."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model=b99"], ["'b99'", "b0, b1"]),
        (["--model=lit0"], ["'lit0'", "did you mean lite0"]),
        (["--target=toaster-int8"], ["'toaster-int8'", "cpu-int8", "mobile-int8"]),
        (["--target=gone.toml"], ["'gone.toml'"]),
        (["--checkpoint=gone.pt"], ["gone.pt", "does not exist", ".safetensors"]),
        (["--checkpoint=."], ["folder without a checkpoint", "model.safetensors"]),
        (["--weights=imagenet", "--checkpoint=gone.pt"], ["both --checkpoint and --weights"]),
        (["--weights=no repository"], ["'no repository'", "owner/name"]),
        (["--checkpoint=gone.onnx"], ["gone.onnx", "does not exist"]),
        (["--checkpoint=nets:camera"], ["Python code", "--trust-checkpoint"]),
        (["--checkpoint=nets:camera", "--trust-checkpoint"], ["nets:camera cannot be loaded", "nets"]),
        (["--model=phi=9,x=1"], ["'x' is no scaling", "phi, width"]),
        (["--model=phi=1.5"], ["no weights for b-w1.154-d1.315-280", "--checkpoint FILE"]),
        (["--padding=valid"], ["'valid'", "same, symmetric"]),
        (["--bn-epsilon=2"], ["--bn-epsilon 2", "1e-3"]),
        (["--crop=0"], ["--crop 0", "0.1 to 1"]),
        (["--interpolation=nearest"], ["'nearest'", "bicubic"]),
        (["--calibration=gone"], ["gone", "no file or folder"]),
        (["--validation=gone"], ["gone", "no file or folder"]),
        (["--calibration=rtsp://me:secret@camera/1"], ["rtsp: names a stream", "record a clip"]),
        (["--labels=gone.txt"], ["gone.txt", "one label a line"]),
        (["--size=abc"], ["'abc'", "192x256"]),
        (["--size=64x64x64"], ["'64x64x64'"]),
        (["--size=0"], ["0×0", "32 to 4096"]),
        (["--size=9999"], ["9999×9999", "32 to 4096"]),
        (["--io=float16"], ["'float16'", "float32, uint8"]),
        (["--ranges=guess"], ["'guess'", "minmax, mse, percentile"]),
        (["--effort=perfect"], ["'perfect'", "balanced, fast", "TOML file"]),
        (["--effort=gone.toml"], ["'gone.toml'", "balanced, fast"]),
        (["--cpu-class=z80"], ["'z80'", "avx2, vnni"]),
        (["--name=a/b"], ["'a/b'"]),
        (["--name=.."], ["'..'"]),
        (["--name="], ["''"]),
        (["--name=-x"], ["'-x'"]),
        (["--name=a\n# b"], ["'a\\n# b'"]),
        (["--name=a\u202eb"], ["--name"]),
        (["--target=cpu-int8"], ["cpu-int8 was named twice"]),
        (["--seed=-1"], ["seed -1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("-") else "",
)
def test_options_that_make_no_sense(arguments, says, refused_build):
    error = refused_build(*arguments)
    for words in says:
        assert words in error


def test_weights_of_the_hub_without_the_hub(process, ten_photos, tmp_path):
    """In a process of its own: the hub's library reads its environment once."""
    build = ("build", "--model=b3", f"--calibration={ten_photos}", "--target=cpu-int8", "--output=out")
    result = process(*build, cwd=tmp_path)
    assert result.status == 2
    for words in ("no weights of timm/tf_efficientnet_b3.aa_in1k", "OFFLINE", "--checkpoint FILE"):
        assert words in result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "--target=cpu-int8", "--count=many"],
        ["build", "--target=cpu-int8", "surplus"],
        ["unbuild"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_does_not_parse(arguments, edgeeff, tmp_path):
    result = edgeeff(*arguments, cwd=tmp_path)
    assert result.status == 2 and "Traceback" not in result.err
    assert result.err.count("error: ") == 1 and "--help` lists" in result.err
    assert not list(tmp_path.iterdir())


def test_all_targets_are_checked_before_any_is_built(refused_build):
    assert "'nonsense'" in refused_build("--target=mobile-int8", "--target=nonsense")


# Checkpoints


def test_a_checkpoint_of_another_architecture(refused_build, make_module, tmp_path):
    path = tmp_path / "mine.pt"
    torch.save(make_module("b1", 7).state_dict(), path)
    error = refused_build("--checkpoint", path, model="b0")
    assert "mine.pt is not a checkpoint of b0" in error
    assert "blocks.1.depthwise.conv.weight 16×1×3×3 instead of 96×1×3×3" in error
    assert "missing" in error and "unexpected" in error
    assert "pass --model b1" in error


def test_a_checkpoint_of_another_network(refused_build, tmp_path):
    torch.save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "linear.pt")
    assert "its tensors are weight, bias" in refused_build("--checkpoint=linear.pt", model="b0")


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_pickle_that_would_execute_code_does_not(form, refused_build, tmp_path):
    marker = tmp_path / "executed"
    if form == "torch":
        torch.save({"state_dict": Attack(marker)}, tmp_path / "best.pt")
    else:
        (tmp_path / "best.pt").write_bytes(pickle.dumps(Attack(marker)))
    error = refused_build("--checkpoint=best.pt", model="b0")
    assert not marker.exists()
    assert "best.pt is refused" in error and "nothing of it was run" in error
    torch.load(tmp_path / "best.pt", weights_only=False) if form == "torch" else pickle.loads(
        (tmp_path / "best.pt").read_bytes()
    )
    assert marker.exists(), "the attack of this test is none"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_checkpoint(share, refused_build, b0_checkpoint, tmp_path):
    whole = b0_checkpoint.read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: int(len(whole) * share)])
    error = refused_build("--checkpoint=short.pt", model="b0")
    assert "short.pt is truncated or corrupt" in error or "short.pt is empty" in error
    assert "bring the file again" in error


def test_labels_that_do_not_fit(refused_build, b0_checkpoint, labels_file, tmp_path):
    (tmp_path / "six.txt").write_text("".join(labels_file.read_text("utf-8").splitlines(True)[:6]), "utf-8")
    error = refused_build("--checkpoint", b0_checkpoint, "--labels=six.txt", model="b0")
    assert "six.txt holds 6 labels for a network of 7 classes" in error


def test_labels_that_are_no_text(refused_build, photos):
    assert "is not UTF-8 text" in refused_build("--labels", photos[0].path)


def test_an_archive_that_is_no_checkpoint(refused_build, tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("a/readme.txt", "hello")
    assert "no torch checkpoint" in refused_build("--checkpoint=archive.pt", model="b0")


# Images


def test_a_folder_without_images(refused_build, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("hello")
    for folder in ("empty", "texts"):
        error = refused_build(calibration=folder)
        assert f"{folder} holds no image" in error and ".jpg" in error


def test_more_than_a_tenth_of_the_images_are_corrupt(refused_build, folder_of, photos):
    folder = folder_of(photos, broken=[1, 7, 12])
    error = refused_build(calibration=folder)
    assert "3 of 20 images cannot be decoded" in error
    assert str(folder / "01.jpg") in error and "up to a tenth are skipped" in error


@pytest.mark.slow
def test_more_than_a_tenth_counts_the_held_out_images_too(refused_build, folder_of, photos):
    """Of twenty photos the fifth, tenth, … are held out: one broken there and two elsewhere are three."""
    folder = folder_of(photos, broken=[1, 7, 9])
    assert "3 of 20 images cannot be decoded" in refused_build(calibration=folder)


def test_a_list_of_images_that_are_not_there(refused_build, tmp_path):
    (tmp_path / "list.txt").write_text("gone1.jpg\ngone2.jpg\n")
    error = refused_build(calibration="list.txt")
    assert "list.txt: no line names a file that is there" in error and "gone1.jpg" in error


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": np.zeros((4, 3, 8, 8), np.uint8)}, "uint8 [4, 3, 8, 8]"),
        ({"images": np.zeros((4, 8, 8, 3), np.float32)}, "float32 [4, 8, 8, 3]"),
        ({"pictures": np.zeros((4, 8, 8, 3), np.uint8)}, "pictures, and none is called images"),
        ({"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.zeros(3, int)}, "4 images and 3 labels"),
    ],
    ids=["transposed", "float", "misnamed", "labels"],
)
def test_an_npz_of_the_wrong_shape(arrays, says, refused_build, tmp_path):
    np.savez(tmp_path / "photos.npz", **arrays)
    assert says in refused_build(calibration="photos.npz")


def test_an_npz_that_would_execute_code_does_not(refused_build, tmp_path):
    np.savez(tmp_path / "photos.npz", images=np.array([Attack(tmp_path / "executed")], object))
    refused_build(calibration="photos.npz")
    assert not (tmp_path / "executed").exists()


def test_an_npz_that_is_truncated(refused_build, tmp_path):
    np.savez(tmp_path / "whole.npz", images=np.zeros((4, 8, 8, 3), np.uint8))
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "photos.npz").write_bytes(whole[: len(whole) // 2])
    assert "photos.npz does not hold images" in refused_build(calibration="photos.npz")


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ('count = "x"\n[[source]]\npath = "."', "count: "),
        ('counts = 3\n[[source]]\npath = "."', "counts: "),
        ("count = 3", "source: "),
        ("[[source]\n", "is not TOML"),
        ('[[source]]\npath = "x"\npackage = "y"', "either a path or a package"),
        ('[[source]]\npath = "nowhere"', "nowhere"),
        ('[[source]]\npackage = "nowhere.really"', "nowhere.really"),
        ('[[source]]\npath = "."\nlabel = "("', "source.0: '(' is no regular expression"),
        ('[[source]]\npath = "."\nlabel = "class"', "has no group"),
        ('[[source]]\npath = "."\npattern = ["/etc/*.jpg"]', "a pattern is relative"),
    ],
)
def test_a_recipe_with_a_mistake(recipe, says, refused_build, tmp_path):
    (tmp_path / "recipe.toml").write_text(recipe)
    assert says in refused_build(calibration="recipe.toml")


def test_a_target_file_with_a_mistake(refused_build, tmp_path):
    (tmp_path / "mine.toml").write_text('summary = "x"')
    assert "mine.toml: runtime: Field required" in refused_build("--target=mine.toml")


# The other verbs


@pytest.mark.parametrize("source", ["corrupt", "gone.jpg", "empty", "gone.mp4"])
def test_run_on_what_is_no_image(source, refused, lite0_bundles, corrupt_image, tmp_path):
    (tmp_path / "empty").mkdir()
    path = corrupt_image if source == "corrupt" else source
    error = refused("run", lite0_bundles / "lite0-cpu-int8", path)
    assert str(path) in error
    if source == "corrupt":
        assert "cannot be decoded" in error


@pytest.mark.parametrize(
    "verb", [["run", "x", "x"], ["eval", "x", "-i", "x"], ["bench", "x"], ["inspect", "x"]]
)
def test_what_is_no_bundle(verb, refused, tmp_path):
    assert "no bundle x" in refused(*verb)
    (tmp_path / "x").mkdir()
    assert "x is not a bundle: it has no manifest.json" in refused(*verb)
    (tmp_path / "x" / "manifest.json").write_text("{}")
    assert "manifest.json cannot be understood" in refused(*verb)


def test_a_bundle_that_was_altered_is_not_run(refused, edgeeff, lite0_bundles, flat_image, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for path in (lite0_bundles / "lite0-cpu-int8").rglob("*"):
        target = bundle / path.relative_to(lite0_bundles / "lite0-cpu-int8")
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    weights = bytearray((bundle / "model.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (bundle / "model.bin").write_bytes(weights)
    assert "model.bin does not have the manifest's SHA-256" in refused("run", bundle, flat_image)
    shown = edgeeff("inspect", bundle)
    assert shown.status == 1 and "model.bin does not have" in shown.err


def test_an_engine_that_is_not_built_yet(refused, lite0_bundles, flat_image):
    error = refused("run", lite0_bundles / "lite0-jetson-int8", flat_image)
    assert "TensorRT" in error and "build_engine.py" in error


def test_eval_without_anything_to_judge_by(refused, lite0_bundles, ten_photos):
    assert "no labels" in refused("eval", lite0_bundles / "lite0-cpu-int8", "--images", ten_photos)


def test_bench_against_a_bundle_that_is_not_there(refused, lite0_bundles):
    for baseline in ("nope", "3"):
        error = refused("bench", lite0_bundles / "lite0-cpu-int8", "--baseline", baseline)
        assert baseline in error and "lite0-cpu-int8" in error


def test_a_cache_that_makes_no_sense(refused, refused_build):
    assert "ls or clear" in refused("cache", "eat")
    assert "'abc'" in refused_build(env={"EDGEEFF_CACHE_LIMIT": "abc"})
