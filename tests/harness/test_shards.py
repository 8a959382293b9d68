"""Shards of an evaluation merge to what one process says, to the last bit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeeff.batch import Batch
from edgeeff.errors import ImageError, OptionError, ReportError
from edgeeff.harness import shards
from edgeeff.harness.accuracy import evaluate
from edgeeff.harness.judging import How
from edgeeff.harness.shards import Judged, Shard
from edgeeff.tasks import EMBEDDING, Output


def said(report):
    data = report.to_json()
    assert data["record"].pop("run_id") and data["record"].pop("utc")
    found = report.outcomes
    return data, found.images, found.decided.tolist(), found.truth.tolist()


def parts(what, images, count, folder):
    """The files of all shards, the last first: the order in which they are named must not count."""
    files = []
    for number in reversed(range(count)):
        files.append(folder / f"{number}-{count}.npz")
        shards.evaluate(what, images, Shard(number, count), files[-1])
    return files


@pytest.fixture
def photos(colours, tmp_path):
    """60 files and a list of their classes; two are broken, and of some no class is known."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        (folder / f"{i:02}.ppm").write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
        rows.append(f"{i:02}.ppm,{label}" if i % 7 else f"{i:02}.ppm")
    for broken in ("05", "40"):
        (folder / f"{broken}.ppm").write_bytes(b"no image")
    (folder / "list.csv").write_text("path,index\n" + "\n".join(rows))
    return folder / "list.csv"


@pytest.mark.parametrize("batch", [1, 3])
def test_shards_merge_to_the_report_of_one_process(batch, make_bundle, photos, tmp_path):
    """Float sums too: their terms are added up in the order of the images."""
    noisy = np.eye(3) + np.random.default_rng(0).normal(0, 0.2, (3, 3))
    bundle, reference = make_bundle("noisy", classifier=noisy, batch=Batch(batch)), make_bundle("float")
    what = Judged(bundle, reference)
    whole = said(evaluate(bundle, photos, reference=reference))
    for count in (1, 4):
        assert said(shards.merge(what, photos, parts(what, photos, count, tmp_path))) == whole
    # More shards than runs: some are empty.
    assert said(shards.merge(what, photos, parts(what, photos, 11, tmp_path))) == whole
    assert whole[0]["reference"]["sqnr_db"] > 0 and len(whole[0]["skipped"]) == 2


def test_what_does_not_belong_together_is_refused(make_bundle, photos, tmp_path):
    what = Judged(make_bundle("one"))
    files = parts(what, photos, 2, tmp_path)
    other = Judged(make_bundle("other", classifier=np.eye(3) * 2))
    foreign = parts(other, photos, 2, tmp_path / "other")

    def why(wrong, kind=ReportError):
        with pytest.raises(kind) as found:
            shards.merge(what, photos, wrong)
        return found.value.what

    assert "images from 0 are missing" in why(files[:1])
    assert "shards end at image 32 of 60" in why(files[1:]) and "at image 0 of 60" in why([])
    assert "images from 0 are there twice" in why([*files, files[1]])
    assert "another evaluation" in why([files[0], foreign[1]])
    assert "another evaluation" in why(parts(replace(what, how=How(threads=2)), photos, 2, tmp_path / "two"))
    (tmp_path / "torn.npz").write_bytes(files[1].read_bytes()[:-40])
    assert "torn.npz is no shard" in why([files[0], tmp_path / "torn.npz"])
    with np.load(files[1]) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(bytes(arrays["meta"]))
    meta["environment"]["flags"] = ["sse4_1"]
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(tmp_path / "elsewhere.npz", **arrays)
    assert "machines of other flags" in why([files[0], tmp_path / "elsewhere.npz"])


def test_a_set_without_an_image_that_opens_is_refused_when_it_is_merged(make_bundle, tmp_path):
    """A shard alone may have none."""
    folder = tmp_path / "photos" / "red"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number}.jpg").write_bytes(b"no image")
    what = Judged(make_bundle("one"))
    files = parts(what, folder.parent, 2, tmp_path)
    with pytest.raises(ImageError, match="not one of 20 images"):
        shards.merge(what, folder.parent, files)


def test_a_shard_as_it_is_written():
    assert Shard.read("2/8") == Shard(1, 8) and str(Shard(1, 8)) == "2/8"
    assert [Shard(i, 3).images(60, 8) for i in range(3)] == [(0, 16), (16, 40), (40, 60)]
    for wrong in ("0/8", "9/8", "2", "2/0", "-1/2", "a/b", "٢/٨"):
        with pytest.raises(OptionError):
            Shard.read(wrong)


@pytest.mark.parametrize("task", ["multilabel", "features"])
def test_shards_of_other_tasks_merge_too(task, make_bundle, photos, tmp_path):
    """Scores that want all images at once: average precision, and the nearest other image."""
    noisy = np.eye(3) + np.random.default_rng(1).normal(0, 0.3, (3, 3)) - 0.3
    more = {"task": task}
    if task == "features":
        more["outputs"] = (Output("logits", (1, 3), EMBEDDING),)
    else:
        photos.write_text(photos.read_text().replace(",0", ",red").replace(",1", ",green;blue"))
        photos.write_text(photos.read_text().replace(",2", ",-").replace("path,index", "path,labels"))
    bundle, reference = make_bundle("noisy", classifier=noisy, **more), make_bundle("float", **more)
    what = Judged(bundle, reference)
    whole = evaluate(bundle, photos, reference=reference, warn=lambda _: None).to_json()
    found = shards.merge(what, photos, parts(what, photos, 3, tmp_path)).to_json()
    assert found.pop("record")["kind"] == whole.pop("record")["kind"]
    assert found == whole and found["scores"]["images"] > 0 and found["reference"]["sqnr_db"] > 0
