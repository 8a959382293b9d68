from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import CalibrationError, EdgeeffError
from edgeeff.images import Picture
from edgeeff.recipes import bundled_recipe, choose, open_source, read_recipe, recipe_photos

SOURCE = '[[source]]\npath = "photos"\n'


@pytest.fixture
def write(tmp_path):
    """``write(text)``: a recipe beside a folder of four photos."""
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "photos" / f"p{i}_{i + 7}.png")

    def make(text: str):
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return make


def test_a_folder_beside_the_recipe(write):
    recipe, photos = recipe_photos(write(f"count = 3\nseed = 5\n{SOURCE}"))
    assert (recipe.count, recipe.seed, recipe.crops) == (3, 5, False)
    assert [p.path.name for p in photos.pictures] == ["p0_7.png", "p1_8.png", "p2_9.png", "p3_10.png"]


def test_patterns_and_labels(write):
    _, photos = recipe_photos(write(SOURCE + "pattern = ['p[12]*.png', 'p0*']\nlabel = '_(\\d+)\\.png$'"))
    assert [(p.path.name, p.label) for p in photos.pictures] == [
        ("p1_8.png", 8),
        ("p2_9.png", 9),
        ("p0_7.png", 7),
    ]


def test_names_without_a_label_stay_unlabelled(write):
    _, photos = recipe_photos(write(SOURCE + "label = '_(9)\\.png$'"))
    assert [p.label for p in photos.pictures] == [-1, -1, 9, -1]


def test_a_package_that_is_not_installed_is_passed_over(write):
    _, photos = recipe_photos(write(f'{SOURCE}[[source]]\npackage = "no_such_package"\npattern = ["*.png"]'))
    assert len(photos) == 4
    assert photos.warnings == (
        "recipe.toml: package no_such_package is not installed; its photos are missing",
    )


def test_what_patterns_pass_over_is_said(write, tmp_path):
    text = SOURCE + "pattern = ['*', 'p1*', 'q*']\n"
    path = write(text)
    (tmp_path / "photos" / "._p0_7.png").write_bytes(b"x")
    (tmp_path / "photos" / "notes.txt").write_text("x")
    (tmp_path / "photos" / "more.png").mkdir()
    _, photos = recipe_photos(path)
    assert len(photos) == 4 and all(p.path.name[0] == "p" for p in photos.pictures)
    skipped, nothing = photos.warnings
    assert "skipped 1 files that match '*' and are no images" in skipped and "(notes.txt)" in skipped
    assert nothing == f"recipe.toml: no file of {tmp_path / 'photos'} matches 'q*'"


def test_photos_of_two_sources_at_once_are_said(write):
    _, photos = recipe_photos(write(SOURCE + SOURCE + "pattern = ['p1*']\n"))
    assert len(photos) == 5 and "1 of 5 photos are those of another source" in photos.warnings[0]


def test_photos_that_are_nowhere_are_an_error(write):
    text = '[[source]]\npackage = "no_such_package"\n[[source]]\npackage = "no.such.package"'
    with pytest.raises(
        CalibrationError, match=r"none of the photos .* \(no_such_package, no\.such\.package\)"
    ):
        recipe_photos(write(text))


@pytest.mark.parametrize(
    "text",
    [
        "count = ",
        "",
        "source = []",
        "[[source]]",
        '[[source]]\npath = "photos"\npackage = "foolbox"',
        f"count = 0\n{SOURCE}",
        f"count = -1\n{SOURCE}",
        f"count = 2.5\n{SOURCE}",
        f"seed = -1\n{SOURCE}",
        f"number = 3\n{SOURCE}",
        f"{SOURCE}label = '('",
        f"{SOURCE}label = 'p'",  # no group
        f"{SOURCE}label = '(p)'",  # no number
        f'{SOURCE}pattern = "*.png"',
        f'{SOURCE}pattern = ["/etc/*"]',
        f'{SOURCE}pattern = [""]',
        '[[source]]\npath = "elsewhere"',
        '[[source]]\npackage = ""',
    ],
)
def test_recipes_that_make_no_sense_are_refused(text, write):
    with pytest.raises(EdgeeffError):
        open_source(write(text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match="is damaged utf-16"):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_recipe(tmp_path / "missing.toml")


@pytest.mark.parametrize("name", ["default", "imagenet20", "other-photos"])
def test_bundled_recipes(name):
    path = bundled_recipe(name)
    recipe = read_recipe(path)
    images = open_source(path)
    assert recipe.summary
    assert len(images) == (recipe.count or 20)
    assert images == open_source(path)


def test_labels_of_the_20_photos():
    labels = open_source(bundled_recipe("imagenet20")).labels
    assert labels is not None
    assert len(labels) == 20 and labels.min() >= 0 and labels.max() < 1000


def test_judging_photos_are_not_calibration_photos():
    def names(recipe):
        return {p.path for p in open_source(bundled_recipe(recipe)).pictures}

    assert not names("default") & names("other-photos")
    assert len(names("other-photos")) >= 8


def test_choice_is_seeded_and_keeps_the_order(tmp_path):
    pictures = [Picture(tmp_path / f"{i:02}.png") for i in range(20)]
    chosen = choose(pictures, 7, 3)
    assert chosen == choose(tuple(pictures), 7, 3) != choose(pictures, 7, 4)
    assert all(a.path < b.path for a, b in pairwise(chosen))
    assert choose(pictures, None, 0) == choose(pictures, 20, 0) == choose(pictures, 50, 0) == pictures
    assert choose(pictures, 20, 0, crops=True) == pictures


def test_crops_fill_up(tmp_path):
    pictures = [Picture(tmp_path / f"{i}.png", label=i) for i in range(3)]
    filled = choose(pictures, 10, 1, crops=True)
    assert filled[:3] == pictures and len(filled) == 10
    assert [p.path.stem for p in filled[3:]] == ["0", "1", "2", "0", "1", "2", "0"]
    for picture in filled[3:]:
        left, top, width, height = picture.crop
        assert width == height and 0.4 <= width <= 1
        assert left >= 0 and top >= 0 and left + width <= 1 and top + height <= 1
        assert picture.label == -1  # the object may lie outside the crop
    assert np.unique([p.crop for p in filled[3:]], axis=0).shape[0] == 7


def test_a_source_that_is_no_recipe(write, tmp_path):
    write("")
    assert len(open_source(tmp_path / "photos")) == 4
    assert len(open_source(str(tmp_path / "photos"), count=2, seed=1)) == 2


@pytest.mark.parametrize("package", ["evil", "evil.sub", "sklearn.evil.x", "..", "../evil", "evil/sub"])
def test_a_package_is_located_without_running_anything(write, tmp_path, monkeypatch, package):
    """Of installed packages alone: the current folder is the first place where Python looks."""
    (tmp_path / "evil" / "sub").mkdir(parents=True)
    for folder in (tmp_path / "evil", tmp_path / "evil" / "sub"):
        (folder / "__init__.py").write_text("raise SystemExit('this was run')")
        Image.new("RGB", (8, 8)).save(folder / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with pytest.raises(CalibrationError, match="none of the photos"):
        recipe_photos(write(f'[[source]]\npackage = "{package}"\npattern = ["*.png"]'))


def test_a_package_within_a_package_is_found_without_importing_it(write):
    code = (
        "import sys; from pathlib import Path; from edgeeff.recipes import recipe_photos;"
        "found = recipe_photos(Path(sys.argv[1]))[1]; assert len(found), found;"
        "sys.exit('sklearn' in sys.modules)"
    )
    path = write('[[source]]\npackage = "sklearn.datasets"\npattern = ["images/*.jpg"]')
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 0


@pytest.mark.parametrize(
    "pattern", [".", "**a", "..", "../*.png", "a/../../*", "a\\u0000b", "***", "[", "/x"]
)
def test_patterns_that_are_none(pattern, write):
    """Refused, or they match nothing; never a traceback, and never a file elsewhere."""
    with pytest.raises(CalibrationError):
        open_source(write(SOURCE + f'pattern = ["{pattern}"]\n'))


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "10" + "0" * 30, "-1", "1e400", "nan"])
def test_numbers_that_are_none(number, write):
    with pytest.raises(CalibrationError):
        read_recipe(write(f"count = {number}\n" + SOURCE))
