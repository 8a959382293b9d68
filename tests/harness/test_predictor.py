"""A bundle opened once and asked for each frame, by its real runtime."""

import pickle
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from edgeeff.backends import Emission
from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError, EdgeeffWarning, ImageError, MissingFileError, OptionError
from edgeeff.readme import readme
from edgeeff.target import load_target


@pytest.fixture
def predict(make_bundle):
    with make_bundle().open(top=2) as predict:
        yield predict


def test_a_frame_is_told_by_name(predict, colours):
    pixels, labels = colours
    found = predict(pixels[1])
    assert found.label == ("red", "green", "blue")[labels[1]] == "green"
    assert len(found.named) == 2 and found.named[0].probability == found.probability > 0.5
    assert str(found).startswith("green ") and str(found).count("%") == 2
    logits = found.outputs["logits"]
    shares = np.exp(logits) / np.exp(logits).sum()
    assert found.probability == pytest.approx(shares[1], abs=1e-6)


def test_arrays_photos_files_and_lists_say_the_same(predict, colours, tmp_path):
    pixels = colours[0][:3]
    expected = [predict(image).outputs["logits"] for image in pixels]
    Image.fromarray(pixels[2]).save(tmp_path / "photo.png")
    mixed = [pixels[0], Image.fromarray(pixels[1]), tmp_path / "photo.png"]
    for found in (predict(pixels), predict(list(pixels)), predict(mixed), predict.each(iter(mixed))):
        np.testing.assert_array_equal([one.outputs["logits"] for one in found], expected)
    assert predict(pixels[0]) == predict(pixels[0]) != predict(pixels[1]) and predict(pixels[0]) != "red"
    assert predict(tmp_path / "photo.png").named == predict(pixels[2]).named
    assert [str(one) for one in predict(pixels[:1])] == [str(predict(pixels[0]))]


def test_what_is_no_image_of_its_size_is_refused(predict, colours, tmp_path):
    with pytest.raises(ImageError, match="float32"):
        predict(colours[0][0].astype(np.float32))
    with pytest.raises(ImageError, match=r"\[4, 4, 3\]"):
        predict(np.zeros((4, 4, 3), np.uint8))
    for i in range(2):
        Image.fromarray(colours[0][i]).save(tmp_path / f"{i}.png")
    with pytest.raises(ImageError, match=r"several images\n.*predict\.each"):
        predict(tmp_path)
    assert len(predict.each(tmp_path)) == 2
    with pytest.raises(MissingFileError, match="an empty path names no images"):
        predict.each("")


def test_a_guess_is_warned_of_once(predict):
    image = Image.fromarray(np.full((8, 8), 0.5, np.float32))
    with pytest.warns(EdgeeffWarning, match="which is a guess"):
        found = predict(image)
    assert predict(image).named == found.named


def test_a_closed_one_refuses(make_bundle, colours):
    with make_bundle().open() as predict:
        predict(colours[0][0])
    for use in (lambda: predict(colours[0][0]), lambda: predict.each([colours[0][0]]), predict.__enter__):
        with pytest.raises(BundleError, match="is closed"):
            use()


def test_an_altered_bundle_is_not_opened(make_bundle):
    bundle = make_bundle()
    (bundle.folder / "labels.txt").write_text("red\nblue\ngreen\n")
    with pytest.raises(BundleError, match=r"labels\.txt does not have"):
        bundle.open()


def test_labels_that_are_there(make_bundle, colours):
    bundle = make_bundle(task="multilabel", classifier=np.eye(3) - 0.6)
    with bundle.open() as predict:
        found = predict(np.full((8, 8, 3), 0, np.uint8))
        assert (found.label, found.named) == ("red", found.likeliest)
    with bundle.open(threshold=0.99) as predict:
        found = predict(np.full((8, 8, 3), 0, np.uint8))
        assert (found.label, found.named) == ("no label", ()) and str(found) == "no label (red 50.0%)"
        assert predict.meaning.to_json(found)["classes"][0]["label"] == "red"
    counts = ({"threads": 0}, {"threads": 1.5}, {"threads": "2"}, {"threads": True}, {"top": 0}, {"top": 2.5})
    for wrong in (*counts, {"threshold": 0.5}, {"white": 0}, {"white": -3}, {"white": float("nan")}):
        with pytest.raises(OptionError):
            make_bundle().open(**wrong)


def test_a_manifest_of_other_classes_is_refused(make_bundle, colours):
    bundle = make_bundle(labels=("red", "green"), classes=2)
    with bundle.open() as predict, pytest.raises(BundleError, match=r"logits \[1, 3\].* names 2 classes"):
        predict(colours[0][0])


def test_threads_share_one(predict, colours):
    pixels = colours[0][:12]
    expected = [str(found) for found in predict(pixels)]
    said: dict[int, str] = {}
    threads = [
        Thread(target=lambda i=i: said.update({i: str(predict(pixels[i]))})) for i in range(len(pixels))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [said[i] for i in range(len(pixels))] == expected


def test_the_lines_of_a_readme(make_bundle, colours, monkeypatch, capsys):
    bundle = make_bundle()
    target = load_target("mobile-fp32")
    text = readme(Emission("colour", target, bundle.manifest.preprocess, bundle.manifest.labels))
    lines = text.partition("From Python")[2].partition("## In a product")[0]
    Image.fromarray(colours[0][2]).save(bundle.folder / "photo.jpg", quality=95)
    monkeypatch.chdir(bundle.folder)
    exec("\n".join(line[4:] for line in lines.splitlines() if line.startswith("    ")), {})
    assert capsys.readouterr().out.startswith("blue ")


def test_predict_keeps_its_session(make_bundle, colours, monkeypatch):
    bundle = make_bundle()
    loads = []
    load = Bundle.session
    monkeypatch.setattr(
        Bundle, "session", lambda self, threads=1: loads.append(threads) or load(self, threads)
    )
    first, again = bundle.predict(colours[0][:2]), bundle.predict(colours[0][:2])
    bundle.predict(colours[0][:2], threads=2)
    assert loads == [1, 2]
    np.testing.assert_array_equal(first, again)
    assert pickle.loads(pickle.dumps(bundle)) == bundle
