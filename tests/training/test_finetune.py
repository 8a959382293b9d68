"""From photos to a checkpoint that a build takes as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgeeff import digests
from edgeeff.cache import Cache
from edgeeff.errors import (
    CheckpointError,
    EdgeeffWarning,
    ImageError,
    LabelsError,
    OptionError,
    OutputError,
    TrainingError,
)
from edgeeff.images import Picture
from edgeeff.pipeline.build import build
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Silent
from edgeeff.training import features, loop, trunk, writing
from edgeeff.training.checkpoint import Trained
from edgeeff.training.finetune import finetune
from edgeeff.training.photos.decoding import seen
from edgeeff.training.request import FinetuneRequest
from edgeeff.zoo import checkpoints, sources
from edgeeff.zoo.sources import Asked, Identity

from .conftest import SIZE, TINY, write


def train(photos: Path, trained: Path, output: Path, **options):
    options = {"model": TINY, "epochs": 6, "views": 2, "rate": 0.03, "dropout": 0.0, "batch": 4, **options}
    return finetune(photos, checkpoint=str(trained), output=output, progress=Silent(), **options)


def test_a_head_is_learnt_and_the_checkpoint_says_all(photos, trained, tmp_path):
    found = train(photos, trained, tmp_path / "best.pt", size=(SIZE, SIZE), crop=0.9, exif=True)
    assert found.classes == ("green", "red") and found.task == "classification"
    assert found.scores["top_1"]["value"] > 0.85
    assert sum(cell["images"] for cell in found.scores["confusion"]) == 8
    assert [entry["epoch"] for entry in found.history["head"]] == [1, 2, 3, 4, 5, 6]
    told = json.loads((tmp_path / "best.training.json").read_text())
    assert {**told["scores"], "confusion": told["confusion"]} == found.scores
    assert told["checkpoint_sha256"] == digests.of_file(tmp_path / "best.pt")
    content = torch.load(tmp_path / "best.pt", weights_only=True)
    assert content["classes"] == ["green", "red"] and content["size"] == [SIZE, SIZE]
    checkpoint = checkpoints.read(tmp_path / "best.pt")
    base = checkpoints.read(trained, TINY)
    assert checkpoint.labels == ("green", "red") and checkpoint.spec == base.spec
    assert checkpoint.origin.preprocess == Preprocess(
        (SIZE, SIZE), base.origin.preprocess.mean, base.origin.preprocess.std, crop=0.9, exif=True
    )
    assert "frozen trunk" in " ".join(checkpoint.origin.notes) and not checkpoint.origin.warnings


def test_the_trunk_computes_what_it_did_and_remembers_these_photos(photos, trained, tmp_path):
    train(photos, trained, tmp_path / "best.pt")
    before, after = (
        checkpoints.read(path, TINY).network((SIZE, SIZE)) for path in (trained, tmp_path / "best.pt")
    )
    preprocess = checkpoints.read(tmp_path / "best.pt").origin.preprocess
    (shown,) = seen([Picture(p) for p in sorted((photos / "train").rglob("*.png"))], [range(14)], preprocess)
    x = trunk.inputs(preprocess, shown.pixels)
    with torch.inference_mode():
        ours, theirs = trunk.pooled(after, x), trunk.pooled(before, x)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        y = after.head.norm(after.head.conv(after.blocks(after.stem(x))))
    expected, given = after.head.norm.bias, y.mean((0, 2, 3))
    on = after.head.norm.weight.abs() > 1e-3
    torch.testing.assert_close(given[on], expected[on], rtol=1e-2, atol=2e-2)


def test_padding_is_the_origins_at_any_other_size_too(photos, trained, tmp_path):
    """The zeros of 64 pixels and of SAME are the same at 64, where it is trained, and differ at 80."""
    train(photos, trained, tmp_path / "best.pt", padding="static:64", epochs=1, views=1)
    x = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    room, features = sources.room("tensors"), []
    for asked in (Asked(str(trained), TINY, padding="static:64"), Asked(str(tmp_path / "best.pt"))):
        asked = replace(asked, size=(80, 80))
        identity = room.identify(asked, asked.source)
        assert identity.conventions.static == (64, 64)
        with torch.inference_mode():
            features.append(trunk.pooled(room.network(asked, identity, (80, 80)).eval(), x))
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-4)
    at_home = room.identify(Asked(str(tmp_path / "best.pt")), str(tmp_path / "best.pt"))
    assert at_home.conventions.static is None  # one network, one key


def test_a_doubt_about_padding_that_the_trained_size_hides_is_there_at_others(trained, tmp_path):
    """As of efficientnet_pytorch, whose files do not say which size's zeros they count."""
    room = sources.room("tensors")
    origin = room.identify(Asked(str(trained), TINY, padding="static:64", size=(80, 80)), str(trained))
    assert origin.unsettled == ()  # the user has said it
    tensors = checkpoints.read(trained, TINY).tensors
    for unsettled, doubted in ((("same",), (80, 80)), ((), None)):
        one = Trained("classification", replace(origin, unsettled=unsettled), TINY,
                      replace(origin.preprocess, size=(64, 64)), tuple("abcde"), tensors, {})  # fmt: skip
        (tmp_path / "best.pt").write_bytes(one.content())
        for size in ((64, 64), (80, 80)):
            found = room.identify(Asked(str(tmp_path / "best.pt"), size=size), str(tmp_path / "best.pt"))
            assert (found.doubt is not None) == (size == doubted) and found.unsettled == unsettled
            if found.doubt is not None:
                assert (
                    "--padding same" in found.doubt.warning and "--padding static:64" in found.doubt.warning
                )
            assert Identity.from_json(found.to_json()) == found
    said = Asked(str(tmp_path / "best.pt"), padding="same", size=(80, 80))
    assert room.identify(said, said.source).doubt is None


def test_the_same_bytes_again_with_other_threads_and_from_the_cache(photos, trained, tmp_path, monkeypatch):
    train(photos, trained, tmp_path / "one.pt", average=0.5)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train(photos, trained, tmp_path / "two.pt", average=0.5, cache=Cache(tmp_path / "other"))
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    monkeypatch.setattr(features.trunk, "folded", None)  # a trunk that runs again fails
    train(photos, trained, tmp_path / "three.pt", average=0.5)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "three.pt").read_bytes()


class _Killed(BaseException):
    pass


def test_a_training_that_was_cut_off_ends_at_the_same_bytes(photos, trained, tmp_path, monkeypatch):
    train(photos, trained, tmp_path / "whole.pt", average=0.5)
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    for moment in (3, 9, 4):  # steps until it is cut off; what was kept before is taken up
        real, taken = loop._Run._step, []

        def cut(run, *arguments, real=real, taken=taken, moment=moment):
            taken.append(1)
            if len(taken) > moment:
                raise _Killed
            return real(run, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(loop._Run, "_step", cut)
            with pytest.raises(_Killed):
                train(photos, trained, tmp_path / "cut.pt", average=0.5, cache=Cache(tmp_path / "cut"))
    train(photos, trained, tmp_path / "cut.pt", average=0.5, cache=Cache(tmp_path / "cut"))
    assert (tmp_path / "cut.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()
    assert not any(stage == "training" for stage, _, _ in Cache(tmp_path / "cut").entries())


def refused(kind, photos, trained, tmp_path, match, **options):
    with pytest.raises(kind, match=match) as raised:
        train(photos, trained, tmp_path / "best.pt", **options)
    assert raised.value.mend and not (tmp_path / "best.pt").exists()


def test_bad_photos_are_refused(photos, trained, tmp_path):
    one = write(tmp_path / "one", {"red": 4})
    refused(TrainingError, one, trained, tmp_path, "one class alone, red", validation=photos / "val")
    few = write(tmp_path / "few", {"red": 4, "green": 1})
    refused(TrainingError, few, trained, tmp_path, "1 of 2 classes have fewer than 2 photos: green 1",
            validation=photos / "val")  # fmt: skip
    (tmp_path / "few" / "blue").mkdir()
    refused(TrainingError, few, trained, tmp_path, "blue 0", validation=photos / "val")
    other = write(tmp_path / "other", {"red": 2, "green": 2, "blue": 2})
    refused(LabelsError, photos / "train", trained, tmp_path, "that none to learn from has: blue",
            validation=other)  # fmt: skip
    flat = tmp_path / "flat"
    shutil.copytree(photos / "train" / "red", flat)
    refused(LabelsError, flat, trained, tmp_path, "no labels to learn")
    refused(OptionError, photos, trained, tmp_path, "cannot be learnt", task="poetry")
    refused(
        OptionError, photos, trained, tmp_path, "--decoder in a training of classification", decoder="unet"
    )
    (tmp_path / "palette.txt").write_text("0 0 0 ground\n9 9 9 tree\n")
    refused(OptionError, photos, trained, tmp_path, "--palette with --activation",
            palette=tmp_path / "palette.txt", activation="relu6")  # fmt: skip
    broken = write(tmp_path / "broken", {"red": 2, "green": 2})
    for path in broken.rglob("*.png"):
        path.write_bytes(b"no image")
    refused(
        ImageError, broken, trained, tmp_path, "none of 4 photos can be decoded", validation=photos / "val"
    )


def test_photos_that_cannot_be_decoded_are_left_out_and_warned_of(photos, trained, tmp_path):
    train(photos, trained, tmp_path / "whole.pt")
    broken = tmp_path / "broken"
    shutil.copytree(photos, broken)
    (broken / "train" / "red" / "1.png").write_bytes(b"no image")
    found = train(broken, trained, tmp_path / "best.pt")
    assert any("1.png cannot be decoded" in text for text in found.warnings)
    assert (tmp_path / "whole.pt").read_bytes() != (tmp_path / "best.pt").read_bytes()


def test_a_part_is_held_out_of_each_class_with_a_warning(photos, trained, tmp_path):
    with pytest.warns(EdgeeffWarning, match="3 of 14 are held out, 20% of each class"):
        finetune(photos / "train", checkpoint=str(trained), model=TINY, epochs=1, views=1,
                 output=tmp_path / "best.pt")  # fmt: skip
    assert json.loads((tmp_path / "best.training.json").read_text())["scores"]["top_1"]["total"] == 3


def test_photos_to_judge_by_that_are_learnt_from_are_warned_of(photos, trained, tmp_path):
    found = train(photos / "train", trained, tmp_path / "best.pt", validation=photos / "train", epochs=1)
    assert any("14 of 14 photos to judge by are also learnt from" in text for text in found.warnings)


def test_outputs_and_sources_that_cannot_be(photos, trained, tmp_path):
    (tmp_path / "best.pt").write_bytes(b"something")
    with pytest.raises(OutputError, match="is there already"):
        train(photos, trained, tmp_path / "best.pt")
    assert (tmp_path / "best.pt").read_bytes() == b"something"
    train(photos, trained, tmp_path / "best.pt", force=True, epochs=1, views=1)
    with pytest.raises(OutputError, match="is a folder"):
        train(photos, trained, tmp_path)
    graph = tmp_path / "graph.onnx"
    import onnx

    from tests.tiny import tiny_graph

    onnx.save(tiny_graph(3), graph)
    with pytest.raises(CheckpointError, match="is a graph or a program"):
        finetune(photos, checkpoint=str(graph), output=tmp_path / "other.pt", mean=127, std=128)


def test_requests():
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        FinetuneRequest.of(photos="photos", epoch=3)
    for wrong in ({"dropout": 1.0}, {"smoothing": -0.1}, {"rate": -1.0}, {"epochs": 0}, {"average": 1.5}):
        with pytest.raises(OptionError):
            FinetuneRequest.of(photos="photos", **wrong)
    # The first epoch would be taken at the rates of a course of many.
    with pytest.raises(OptionError, match=r"--warmup 0\.5 with --minutes"):
        FinetuneRequest.of(photos="photos", minutes=1.0, warmup=0.5)


@pytest.mark.slow
def test_blocks_learn_and_batch_normalisation_does_not(photos, trained, tmp_path, monkeypatch):
    options = {"epochs": 2, "blocks": 3, "block_rate": 1e-3, "average": 0.0}
    found = train(photos, trained, tmp_path / "best.pt", **options)
    assert [len(found.history[name]) for name in ("head", "blocks")] == [40, 2]
    before, after = (checkpoints.read(p, TINY).tensors for p in (trained, tmp_path / "best.pt"))
    convolutions = [name for name in before if name.endswith("conv.weight")]
    moved = [name for name in convolutions if not torch.equal(before[name], after[name])]
    learning = ("head", "blocks.4", "blocks.5", "blocks.6")
    assert moved == [name for name in convolutions if name.startswith(learning)]
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    real, taken = loop._Run._step, []

    def cut(run, *arguments):
        taken.append(1)
        if len(taken) > 166:  # within the blocks' second epoch
            raise _Killed
        return real(run, *arguments)

    other = Cache(tmp_path / "other")
    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(loop._Run, "_step", cut)
        train(photos, trained, tmp_path / "cut.pt", cache=other, **options)
    train(photos, trained, tmp_path / "cut.pt", cache=other, **options)
    assert (tmp_path / "cut.pt").read_bytes() == (tmp_path / "best.pt").read_bytes()


@pytest.mark.slow
def test_blocks_that_make_it_worse_are_not_taken(photos, trained, tmp_path):
    found = train(photos, trained, tmp_path / "best.pt", epochs=1, blocks=7, block_rate=5.0)
    before, after = (checkpoints.read(p, TINY).tensors for p in (trained, tmp_path / "best.pt"))
    assert torch.equal(before["head.conv.weight"], after["head.conv.weight"])
    assert found.scores["top_1"]["value"] > 0.5


def test_labels_that_do_not_exclude_each_other(photos, trained, tmp_path):
    def listed(split, name):
        lines = ["path,red,square"]
        for number, path in enumerate(sorted((photos / split).rglob("*.png"))):
            lines.append(f"{path},{int(path.parent.name == 'red')},{'' if number % 5 == 4 else number % 2}")
        (tmp_path / name).write_text("\n".join(lines))
        return tmp_path / name

    found = train(
        listed("train", "train.csv"), trained, tmp_path / "best.pt", validation=listed("val", "val.csv")
    )
    assert found.task == "multilabel" and found.classes == ("red", "square")
    assert 0 < found.scores["mean_average_precision"] <= 1
    checkpoint = checkpoints.read(tmp_path / "best.pt")
    assert checkpoint.ends_in == "sigmoid" and checkpoint.labels == ("red", "square")
    one = train(photos, trained, tmp_path / "one.pt", task="multilabel", class_weights="none")
    assert any("--class-weights in a training of multilabel does nothing" in text for text in one.warnings)
    recipe = json.loads(torch.load(tmp_path / "one.pt", weights_only=True)["recipe"])
    assert "class_weights" not in recipe and "block_rate" not in recipe["learning"]
    assert one.classes == ("red",) and checkpoints.read(tmp_path / "one.pt").classes == 1
    assert torch.load(tmp_path / "one.pt", weights_only=True)["classes"] == ["red"]
    photos_of = {"calibration": photos / "train", "validation": photos / "val"}
    named = build(checkpoint=tmp_path / "one.pt", targets=["cpu-fp32"], output=tmp_path / "dist",
                  progress=Silent(), **photos_of)[0].bundle.manifest  # fmt: skip
    assert (named.labels, named.negative) == (("red",), "green")
    assert one.scores["mean_average_precision"] > 0.85
    constant = tmp_path / "constant.csv"
    constant.write_text((tmp_path / "train.csv").read_text().replace(",0,", ",1,"))
    refused(TrainingError, constant, trained, tmp_path / "no", "red on 14 and not on 0")


@pytest.mark.slow
def test_the_verb_trains_builds_judges_and_draws(photos, trained, tmp_path):
    from tests.test_warnings_of_verbs import run

    arguments = ("finetune", photos, f"--checkpoint={trained}", f"--model={TINY}", "--epochs=3", "--views=1")
    page = tmp_path / "report.html"
    status, out, err = run(
        *arguments, f"--output={tmp_path / 'best.pt'}", "--build=cpu-int8", f"--bundles={tmp_path / 'dist'}",
        f"--report={page}", "--json",
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(out)
    (bundle,) = found["bundles"]
    assert bundle["scores"]["top_1"]["total"] == 8 and abs(bundle["lost_points"]) < 30
    assert bundle["value"] == pytest.approx(found["scores"]["top_1"]["value"] - bundle["lost_points"] / 100)
    drawn = page.read_text()
    assert drawn.count("<figure>") >= 2 and "red" in drawn and "Confusions" in drawn
    status, _, err = run(*arguments, "--augment=wild", f"--output={tmp_path / 'no.pt'}")
    assert status == 2 and "choose one of slight" in " ".join(err)
    status, _, err = run(*arguments, "--build=gpu-int3", f"--output={tmp_path / 'no.pt'}")
    assert status == 2 and "gpu-int3" in " ".join(err)
    status, out, _ = run("report", tmp_path / "best.training.json", "-o", tmp_path / "again.html")
    assert status == 0 and "Training" in (tmp_path / "again.html").read_text()


def test_the_document_has_every_option():
    text = writing.DOCUMENT.read_text(encoding="utf-8")
    assert writing.documented(text) == text, "run make options"
