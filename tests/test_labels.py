"""Labels in the forms that people and programs write them, and what is refused of them."""

from __future__ import annotations

import json

import pytest

from edgeeff import labels
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.pipeline import preparing
from edgeeff.pipeline.context import Context

KEPT = ("cat", "dog", "eel")


def written(tmp_path, name, content, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog\neel\n",
        "cat\r\ndog\r\neel\r\n\r\n",
        " cat \ndog\t\neel",
        "0 cat\n1 dog\n2 eel\n",
        "2 eel\n0 cat\n1 dog\n",
        "0: cat\n1: dog\n2: eel\n",
        "0,cat\n1,dog\n2,eel\n",
        "0\tcat\n1\tdog\n2\teel\n",
        "0. cat\n1. dog\n2. eel\n",
        "0) cat\n1) dog\n2) eel\n",
        "0 - cat\n1 - dog\n2 - eel\n",
        "000 cat\n001 dog\n002 eel\n",
        "cat 0\ndog 1\neel 2\n",
        "eel,2\ncat,0\ndog,1\n",
        "dog: 1\ncat: 0\neel: 2\n",
        '["cat", "dog", "eel"]',
        '{"0": "cat", "1": "dog", "2": "eel"}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text(content, encoding, tmp_path):
    assert labels.read(written(tmp_path, "labels.txt", content, encoding)) == KEPT


@pytest.mark.parametrize(
    "content",
    [
        ["cat", "dog", "eel"],
        {"0": "cat", "1": "dog", "2": "eel"},
        {"2": "eel", "0": "cat", "1": "dog"},
        {"cat": 0, "dog": 1, "eel": 2},
        {"eel": 2, "cat": 0, "dog": 1},
        {"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "eel"]},
        {"id2label": {"0": "cat", "1": "dog", "2": "eel"}, "label2id": {"cat": 0, "dog": 1, "eel": 2}},
        {"arch": "b0", "class_to_idx": {"cat": 0, "dog": 1, "eel": 2}},
        {"classes": ["cat", "dog", "eel"]},
    ],
)
def test_json(content, tmp_path):
    path = written(tmp_path, "labels.json", json.dumps(content), "utf-8-sig")
    assert labels.read(path) == KEPT
    if "0" in content or "cat" in content:
        assert labels.given(content) == KEPT


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "cat\ndog\neel\n"),
        ("a.csv", "label\ncat\ndog\neel\n"),
        ("a.csv", "index,name\n0,cat\n1,dog\n2,eel\n"),
        ("a.csv", 'label,class_id\n"eel",2\n"cat",0\n"dog",1\n'),
        ("a.csv", "species;nr\ndog;1\ncat;0\neel;2\n"),
        ("a.tsv", "0\tcat\n1\tdog\n2\teel\n"),
    ],
)
def test_tables(name, content, tmp_path):
    assert labels.read(written(tmp_path, name, content, "utf-8-sig")) == KEPT


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("tench, Tinca tinca\ngoldfish, Carassius auratus\n", None),
        ("gate 0\ngate 1\ngate 2\n", None),
        ("gate 1\ngate 0\ngate 2\n", None),
        ("3 series\nx1\n5 series\n", None),
        ("0\n1\n10\n11\n2\n", None),
        ("7-up\ncola\n", None),
        ("n01440764 tench\nn01443537 goldfish\n", None),
        ("[other]\ncat [wild]\n", None),
        ("0 0\n1 1\n2 10\n3 11\n4 2\n", ("0", "1", "10", "11", "2")),
    ],
)
def test_what_looks_numbered_and_is_not(content, kept, tmp_path):
    found = labels.read(written(tmp_path, "labels.txt", content))
    assert found == (kept or tuple(content.splitlines()))


def test_class_to_idx_of_numbered_folders(tmp_path):
    places = {name: i for i, name in enumerate(sorted(map(str, range(12))))}
    found = labels.read(written(tmp_path, "class_to_idx.json", json.dumps(places)))
    assert found.index("10") == 2 and found.index("2") == 4


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "cat\n\ndog\n", "line 2 is empty"),
        ("a.txt", "\ncat\ndog\n", "line 1 is empty"),
        ("a.txt", "cat\ndog\ncat\neel\ndog\n", "'cat', 'dog' stand for more than one class"),
        ("a.txt", "café\ncafe\u0301\n", "more than one class"),
        ("a.txt", "0 cat\n1 cat\n", "'cat' stands for more than one class"),
        ("a.txt", "0 cat\n2 dog\n3 eel\n", "numbered 0…3, and 1 is not"),
        ("a.txt", "1 cat\n2 dog\n", "numbered 1…2, and 0 is not"),
        ("a.txt", "0 cat\n0 dog\n", "1 is not among"),
        ("a.txt", "3 series\n5 series\n7 series\n", "0 is not among"),
        ("a.txt", "cat,1\ndog,2\n", "0 is not among"),
        ("a.txt", "cat\tfoo\ndog\n", "control character"),
        ("a.csv", "index,name\n0,cat\n2,dog\n", "1 is not among"),
        ("a.csv", "0,cat,x\n1,dog,y\n", "one or two columns"),
        ("a.csv", "cat,dog\neel,fox\n", "neither is a class's number"),
        ("a.csv", "0,cat\n\n1,dog\n", "row 2 is empty"),
        ("a.json", '["cat", 3]', "label 1 is 3"),
        ("a.json", '["cat", ""]', "label 1 is empty"),
        ("a.json", '["cat", "dog\\neel"]', "line's end"),
        ("a.json", '{"0": "cat", "0": "dog"}', "stands twice"),
        ("a.json", '{"0": "cat", "1": "cat"}', "more than one class"),
        ("a.json", '{"cat": 1, "dog": 2}', "0 is not among"),
        ("a.json", '{"cat": "a"}', "no class's number"),
        ("a.json", '{"a": true}', "no class's number"),
        ("a.json", '"cat"', "no list of labels"),
        ("a.json", "cat\ndog\n", "is not JSON"),
        ("a.txt", '{"0": "cat", "0": "dog"}', "stands twice"),
    ],
)
def test_what_may_be_two_things_is_refused(name, content, reason, tmp_path):
    with pytest.raises(LabelsError, match=reason):
        labels.read(written(tmp_path, name, content))


@pytest.mark.parametrize(
    "content",
    [
        "{0: 'tench, Tinca tinca',\n 1: \"jack-o'-lantern\"}\n",
        "['tench, Tinca tinca',\n \"jack-o'-lantern\",\n]\n",
        '"tench, Tinca tinca",\n"jack-o\'-lantern"\n',
        '"tench, Tinca tinca"\n"jack-o\'-lantern"\n',
        "'tench, Tinca tinca',\n'jack-o''-lantern',\n",
        "tench, Tinca tinca,\njack-o'-lantern,\n",
    ],
)
def test_what_code_writes(content, tmp_path):
    found = labels.read(written(tmp_path, "labels.txt", content))
    assert found == ("tench, Tinca tinca", "jack-o'-lantern")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{0: 'cat', 0: 'dog'}", "a key stands twice"),
        ("- cat\n- dog\n", "a list of YAML"),
        ('{"id": 0, "name": "cat"}\n{"id": 1, "name": "dog"}\n', "an object"),
        ("{1: 'cat', 2: 'dog'}", "0 is not among"),
    ],
)
def test_other_notations_are_no_labels(content, reason, tmp_path):
    with pytest.raises(LabelsError, match=reason):
        labels.read(written(tmp_path, "labels.txt", content))


def test_imagenet_with_two_cranes_is_told_of_ours(tmp_path):
    short = [label.split(" (")[0] for label in labels.imagenet()]
    with pytest.raises(LabelsError, match="'crane', 'maillot' stand for more") as caught:
        labels.read(written(tmp_path, "labels.txt", "\n".join(short)))
    assert "--labels imagenet" in caught.value.mend


def test_given_ones(tmp_path):
    assert labels.given(None) is None
    assert labels.given(["cat ", "dog"]) == ("cat", "dog")
    assert labels.given({0: "cat", 1: "dog"}) == ("cat", "dog")
    with pytest.raises(LabelsError, match="'cat' stands for more than one"):
        labels.given(["cat", "cat"])
    with pytest.raises(MissingFileError):
        labels.given(tmp_path / "missing.txt")


def test_placeholders_are_no_labels():
    assert not labels.are_known(labels.placeholders(3))
    assert labels.are_known(("class 0", "class 2", "class 1"))


def test_imagenet():
    names = labels.given("imagenet")
    assert names == labels.checked(names, "ImageNet") == labels.imagenet()
    assert len(names) == 1000
    # Facts of the data set that anybody can look up (image-net.org, ILSVRC2012).
    places = {0: "tench", 1: "goldfish", 207: "golden retriever", 388: "giant panda", 999: "toilet tissue"}
    assert {i: names[i] for i in places} == places
    assert list(labels.synsets()) == sorted(labels.synsets())
    assert labels.are_imagenet(names)
    assert labels.are_imagenet([f"{name.replace(' ', '_').capitalize()}, or so" for name in names])
    assert not labels.are_imagenet(sorted(names)) and not labels.are_imagenet(names[:-1])
    assert not labels.are_imagenet(labels.placeholders(1000))


def test_an_empty_file_has_no_labels(tmp_path):
    empty = written(tmp_path, "labels.txt", "\n")
    assert labels.read(empty) == ()
    for said in (empty, str(empty), [], {}):
        with pytest.raises(LabelsError, match="names no class"):
            labels.given(said, 3)  # the checkpoint's would stand in for it without a word


def test_background_is_no_class_of_a_detector():
    assert labels.without_background(("__background__", "cat", "dog"), 2) == ("cat", "dog")
    assert labels.without_background(("Background", "cat"), 2) == ("Background", "cat")  # as many as classes
    assert labels.without_background(("bird", "cat", "dog"), 2) == (
        "bird",
        "cat",
        "dog",
    )
    assert not labels.is_background("backgrounds") and labels.is_background("No object")


def test_a_first_class_called_background_is_warned_of():
    context = Context.of()
    assert preparing._of_objects(("background", "cat", "dog"), 2, context) == ("cat", "dog")
    assert preparing._of_objects(("cat", "dog"), 2, context) == ("cat", "dog") and not context.warnings
    with pytest.warns(UserWarning, match="no output for background"):
        assert preparing._of_objects(("background", "cat"), 2, context) == ("background", "cat")
