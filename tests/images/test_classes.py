"""Which class a subfolder or a listed name is: by label, by number, by synset, or not at all."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import LabelsError
from edgeeff.images import ImageSet, Labelling, Picture, open_images
from edgeeff.labels import imagenet, placeholders, synsets

#: What torchvision makes of folders 0 to 11.
SORTED_NUMBERS = tuple(sorted(map(str, range(12))))


@pytest.fixture
def tree(tmp_path):
    """``tree(*names)``: a folder with one photo in each subfolder, opened."""

    def make(*names, empty=()):
        for name in (*names, *empty):
            (tmp_path / name).mkdir()
        for name in names:
            Image.new("RGB", (4, 4)).save(tmp_path / name / "a.png")
        return open_images(tmp_path)

    return make


def found(images, labels):
    """The class of each subfolder."""
    named = images.classes_named(labels)
    return {p.path.parent.name: p.label for p in named.pictures}


@pytest.mark.parametrize(
    ("names", "labels", "classes"),
    [
        (["dog", "cat"], ["eel", "dog", "cat"], {"dog": 1, "cat": 2}),
        (["0", "1", "3"], ["a", "b", "c", "d"], {"0": 0, "1": 1, "3": 3}),
        (["0000", "0002"], ["a", "b", "c"], {"0000": 0, "0002": 2}),
        (["0", "10", "2"], SORTED_NUMBERS, {"0": 0, "10": 2, "2": 4}),
        (SORTED_NUMBERS, SORTED_NUMBERS, {name: i for i, name in enumerate(SORTED_NUMBERS)}),
        (["class 1", "class 2"], placeholders(4), {"class 1": 1, "class 2": 2}),
        (["0", "3"], placeholders(5), {"0": 0, "3": 3}),
        (["n01440764", "n15075141"], imagenet(), {"n01440764": 0, "n15075141": 999}),
        (["n01443537", "n01440764"], ["goldfish", "tench"], {"n01443537": 0, "n01440764": 1}),
        (["n01440764"], ["n0", "n01440764"], {"n01440764": 1}),
    ],
)
def test_what_is_certain_is_taken_without_a_word(names, labels, classes, tree):
    images = tree(*names)
    assert found(images, labels) == classes
    assert images.classes_named(labels).warnings == ()


@pytest.mark.parametrize(
    ("names", "labels", "reason"),
    [
        (
            ["Ray", "cat"],
            ["ray", "cat"],
            "'Ray' .nearest label: 'ray', which differs in upper and lower case",
        ),
        (["cat", "dgo"], ["cat", "dog"], "1 of 2 .* 'dgo' .nearest label: 'dog'"),
        (["a_b", "cat"], ["a b", "cat"], "differs in case, spaces, hyphens or underscores"),
        (["chat", "chien"], ["cat", "dog"], "'chat' .nearest label: 'cat'"),
        (["xxxx"], ["cat", "dog"], "no label is like it"),
        (["0", "1", "dog"], ["cat", "dog", "eel"], "2 of 3 .* '0'"),
        (["0", "1", "3"], ["a", "b", "c"], r"1 of 3 .* 0…2: 3"),
        (["1", "01"], ["a", "b"], "the same number"),
        (
            ["00", "01", "10"],
            SORTED_NUMBERS,
            "may be class number 10, labelled '8', or the class labelled '10'",
        ),
        (["b", "a", "c"], placeholders(4), "have no labels"),
        (["n01440764", "n00000000"], imagenet(), "network: 'n00000000'"),
        (["n01440764", "n01443537"], placeholders(3), "have no labels"),
        (["cat"], ["cat", "cat"], "more than one class called 'cat'"),
    ],
)
def test_what_is_not_certain_is_refused(names, labels, reason, tree):
    with pytest.raises(LabelsError, match=reason):
        tree(*names).classes_named(labels)


@pytest.mark.parametrize("labels", [("cat", "dog"), placeholders(2), imagenet()])
def test_splits_are_no_classes(labels, tree):
    with pytest.raises(LabelsError, match="train, val: these are splits"):
        tree("train", "val").classes_named(labels)


def test_splits_may_be_classes_by_name(tree):
    assert found(tree("test", "train"), ["train", "test", "car"]) == {"test": 1, "train": 0}


def test_a_synonym_names_every_label_that_it_may_be(tree):
    with pytest.raises(LabelsError, match=r"'crane' .labels like it: 'crane .bird.', 'crane .machine.'"):
        tree("crane", "tench").classes_named(imagenet())


def test_an_unknown_synset_is_named_alone(tree):
    with pytest.raises(LabelsError, match="1 of 2 subfolders are no class of the network: 'n99999999'"):
        tree("n01440764", "n99999999").classes_named(imagenet())


def test_a_class_in_the_folder_of_another_is_said(tmp_path):
    for name in ("cat/train/a.png", "cat/dog/b.png", "dog/dog/c.png"):
        (tmp_path / "dog" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "dog" / name)
    images = open_images(tmp_path / "dog").classes_named(("cat", "dog"))
    (warning,) = images.warnings
    assert warning.startswith("1 of 3 images lie in a folder") and warning.endswith("b.png for cat")
    assert [p.label for p in images.pictures] == [0, 0, 1]


def test_another_unicode_form_is_named(tree):
    name = unicodedata.normalize("NFD", "café")
    with pytest.raises(LabelsError, match="the same in another Unicode form"):
        tree(name, "tea").classes_named(["café", "tea"])


@pytest.mark.parametrize(
    ("names", "empty", "labels", "classes", "reason"),
    [
        (["b", "a", "c"], [], placeholders(3), {"a": 0, "b": 1, "c": 2}, "sorted order .a is 0, c is 2"),
        (["b", "c"], ["a"], placeholders(3), {"b": 1, "c": 2}, "sorted order"),
        (
            [str(i) for i in range(12)],
            [],
            placeholders(12),
            {str(i): i for i in range(12)},
            "10 as 10. torchvision's ImageFolder would have numbered it 2",
        ),
        (["1", "2", "3"], [], ["a", "b", "c", "d"], {"1": 1, "2": 2, "3": 3}, "none is 0 .1, 2, 3"),
        (
            ["n01440764", "n15075141"],
            [],
            placeholders(1000),
            {"n01440764": 0, "n15075141": 999},
            "ImageNet's",
        ),
    ],
)
def test_what_is_assumed_is_said(names, empty, labels, classes, reason, tree):
    images = tree(*names, empty=empty)
    assert found(images, labels) == classes
    (warning,) = [w for w in images.classes_named(labels).warnings if w not in images.warnings]
    assert reason.replace(" .", " (") in warning.replace(" (", " (")


def test_all_synsets_in_any_order_are_imagenet():
    names = tuple(sorted(synsets()))
    pictures = tuple(Picture(Path(f"{name}/a.png"), label=0, class_name=name) for name in reversed(names))
    images = ImageSet(pictures, labelling=Labelling(names)).classes_named(imagenet())
    np.testing.assert_array_equal(images.labels, np.arange(1000)[::-1])


def test_classes_survive_a_choice_and_are_found_once(tree, tmp_path):
    from edgeeff.recipes import open_source

    tree("ray", "cat", "eel")
    images = open_source(tmp_path, count=2, seed=1).classes_named(["eel", "ray", "cat"])
    classes = {p.path.parent.name: p.label for p in images.pictures}
    assert len(classes) == 2 and all(["eel", "ray", "cat"][i] == name for name, i in classes.items())
    assert [p.label for p in images.classes_named(["x", "y", "z"]).pictures] == list(classes.values())


def test_a_misspelt_folder_is_refused_even_if_no_photo_of_it_was_chosen(tree, tmp_path):
    from edgeeff.recipes import open_source

    tree("Ray", "cat", "eel")
    chosen = [open_source(tmp_path, count=1, seed=seed) for seed in range(12)]
    assert len({images.pictures[0].class_name for images in chosen}) == 3
    for images in chosen:
        with pytest.raises(LabelsError, match="'Ray'"):
            images.classes_named(["eel", "ray", "cat"])
