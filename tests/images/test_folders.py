"""Folders as people have them: links, hidden files, other files, empty classes."""

from __future__ import annotations

import os

import pytest
from PIL import Image, features

from edgeeff.errors import MissingFileError
from edgeeff.images import decode, open_images
from edgeeff.preprocess import Preprocess


@pytest.fixture
def photo(tmp_path):
    """``photo("data/cat/a.png")``: writes one below ``tmp_path``."""

    def make(name, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (9, 8, 7)).save(path, **options)
        return path

    return make


def names(images):
    return [p.path.as_posix().partition("/data/")[2] for p in images.pictures]


def the_warning(images):
    (warning,) = images.warnings
    return warning


def test_linked_class_folders_count(photo, tmp_path):
    for name in ("data/cat/1.png", "else/dog/1.png", "else/dog/2.png"):
        photo(name)
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "else" / "dog")
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/1.png", "dog/1.png", "dog/2.png"]
    assert [p.class_name for p in images.pictures] == ["cat", "dog", "dog"]
    assert images.warnings == ()


def test_linked_files_count_by_the_name_of_the_link(photo, tmp_path):
    blob = photo("blobs/0123", format="PNG")
    (tmp_path / "data" / "cat").mkdir(parents=True)
    (tmp_path / "data" / "cat" / "a.png").symlink_to(blob)
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/a.png"] and images.warnings == ()


def test_circles_end(photo, tmp_path):
    photo("data/cat/1.png")
    (tmp_path / "data" / "cat" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "cat" / "self").symlink_to(tmp_path / "data" / "cat")
    (tmp_path / "data" / "cat" / "dead.png").symlink_to(tmp_path / "data" / "cat" / "dead.png")
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/1.png"]
    told = "\n".join(images.warnings)
    assert "cat/loop is the folder itself" in told and "cat/self" in told
    assert "1 broken link: cat/dead.png" in told


def test_broken_links_are_counted_and_named(photo, tmp_path):
    photo("data/cat/1.png")
    for name in ("cat/gone.png", "dog"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "nowhere" / name)
    assert "2 broken links: cat/gone.png, dog" in the_warning(open_images(tmp_path / "data"))


def test_a_file_that_is_there_twice_counts_once(photo, tmp_path):
    one = photo("data/cat/1.png")
    (tmp_path / "data" / "cat" / "0.png").symlink_to(one)
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/1.png"]
    assert "1 link to what is counted already" in the_warning(images)


@pytest.mark.parametrize("link", ["aaa", "zzz"])
def test_a_link_takes_no_photo_from_the_class_where_it_lies(link, photo, tmp_path):
    photo("data/cat/1.png")
    photo("data/dog/1.png")
    (tmp_path / "data" / link).symlink_to(tmp_path / "data" / "cat")
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/1.png", "dog/1.png"]
    assert f"{link} is cat" in images.warnings[0]
    assert f"no image in 1 subfolder: {link}" in images.warnings[1]


def test_links_in_what_links_lead_to(photo, tmp_path):
    photo("c/1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep").symlink_to(tmp_path / "c")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "b")
    assert names(open_images(tmp_path / "data")) == ["cat/deep/1.png"]


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/1-checkpoint.png",
        "cat/.ipynb_checkpoints/1-checkpoint.png",
        "cat/._1.png",
        "__MACOSX/cat/1.png",
        "cat/@eaDir/1.png",
        "cat/.thumbnails/1.png",
    ],
)
def test_hidden_photos_do_not_count(name, photo, tmp_path):
    photo("data/cat/1.png")
    photo(f"data/{name}")
    images = open_images(tmp_path / "data")
    assert names(images) == ["cat/1.png"]
    assert "skipped 1 hidden file or folder" in the_warning(images)


def test_hidden_files_are_counted_in_one_line(photo, tmp_path):
    photo("data/cat/1.png")
    for name in ("Thumbs.db", ".DS_Store", "cat/.DS_Store", "cat/desktop.ini", "cat/._1.png"):
        (tmp_path / "data" / name).write_bytes(b"\0")
    assert "skipped 5 hidden files or folders" in the_warning(open_images(tmp_path / "data"))


def test_a_folder_may_lie_below_a_hidden_one(photo, tmp_path):
    photo(".cache/data/cat/1.png")
    assert names(open_images(tmp_path / ".cache" / "data")) == ["cat/1.png"]


def test_other_files_are_counted_by_suffix_and_named(photo, tmp_path):
    photo("data/cat/1.png")
    for name in ("cat/1.xyz", "cat/2.xyz", "photo", "cat/3.heic", "cat/4.JPG_original"):
        (tmp_path / "data" / name).write_bytes(b"?")
    warning = the_warning(open_images(tmp_path / "data"))
    for part in ("skipped 5 files", "2 .xyz", "1 .heic", "1 without suffix", "convert photos"):
        assert part in warning


def test_documents_beside_photos_are_a_note(photo, tmp_path):
    """Else ``--strict`` would fail on every data set with a README."""
    photo("data/cat/1.png")
    for name in ("README.md", "LICENSE", "cat/1.xml", "labels.txt"):
        (tmp_path / "data" / name).write_bytes(b"?")
    images = open_images(tmp_path / "data")
    assert images.warnings == ()
    assert images.notes == (
        f"{tmp_path / 'data'}: skipped 4 documents (LICENSE, README.md, labels.txt and 1 more)",
    )
    assert images.classes_named(("cat",)).notes == images.notes


@pytest.mark.parametrize(
    ("suffix", "library"), [(".jfif", None), (".jpe", None), (".pgm", None), (".tga", None),
                            (".avif", "avif"), (".jp2", "jpg_2000")]
)  # fmt: skip
def test_what_pillow_reads_counts(suffix, library, photo, tmp_path):
    if library and not features.check(library):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / f"1{suffix}").write_bytes(b"?")
        with pytest.raises(MissingFileError, match=r"holds no image.*skipped 1 file"):
            open_images(tmp_path / "data")
        return
    mode = "L" if suffix == ".pgm" else "RGB"
    path = tmp_path / "data" / f"1{suffix}"
    path.parent.mkdir()
    Image.new(mode, (16, 16), 100).save(path, format="JPEG" if suffix in (".jfif", ".jpe") else None)
    images = open_images(tmp_path / "data")
    assert names(images) == [f"1{suffix}"] and images.warnings == ()
    preprocess = Preprocess(size=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert decode(images.pictures[0], preprocess).size == (16, 16)


def test_a_folder_of_nothing_readable_says_what_is_there(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.heic").write_bytes(b"?")
    with pytest.raises(MissingFileError, match=r"holds no image.*skipped 3 files.*3 \.heic"):
        open_images(tmp_path)


def test_a_photo_beside_class_folders_takes_their_labels_and_says_so(photo, tmp_path):
    for name in ("data/montage.png", "data/cat/1.png", "data/dog/1.png"):
        photo(name)
    images = open_images(tmp_path / "data")
    assert images.labels is None and len(images) == 3
    assert "1 image beside 2 subfolders with images (montage.png)" in the_warning(images)


def test_empty_class_folders_are_named(photo, tmp_path):
    photo("data/cat/1.png")
    (tmp_path / "data" / "dog").mkdir()
    (tmp_path / "data" / "eel" / "deep").mkdir(parents=True)
    images = open_images(tmp_path / "data")
    assert "no image in 2 subfolders: dog, eel" in the_warning(images)
    assert images.labelling.empty == ("dog", "eel")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(photo, tmp_path):
    photo("data/cat/1.png")
    closed = photo("data/dog/1.png").parent
    closed.chmod(0)
    try:
        assert "1 folder not readable: dog" in open_images(tmp_path / "data").warnings[0]
    finally:
        closed.chmod(0o755)
