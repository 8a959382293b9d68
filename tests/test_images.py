from __future__ import annotations

import io
import os
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import EdgeeffError, ImageError, MissingFileError
from edgeeff.images import Picture, decode, open_images, with_crops
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import survey
from edgeeff.preprocess import Preprocess

PREPROCESS = Preprocess(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path, size=(12, 10), seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(*size, 3, seed=seed)).save(path, **options)
    return path


def encoded(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(noise(24, 24, 3)).save(buffer, kind, **options)
    return buffer.getvalue()


def test_one_photo(tmp_path):
    images = open_images(save(tmp_path / "a.PNG"))
    assert len(images) == 1 and images.labels is None


def test_a_flat_folder_is_sorted_and_unlabelled(tmp_path):
    for name in ("b.png", "a.jpg", "c.webp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    images = open_images(tmp_path)
    assert [p.path.name for p in images.pictures] == ["a.jpg", "b.png", "c.webp"]
    assert images.labels is None


def test_subfolders_are_classes(tmp_path):
    for name in ("dog/1.png", "cat/2.png", "cat/deep/3.png", "eel/4.png"):
        save(tmp_path / name)
    images = open_images(str(tmp_path))
    assert [(p.path.name, p.label) for p in images.pictures] == [
        ("2.png", 0), ("3.png", 0), ("1.png", 1), ("4.png", 2)
    ]  # fmt: skip
    np.testing.assert_array_equal(images.labels, [0, 0, 1, 2])


def test_a_list_file(tmp_path):
    for name in ("a.png", "b c.png", "d,e.png"):
        save(tmp_path / "p" / name)
    listed = tmp_path / "list.txt"
    listed.write_text("# photos\n\np/a.png 3\np/b c.png, 12\np/d,e.png\n")
    images = open_images(listed)
    assert [(p.path.name, p.label) for p in images.pictures] == [
        ("a.png", 3),
        ("b c.png", 12),
        ("d,e.png", -1),
    ]
    np.testing.assert_array_equal(images.labels, [3, 12, -1])
    assert sum(len(batch) for batch, _ in images.batches(PREPROCESS)) == 3


@pytest.mark.parametrize("save_npz", [np.savez, np.savez_compressed])
def test_an_npz(save_npz, tmp_path):
    pixels = noise(5, 8, 8, 3)
    save_npz(tmp_path / "a.npz", images=pixels, labels=np.array([4, 0, 1, 1, 2]))
    images = open_images(tmp_path / "a.npz")
    np.testing.assert_array_equal(images.labels, [4, 0, 1, 1, 2])
    batches = list(images.batches(PREPROCESS, 2))
    np.testing.assert_array_equal(np.concatenate([b for b, _ in batches]), pixels)
    np.testing.assert_array_equal(np.concatenate([n for _, n in batches]), range(5))
    assert str(images.pictures[3]).endswith("a.npz[3]")


def test_an_npz_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=noise(2, 8, 8, 3))
    first = open_images(path)
    digest = first.digest()
    np.savez(path, images=noise(3, 8, 8, 3, seed=1))
    second = open_images(path)
    assert len(second) == 3 and second.digest() != digest
    np.testing.assert_array_equal(next(second.batches(PREPROCESS))[0], noise(3, 8, 8, 3, seed=1))


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": noise(2, 8, 8, 3)},
        {"images": noise(2, 8, 8, 3).astype(np.float32)},
        {"images": noise(2, 8)},
        {"images": noise(2, 0, 8, 3)},
        {"images": noise(8, 8, 3)},
        {"images": noise(8, 8, 4)},
        {"images": noise(3, 8, 8)},
        {"images": noise(2, 8, 8, 2)},
        {"images": np.asfortranarray(noise(2, 8, 8, 3))},
        {"images": noise(0, 8, 8, 3)},
        {"images": noise(2, 8, 8, 3), "labels": np.zeros(3)},
        {"images": noise(2, 8, 8, 3), "labels": np.zeros((2, 10))},
        {"images": noise(2, 8, 8, 3), "labels": np.array(["cat", "dog"])},
        {"images": noise(2, 8, 8, 3), "labels": np.array([{}, {}], dtype=object)},
        {"images": np.array([{}, {}], dtype=object)},
    ],
)
def test_an_npz_of_something_else_is_refused(arrays, tmp_path):
    np.savez(tmp_path / "a.npz", allow_pickle=True, **arrays)
    with pytest.raises(MissingFileError, match=r"a\.npz"):
        open_images(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), "* 255"),
        (np.zeros((2, 8, 8, 3), np.float64), "* 255"),
        (np.zeros((2, 8, 8, 3), np.uint16), ">> 8"),
        (np.zeros((2, 8, 8), np.uint16), ">> 4"),
        (np.asfortranarray(noise(2, 8, 8, 3)), "ascontiguousarray"),
        (np.zeros((2, 8, 8, 3), np.int64), "astype('uint8')"),
        (noise(8, 8, 3), "images[None]"),
    ],
)
def test_an_npz_of_another_type_is_refused_with_the_way_to_8_bits(images, advice, tmp_path):
    np.savez(tmp_path / "a.npz", images=images)
    with pytest.raises(MissingFileError) as caught:
        open_images(tmp_path / "a.npz")
    assert advice in caught.value.mend


@pytest.mark.parametrize(("shape", "channels"), [((2, 8, 8), 1), ((2, 8, 8, 1), 1), ((2, 8, 8, 4), 4)])
def test_an_npz_of_grey_or_of_four_channels(shape, channels, tmp_path):
    pixels = noise(*shape)
    np.savez(tmp_path / "a.npz", images=pixels)
    preprocess = Preprocess((8, 8), (0.0,) * channels, (1.0,) * channels)
    found = np.concatenate([batch for batch, _ in open_images(tmp_path / "a.npz").batches(preprocess)])
    assert np.array_equal(found, pixels.reshape(2, 8, 8, channels))


@pytest.mark.parametrize(("stored", "wanted"), [(4, 3), (3, 4), (1, 4), (4, 1)])
def test_four_channels_are_made_of_no_others(stored, wanted, tmp_path):
    np.savez(tmp_path / "a.npz", images=noise(2, 8, 8, stored))
    images = open_images(tmp_path / "a.npz")
    assert not list(images.batches(Preprocess((8, 8), (0.0,) * wanted, (1.0,) * wanted)))
    assert all(f"{stored} channels" in reason for reason in images.bad.values()) and len(images.bad) == 2


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
@pytest.mark.parametrize("save_npz", [np.savez, np.savez_compressed])
def test_a_truncated_npz_is_refused(save_npz, keep, tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, images=noise(20, 8, 8, 3))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(MissingFileError, match=r"a\.npz"):
        open_images(path)


@pytest.mark.parametrize("save_npz", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_refused(save_npz, tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, images=noise(20, 8, 8, 3))
    data = bytearray(path.read_bytes())
    for position in range(150, len(data) // 2, len(data) // 8):
        data[position] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(MissingFileError, match=r"a\.npz"):
        open_images(path)


def test_an_archive_without_images_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x09\x00")
    with pytest.raises(MissingFileError):
        open_images(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["nowhere", "nowhere.png", "empty", "a.pdf", "empty.txt"])
def test_nothing_there(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(MissingFileError):
        open_images(tmp_path / name)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    source = (
        Image.new("I;16", (5, 4), 20000) if mode == "I;16" else Image.fromarray(noise(4, 5, 3)).convert(mode)
    )
    source.save(path)
    image = decode(Picture(path), PREPROCESS)
    assert (image.mode, image.size) == ("RGB", (5, 4))


@pytest.mark.parametrize(("count", "lines"), [(5, 5), (6, 6), (200, 6)])
def test_many_skipped_images_are_few_warnings(count, lines):
    found = skipped({f"{i}.png": f"{i:03}.png cannot be decoded" for i in range(count)})
    assert len(found) == lines and found[4] == "skipped an image: 004.png cannot be decoded"
    assert count == 5 or found[5] == (
        f"skipped {count - 5} more images, the last: {count - 1:03}.png cannot be decoded"
    )


def test_crops_are_cut_from_the_photo(tmp_path):
    path = save(tmp_path / "a.png", size=(100, 200))
    whole = np.asarray(decode(Picture(path), PREPROCESS))
    cut = np.asarray(decode(Picture(path, crop=(0.25, 0.5, 0.5, 0.25)), PREPROCESS))
    np.testing.assert_array_equal(cut, whole[50:75, 50:150])
    assert decode(Picture(path, crop=(0.999, 0.999, 1e-9, 1e-9)), PREPROCESS).size == (1, 1)


def test_crops_take_turns(tmp_path):
    pictures = [Picture(tmp_path / f"{i}.png") for i in range(3)]
    crops = with_crops(pictures, 7, seed=0)
    assert [p.path.stem for p in crops] == list("0120120")
    assert crops == with_crops(pictures, 7, seed=0) != with_crops(pictures, 7, seed=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_broken_images_raise_one_kind_of_error(kind, tmp_path):
    """Truncated or with bits flipped: an image or an ImageError, never anything else."""
    data = encoded(kind)
    random = np.random.default_rng(0)
    path = tmp_path / "a.png"
    for trial in range(40):
        broken = bytearray(data)
        if trial % 2:
            broken = broken[: int(random.integers(0, len(data)))]
        else:
            for position in random.integers(0, len(data), 1 + trial // 4):
                broken[position] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        try:
            assert decode(Picture(path), PREPROCESS).mode == "RGB"
        except ImageError as error:
            assert "a.png cannot be decoded" in error.what


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", size=(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(Picture(path), PREPROCESS)


def test_missing_image_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"a\.png"):
        decode(Picture(tmp_path / "a.png"), PREPROCESS)


def test_broken_images_are_left_out_and_named(tmp_path):
    for i in range(6):
        save(tmp_path / f"{i}.png", seed=i)
    (tmp_path / "2.png").write_bytes(b"broken")
    (tmp_path / "3.png").write_bytes(b"broken")
    images = open_images(tmp_path)
    for _ in range(2):  # running through them again does not add up
        numbers = [n.tolist() for _, n in images.batches(PREPROCESS, 2)]
        assert numbers == [[0, 1], [4, 5]]
        assert [name[-5:] for name in images.bad] == ["2.png", "3.png"]


def test_decoding_in_threads_leaves_the_warning_filters_as_they_were(tmp_path):
    for i in range(40):
        save(tmp_path / f"{i}.png", size=(64, 64), seed=i)
    before = list(warnings.filters)
    for _ in range(3):
        list(open_images(tmp_path).batches(PREPROCESS, 8))
    assert list(warnings.filters) == before


def test_digest_is_of_the_content_not_the_path(tmp_path):
    save(tmp_path / "x" / "a.png", seed=1)
    save(tmp_path / "y" / "b.png", seed=1)
    save(tmp_path / "z" / "a.png", seed=2)
    x, y, z = (open_images(tmp_path / name) for name in "xyz")
    assert x.digest() == y.digest() != z.digest()
    save(tmp_path / "y" / "b.png", seed=2)
    assert open_images(tmp_path / "y").digest() == z.digest()


def test_digest_knows_crops_rows_and_order(tmp_path):
    a, b = Picture(save(tmp_path / "a.png", seed=1)), Picture(save(tmp_path / "b.png", seed=2))
    from edgeeff.images import ImageSet

    sets = [
        (a, b),
        (b, a),
        (a,),
        (a, *with_crops([b], 1, 0)),
        (a, *with_crops([b], 1, 1)),
        (a, Picture(b.path, index=0)),
    ]
    assert len({ImageSet(pictures).digest() for pictures in sets}) == len(sets)


@pytest.mark.parametrize("suffix", [".png", ".npz", ".txt", ".jpg"])
def test_pipes_and_devices_are_not_waited_for(suffix, tmp_path):
    """As the source itself, and as an entry of a list."""
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    preprocess = Preprocess(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
    for path in (pipe, device):
        with pytest.raises(EdgeeffError):
            for picture in open_images(path).pictures:
                decode(picture, preprocess)
    listed = tmp_path / "l.csv"
    listed.write_text(f"path\n{pipe}\n{device}\n")
    images = open_images(listed)
    assert images.digest() and not survey(images.pictures, preprocess).warnings
    for picture in images.pictures:
        with pytest.raises(EdgeeffError, match="regular file"):
            decode(picture, preprocess)
