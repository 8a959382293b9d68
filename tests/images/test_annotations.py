"""Photos with boxes: COCO's JSON, VOC's XML and YOLO's text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import EdgeeffError, LabelsError, MissingFileError, OptionError
from edgeeff.images import open_images
from edgeeff.images.annotations.classes import placed
from edgeeff.images.decoding import sizes
from edgeeff.labels import placeholders
from edgeeff.preprocess import Preprocess
from edgeeff.recipes import open_source

LABELS = ("cat", "dog", "bird")
PREPROCESS = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3)
#: Of a.png, 40×20: a dog in its upper left quarter, cut off where it leaves the photo; a crowd of cats.
DOG, CATS = [-2, 0, 22, 10], [20, 10, 20, 10]


@pytest.fixture
def photos(tmp_path):
    """Two photos, 40×20 and 16×16, in a folder ``images``."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 20)).save(tmp_path / "images" / "a.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "images" / "b.png")
    return tmp_path


def dataset(**changed):
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 20},
            {"id": 0, "file_name": "b.png", "width": 16, "height": 16},
        ],
        "annotations": [
            {"id": 0, "image_id": 7, "category_id": 18, "bbox": DOG, "area": 150.0, "iscrowd": 0},
            {"id": 1, "image_id": 7, "category_id": 17, "bbox": CATS, "area": 90, "iscrowd": 1},
            {"id": 2, "image_id": 0, "category_id": 17, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    } | changed


def coco(folder, said):
    (folder / "instances.json").write_text(said if isinstance(said, str) else json.dumps(said))
    return open_images(folder / "instances.json")


def truths(images, labels=LABELS, preprocess=PREPROCESS):
    return placed(images, labels, preprocess, sizes(images.pictures, preprocess))


def one(said=None, **changed):
    """A data set of one annotation, changed."""
    entry = dataset()["annotations"][2] | changed
    return dataset(annotations=[entry if said is None else said])


def test_coco_gives_boxes_of_the_networks_classes(photos):
    images = coco(photos, dataset())
    assert [picture.path.name for picture in images.pictures] == ["a.png", "b.png"]
    assert images.labels is None and images.warnings == () and images.notes == ()
    found = truths(images)
    first, second = found.truths
    assert first.corners.tolist() == [[0, 0, 20, 10], [20, 10, 40, 20]]
    assert first.classes.tolist() == [1, 0] and first.crowd.tolist() == [False, True]
    assert first.areas.tolist() == [150, 90] and second.corners.tolist() == [[1, 2, 4, 6]]
    assert first.size == (40, 20) and first.fit == PREPROCESS.place((40, 20)) and second.number == 1
    (warning,) = found.warnings
    assert "1 boxes reach beyond their photo" in warning and "a.png" in warning


def voc(folder, name, objects, extra=""):
    (folder / "Annotations").mkdir(exist_ok=True)
    body = "".join(
        f"<object><name>{n}</name><difficult>{int(d)}</difficult><part><bndbox><xmin>9</xmin></bndbox></part>"
        f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for n, d, (x1, y1, x2, y2) in objects
    )
    path = folder / "Annotations" / f"{name}.xml"
    path.write_text(
        f"{extra}<annotation><filename>{name}.png</filename><size><width>40</width><height>20</height></size>"
        f"{body}</annotation>"
    )
    return path


def test_voc_says_the_same_boxes(photos):
    voc(photos, "a", [("dog", False, (1, 1, 20, 10)), ("cat", True, (21, 11, 40, 20))])
    found = truths(open_images(photos)).truths[0]
    assert found.corners.tolist() == [[0, 0, 20, 10], [20, 10, 40, 20]]
    assert found.classes.tolist() == [1, 0] and found.crowd.tolist() == [False, True]
    voc(photos, "b", [("dog", False, (0, 1, 5, 5))])  # a 0: this set counts from 0
    images = open_images(photos / "Annotations")
    assert truths(images).truths[0].corners[0].tolist() == [1, 1, 20, 10]
    # The second photo is 16×16, and its file says 40×20.
    assert any("1 photos have another size" in warning for warning in truths(images).warnings)
    (photos / "ImageSets" / "Main").mkdir(parents=True)
    (photos / "ImageSets" / "Main" / "train.txt").write_text("b\n")
    split = open_images(photos / "ImageSets" / "Main" / "train.txt")
    assert [p.path.name for p in split.pictures] == ["b.png"]
    assert any("those of train too" in warning for warning in open_images(photos).warnings)


def test_yolo_says_the_same_boxes(photos):
    (photos / "labels").mkdir()
    (photos / "labels" / "a.txt").write_text("1 0.25 0.25 0.5 0.5\n0 0.5 0.5 1 0.5 1 1 0.5 1\n")
    (photos / "data.yaml").write_text("train: images\nval: [../images]\nnames: {0: cat, 1: dog}\n")
    images = open_source(photos / "data.yaml", splits=("val",))
    found = truths(images)
    assert found.truths[0].corners.tolist() == [[0, 0, 20, 10], [20, 10, 40, 20]]
    assert found.truths[0].classes.tolist() == [1, 0] and len(found.truths[1]) == 0
    assert found.truths[0].areas.tolist() == [200, 200] and found.warnings == ()
    assert any("1 of 2 photos have no label file" in warning for warning in images.warnings)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.5", "has 3 numbers"),
        ("0 200 100 50 50", "are these pixels"),
        ("2 0.5 0.5 1 1", "class 2, and there are 2 names"),
        ("0 nan 0.5 1 1", "is no box"),
        ("0.5 0.5 0.5 1 1", "is no box"),
        ("cat 0.5 0.5 1 1", "is no box"),
    ],
)
def test_what_is_no_yolo_is_refused(line, says, photos):
    (photos / "images" / "a.txt").write_text(f"{line}\n")
    (photos / "data.yaml").write_text("val: images\nnames: [cat, dog]\n")
    with pytest.raises(LabelsError, match=says):
        open_source(photos / "data.yaml", splits=("val",))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("[" * 100_000, "is not JSON"),
        ("{", "is not JSON"),
        ([1], "no list of images"),
        (dataset(images=[]), "names no image"),
        (dataset(images=[{"id": "x", "file_name": "a.png"}]), "no whole id or no file_name"),
        (dataset(images=[{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]), "have the id 1"),
        (dataset(images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}]), "the same file"),
        (dataset(annotations={}), "annotations is no list"),
        (
            dataset(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]),
            "categories have the id 1",
        ),
        (dataset(categories=[{"id": 1, "name": "cat"}]), "none of its categories"),
        (one(image_id=8), "of image 8, which is none of its 2 images"),
        (one(image_id=True), "no image_id"),
        (one(bbox=[1, 2, 3, float("nan")]), "no four finite numbers"),
        (one(bbox=[1, 2, 3, 10**400]), "no four finite numbers"),
        (one(bbox=[1, 2, 3]), "no four finite numbers"),
        (one(bbox=[0.1, 0.2, 0.5, 0.8]), "within 0…1: are these shares"),
        (one(area=-1), "the area of annotation 0"),
        (one(iscrowd=2), "iscrowd of annotation 0"),
        (one(7), "annotation 0 is no object"),
        (
            dataset(images=[{"id": i, "file_name": f"{i}.png"} for i in range(90)], annotations=[]),
            "90 photos",
        ),
    ],
)
def test_what_is_no_coco_is_refused(said, says, photos):
    with pytest.raises((MissingFileError, LabelsError), match=says):
        coco(photos, said)


def test_what_coco_leaves_out_is_said(photos):
    entries = dataset()["annotations"]
    bare = {key: value for key, value in entries[2].items() if key not in ("iscrowd", "area")}
    flat = entries[2] | {"id": 9, "bbox": [1, 2, 0, 4]}
    images = coco(
        photos,
        dataset(
            images=[*dataset()["images"], {"id": 3, "file_name": "gone.png"}],
            annotations=[entries[0], entries[0], entries[1] | {"id": 0}, bare, flat],
        ),
    )
    assert [len(picture.boxes) for picture in images.pictures] == [2, 1]  # the very same one counts once
    said = " | ".join(images.warnings)
    for text in ("count once", "the id of another one", "without an area", "1 of 3 photos are not there"):
        assert text in said
    assert any("no iscrowd" in note for note in images.notes)
    assert any("no area" in note for note in images.notes)
    empty = coco(photos, dataset(annotations=[]))
    assert any("no photo has a box" in warning for warning in empty.warnings)
    assert [len(truth) for truth in truths(empty).truths] == [0, 0]


def test_classes_go_by_names_first(photos):
    images = coco(photos, dataset(categories=[{"id": 17, "name": "Cat"}, {"id": 18, "name": "cow"}]))
    found = truths(images)
    assert [truth.classes.tolist() for truth in found.truths] == [[0], [0]]
    said = " | ".join(found.warnings)
    assert "Cat is cat" in said and "1 of 3 boxes" in said and "cow" in said
    with pytest.raises(LabelsError, match="no class of the boxes is one of the network's"):
        truths(images, ("apple", "pear"))


def test_numbers_stand_for_names_where_there_are_none(photos):
    nameless = [{"id": 1}, {"id": 2}]
    entries = [dataset()["annotations"][2] | {"category_id": number, "id": number} for number in (1, 2)]
    images = coco(photos, dataset(annotations=entries, categories=nameless))
    found = truths(images)
    assert found.truths[1].classes.tolist() == [0, 1] and "counted from 1" in found.warnings[0]
    with pytest.raises(LabelsError, match="are of class 2, and"):
        truths(images, ("only",))
    unlabelled = coco(photos, dataset())  # names, and a network without any
    with pytest.raises(LabelsError, match="are of class 17"):
        truths(unlabelled, placeholders(3))
    assert truths(unlabelled, placeholders(90)).truths[0].classes.tolist() == [17, 16]


def test_the_photos_folder_may_be_named(photos):
    (photos / "there").mkdir()
    (photos / "there" / "set.json").write_text(json.dumps(dataset()))
    assert len(open_images(photos / "there" / "set.json")) == 2  # beside it, in images
    (photos / "elsewhere").mkdir()
    (photos / "images").rename(photos / "elsewhere" / "photos")
    with pytest.raises(MissingFileError, match="--root"):
        open_images(photos / "there" / "set.json")
    named = photos / "elsewhere" / "photos"
    assert len(open_images(photos / "there" / "set.json", named)) == 2
    with pytest.raises(OptionError, match="--root"):
        open_images(named, named)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('<!DOCTYPE a [<!ENTITY b "bb">]><annotation>&b;</annotation>', "document type"),
        ("<annotation>", "is no XML"),
        ("<annotation>" + "<a>" * 100_000, "is no XML"),
        ("<other/>", "no annotation"),
        ("<annotation><object><name>a</name></object></annotation>", "no four finite corners"),
    ],
)
def test_what_is_no_voc_is_refused(content, says, photos):
    voc(photos, "a", [("dog", False, (1, 1, 20, 10))])
    (photos / "Annotations" / "b.xml").write_text(content)
    with pytest.raises(EdgeeffError, match=says):
        open_images(photos)


@pytest.mark.parametrize("others", [True, False])
def test_a_first_voc_file_that_is_broken_hides_no_boxes(others, photos):
    if others:
        voc(photos, "b", [("dog", False, (1, 1, 20, 10))])
    (photos / "Annotations").mkdir(exist_ok=True)
    (photos / "Annotations" / "a.xml").write_text("<annotation>")
    with pytest.raises(EdgeeffError, match=r"a\.xml is no XML"):
        open_images(photos)


def test_photos_that_are_turned_are_told(photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 40)).save(photos / "images" / "a.png", exif=exif)
    upright = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3, exif=True)
    images = coco(photos, dataset())
    assert truths(images, preprocess=upright).truths[0].size == (40, 20)
    assert any("the other way round" in warning for warning in truths(images).warnings)
    assert not any("the other way" in warning for warning in truths(images, preprocess=upright).warnings)


def test_other_xml_beside_photos_is_passed_over(photos):
    (photos / "images" / "a.xml").write_text("<catalogue/>")
    images = open_images(photos / "images")
    assert len(images) == 2 and all(picture.boxes is None for picture in images.pictures)
    assert np.all([picture.label == -1 for picture in images.pictures])
