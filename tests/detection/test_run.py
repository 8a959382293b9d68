"""``edgeeff run`` on a detector: tables, JSON, and boxes drawn on photos and videos."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageFont

from edgeeff import cli
from edgeeff.detection import Boxes
from edgeeff.drawings import Drawings
from edgeeff.errors import EdgeeffWarning, OptionError
from edgeeff.images import drawing
from edgeeff.images.drawing import drawn
from edgeeff.predictor import Predictor
from edgeeff.tasks import Prediction

av = pytest.importorskip("av")


@pytest.fixture
def run(cells, capsys):
    """The verb in this process; its status, output and messages."""

    def call(*arguments, bundle=cells):
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", str(bundle.folder), *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return call


def test_a_table_and_json(run, photo, make_cells):
    path = photo()
    photo("empty.png", (64, 64))
    Image.new("RGB", (64, 64)).save(path.parent / "empty.png")
    status, out, _ = run(path.parent)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].endswith("empty.png  no box") and lines[1].endswith("photo.png  2 boxes")
    assert [line.split() for line in lines[2:]] == [
        ["score", "left", "top", "right", "bottom", "label"],
        ["99.9%", "112.0", "48.0", "128.0", "64.0", "red"],
        ["97.2%", "0.0", "0.0", "16.0", "16.0", "blue"],
    ]
    status, out, _ = run(path.parent, "--json", "--top=1", "--threshold=0.5")
    empty, found = json.loads(out)
    assert (empty["boxes"], found["threshold"]) == ([], 0.5)
    assert [(box["label"], box["box"]) for box in found["boxes"]] == [("red", [112, 48, 128, 64])]
    hostile = make_cells(labels=("a\nb" + "c" * 100, "\x1b[31m", "信号灯"))
    _, out, _ = run(path, bundle=hostile)
    assert max(map(len, out.splitlines()[1:])) <= 80 and "\x1b" not in out and "信号灯" in out


def test_values_that_are_no_numbers_are_warned_of_once(run, photo, monkeypatch):
    outputs = Predictor.outputs

    def broken(self, pixels):
        found = {name: np.array(values) for name, values in outputs(self, pixels).items()}
        found["class_logits"][:, 10, 0] = np.nan
        return found

    monkeypatch.setattr(Predictor, "outputs", broken)
    photo("other.png")
    status, out, err = run(photo().parent, "--json")
    assert status == 0 and err.count("no numbers") == 1
    assert [(len(one["boxes"]), one["invalid"], len(one["warnings"])) for one in json.loads(out)] == [
        (2, 1, 1)
    ] * 2


def test_boxes_that_may_be_cut_off_are_warned_of(run, photo, make_cells):
    few = make_cells(most=2)
    status, out, err = run(photo(), "--json", bundle=few)
    assert (
        status == 0
        and "keeps 2 boxes of an image at most" in err
        and "keeps 2" in json.loads(out)[0]["warnings"][0]
    )
    assert "WARNING" not in run(photo(), "--threshold=0.99", bundle=few)[2]
    with few.open() as predict, pytest.warns(EdgeeffWarning, match="cells keeps 2 boxes"):
        predict(photo())


def test_photos_are_drawn_and_never_replaced(run, photo, tmp_path):
    path, out = photo("a/one.jpg", quality=95), tmp_path / "a"
    other, before = photo("b/one.jpg"), path.read_bytes()
    listed = tmp_path / "all.txt"
    listed.write_text(f"{path}\n{other}\n")
    assert run(listed, "--save", out)[0] == 0
    assert sorted(p.name for p in out.iterdir()) == ["one-2.boxes.jpg", "one.boxes.jpg", "one.jpg"]
    assert path.read_bytes() == before
    with Image.open(out / "one.boxes.jpg") as picture:
        assert picture.size == (128 * 3, 64 * 3)  # small photos are enlarged
        pixels = np.asarray(picture.convert("RGB"), int)
    assert np.ptp(pixels[0], axis=1).max() > 60 and np.ptp(pixels[100, 200:220], axis=1).max() < 30
    for wrong in (tmp_path / "x.jpg", tmp_path / "x.mp4", listed):
        status, _, err = run(path, "--save", wrong)
        assert status == 2 and "name a folder" in err
    saved = tmp_path / "out.npz"
    assert run(path, "--save", saved)[0] == 0
    with np.load(saved) as found:
        assert found["class_logits"].shape == (1, 64, 3)


def test_a_turned_photo_is_told_as_the_network_saw_it(run, make_cells, cells, photo, tmp_path):
    """Stored 128 x 64, to be shown 64 x 128; with ``exif`` boxes are of the upright photo."""
    from dataclasses import replace

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    path = photo(exif=exif)
    turning = make_cells(preprocess=replace(cells.manifest.preprocess, exif=True))
    for bundle, size, red in (
        (cells, (384, 192), [112, 48, 128, 64]),
        (turning, (192, 384), [0, 112, 16, 128]),
    ):
        _, out, _ = run(path, "--json", "--save", tmp_path / "out", bundle=bundle)
        assert json.loads(out)[0]["boxes"][0]["box"] == red
        with Image.open(tmp_path / "out" / "photo.boxes.png") as picture:
            assert picture.size == size and picture.getpixel((red[0] * 3 + 24, red[1] * 3 + 24))[0] > 200


def test_a_video_gets_the_boxes_of_each_frame(run, photo, tmp_path):
    frame = np.asarray(Image.open(photo(size=(640, 320))))[:, :641]
    with av.open(tmp_path / "clip.avi", "w") as container:
        stream = container.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 640, 320, "yuvj420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    status, out, err = run(tmp_path / "clip.avi", "--json", "--save", tmp_path / "out")
    assert status == 0, err
    *frames, end = [json.loads(line) for line in out.splitlines()]
    assert end["frames"] == 5 and all(one["boxes"][0]["label"] == "red" for one in frames)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["clip.boxes.mp4"]
    with av.open(tmp_path / "out" / "clip.boxes.mp4") as container:
        shown = [*container.decode(video=0)]
    assert [round(float(one.pts * one.time_base), 3) for one in shown] == [0, 0.125, 0.25, 0.375, 0.5]
    change = np.abs(shown[0].to_ndarray(format="rgb24").astype(int) - frame).sum(2)
    assert change[:, :80].max() > 300 and change[100:200, 200:400].max() < 60


def test_frames_of_any_size_and_time_make_one_film(tmp_path):
    """An odd first frame, a larger and a smaller one, and a clock that stands still or runs back."""
    with Drawings(tmp_path / "out").video("a/b.mkv") as film:
        for size, seconds in (((321, 341), 0.0), ((700, 400), 0.0), ((400, 300), None), ((321, 341), -5.0)):
            film.add(Image.new("RGB", size, (9, 99, 9)), seconds)
    with av.open(tmp_path / "out" / "b.boxes.mp4") as container:
        shown = [*container.decode(video=0)]
    assert [(one.width, one.height) for one in shown] == [(322, 342)] * 4
    assert np.diff([one.pts for one in shown]).min() > 0
    with pytest.raises(ZeroDivisionError), Drawings(tmp_path / "no").video("b.mkv") as film:
        film.add(Image.new("RGB", (64, 64)), 0.0)
        raise ZeroDivisionError
    assert [*(tmp_path / "no").iterdir()] == []


@pytest.mark.parametrize("absent", [TypeError, ImportError])
def test_without_freetype_labels_are_drawn_in_bitmaps(absent, monkeypatch):
    plain, load = ImageFont.load_default_imagefont(), ImageFont.load_default

    def of_size(size=None):
        if size is not None:
            raise absent
        return plain

    drawing._font.cache_clear()
    monkeypatch.setattr(ImageFont, "load_default", of_size)
    boxes = Boxes(
        np.float32([[9, 99, 300, 300]] * 3),
        np.float32([0.9, 0.8, 0.7]),
        np.arange(3),
        0,
        ("cat", "é信", "x" * 90),
    )
    found = np.asarray(drawn(Image.new("RGB", (400, 400)), Prediction({}, boxes=boxes)))
    assert found[90:99, 12:60].max() > 200
    monkeypatch.setattr(ImageFont, "load_default", load)
    drawing._font.cache_clear()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (3000, 10), (400, 300)])
def test_anything_can_be_drawn_on(mode, size):
    corners = np.array([[0, 0, *size], [-5, -5, 1, 1], [*size, *size], [0.2, 0.2, 0.3, 0.3]], np.float32)
    labels = ("x" * 500, "", "\n\x1b\u202e", "\U0001f600 e\u0301")
    boxes = Boxes(corners, np.linspace(1, 0, 4, dtype=np.float32), np.array([0, 1, 89, 10**9]), 0, labels)
    found = drawn(Image.new(mode, size), Prediction({}, boxes=boxes))
    assert found.mode == "RGB" and found.width % size[0] == found.height % size[1] == 0


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is no folder"):
        Drawings(tmp_path / "file")
