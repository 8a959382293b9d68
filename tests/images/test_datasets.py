"""Data sets that a YAML file describes."""

from __future__ import annotations

import pytest
from PIL import Image

from edgeeff.errors import LabelsError, MissingFileError, OptionError
from edgeeff.images import datasets
from edgeeff.labels import placeholders
from edgeeff.recipes import open_source, open_to_judge

NAMES = "names:\n  0: rose  # as the network was trained\n  1: daisy\n"


@pytest.fixture
def described(tmp_path):
    """``described(text)``: the file beside photos of two classes in two splits, opened for judging."""
    for place in ("set/val/daisy/a.png", "set/val/rose/b.png", "set/train/daisy/c.png", "set/flat/d.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / place)
    (tmp_path / "set" / "val.txt").write_text("val/rose/b.png rose\n")

    def make(content):
        (tmp_path / "data.yaml").write_text(content)
        return open_to_judge(tmp_path / "data.yaml")

    return make


def classes(images, labels):
    return {picture.path.name: picture.label for picture in images.classes_named(labels).pictures}


@pytest.mark.parametrize("named", [NAMES, "names: [rose, daisy]\nnc: 2\n"])
def test_the_split_and_the_classes_are_those_of_the_file(named, described):
    images = described(f"# flowers\npath: set\ntrain: train\nval: val\ndownload: |\n  a script\n{named}")
    # By the network's labels where it has any, else as the file numbers them: sorted, daisy would be 0.
    assert classes(images, ("daisy", "tulip", "rose")) == {"a.png": 0, "b.png": 2}
    assert classes(images, placeholders(2)) == {"a.png": 1, "b.png": 0}
    assert any("images of val" in note for note in images.notes) and images.warnings == ()
    with pytest.raises(LabelsError, match="has 2 classes, and the network 3"):
        images.classes_named(placeholders(3))
    with pytest.raises(LabelsError, match="nearest label: 'roses'"):
        images.classes_named(("daisy", "roses"))


def test_another_split_and_a_list(described):
    for split in ("test", "valid", "validation"):  # names that others than Ultralytics write
        assert classes(described(f"path: set\n{split}: val.txt\n"), ("daisy", "rose")) == {"b.png": 1}


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("path: set\ntrain: train\n", OptionError, "names no images for val or valid or"),
        ("path: set\nval: [val, val]\n", MissingFileError, "several folders of classes"),
        ("val: https://example.org/val.zip\n", MissingFileError, "no folder or list"),
        ("val: [7]\n", MissingFileError, "no folder or list"),
        ("path: set\nval: nowhere\n", MissingFileError, "no file or folder"),
        ("path: set\nval: flat\nnames: [a]\n", LabelsError, "no image of val has a class"),
        ("path: set\nval: val\nnames: [rose, tulip]\n", LabelsError, "'daisy', which is none of its names"),
        ("path: set\nval: val\nnames: {0: rose, 2: daisy}\n", LabelsError, "not numbered 0…1"),
        ("path: set\nval: val\nnames: [rose, rose]\n", LabelsError, "stands twice"),
        ("path: set\nval: val\nnames: [rose, daisy]\nnc: 3\n", LabelsError, "nc is 3"),
        ("path: set\nval: val\nnames: 7\n", LabelsError, "names are 7"),
        ("- a\n- b\n", MissingFileError, "describes no data set"),
        ("val: {", MissingFileError, "is no YAML"),
        ("val: !!python/object/apply:os.system [true]\n", MissingFileError, "is no YAML"),
    ],
)
def test_what_is_no_such_data_set_is_refused(content, error, says, described):
    with pytest.raises(error, match=says):
        described(content)


def test_a_data_set_is_opened_for_a_split_alone(described, tmp_path, monkeypatch):
    described("path: set\nval: val\n")
    with pytest.raises(OptionError, match="several splits"):
        open_source(tmp_path / "data.yaml")

    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(datasets, "import_module", absent)
    with pytest.raises(OptionError, match="without PyYAML"):
        open_source(tmp_path / "data.yaml", splits=("val",))
