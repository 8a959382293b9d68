"""List files as editors, spreadsheets and scripts write them."""

from __future__ import annotations

import pytest
from PIL import Image

from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images import open_images

LABELS = ("eel", "cat", "great white shark")


@pytest.fixture
def listed(tmp_path):
    """``listed("list.txt", content)``: a list beside photos a.png, p/b c.png and d,e.png, opened."""
    for name in ("a.png", "p/b c.png", "d,e.png", "#1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)

    def make(name, content, encoding="utf-8"):
        (tmp_path / name).write_bytes(content.encode(encoding))
        return open_images(tmp_path / name)

    return make


def classes(images, labels=LABELS):
    return {p.path.name: p.label for p in images.classes_named(labels).pictures}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "a.png,1\np/b c.png,2\n"),
        ("a.txt", "a.png 1\np/b c.png 2\n"),
        ("a.txt", "a.png\t1\r\np/b c.png\t2\r\n"),
        ("a.txt", "a.png, cat\np/b c.png, great white shark\n"),
        ("a.txt", "a.png cat\np/b c.png great white shark\n"),
        ("a.txt", "path,label\na.png,cat\np/b c.png,great white shark\n"),
        ("a.txt", "# of mine\n\na.png,cat\np\\b c.png,great white shark\n"),
        ("a.txt", 'a.png,cat\n"p/b c.png","great white shark"\n'),
        ("a.lst", "a.png;1\np/b c.png;2\n"),
        ("a.csv", "a.png,1\np/b c.png,2\n"),
        ("a.csv", "path,label\na.png,cat\np/b c.png,great white shark\n"),
        ("a.csv", "Image File;Class\na.png;cat\np\\b c.png;great white shark\n"),
        ("a.csv", "label,path\n1,a.png\n2,p/b c.png\n"),
        ("a.csv", "cat,a.png\ngreat white shark,p/b c.png\n"),
        ("a.csv", 'filename,width,class\na.png,4,cat\n"p/b c.png",4,"great white shark"\n'),
        ("a.csv", "image_id,target\na.png,1.0\np/b c.png,2.0\n"),
        ("a.tsv", "file\tclass_id\na.png\t1\np/b c.png\t2\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_class_by_number_or_name(name, content, encoding, listed):
    images = listed(name, content, encoding)
    assert classes(images) == {"a.png": 1, "b c.png": 2}
    assert images.warnings == ()
    assert all(p.path.is_file() for p in images.pictures)


def test_absolute_paths_and_commas_and_hashes_in_names(listed, tmp_path):
    images = listed("a.txt", f"{tmp_path}/a.png,1\nd,e.png\nd,e.png,2\n#1.png,0\n".replace("d,e.png\nd", "d"))
    assert classes(images) == {"a.png": 1, "d,e.png": 2, "#1.png": 0}
    images = listed("b.csv", f'{tmp_path}/a.png,1\n"d,e.png",2\n#1.png,0\n')
    assert classes(images) == {"a.png": 1, "d,e.png": 2, "#1.png": 0}


def test_some_lines_without_a_class(listed):
    assert classes(listed("a.txt", "a.png,1\nd,e.png\np/b c.png,-1\n")) == {
        "a.png": 1, "d,e.png": -1, "b c.png": -1
    }  # fmt: skip
    assert classes(listed("a.csv", 'a.png,cat\n"d,e.png",\np/b c.png,-1\n')) == {
        "a.png": 1, "d,e.png": -1, "b c.png": -1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "a.png,1\np/b c.png,3\n", r"a.txt, line 2: class 3, but .* 0…2"),
        ("a.txt", "a.png,1\np/b c.png,--5\n", r"'--5', .*a.txt, line 2"),
        ("a.txt", "a.png,cat\n\np/b c.png,Eel\n", r"'Eel', .*a.txt, line 3 .nearest label: 'eel', which"),
        ("a.csv", "path,label\na.png,cat\np/b c.png,shark\n", r"'shark', .*a.csv, line 3"),
        ("a.csv", "a.png,cat\np/b c.png,1\n", r"1 of 2 classes of the list .* '1', .*a.csv, line 2"),
        ("a.csv", "path,name\na.png,0\np/b c.png,1\n", r"'0', .*line 2"),
    ],
)
def test_no_class_of_the_network_is_refused_with_its_line(name, content, reason, listed):
    images = listed(name, content)
    with pytest.raises(LabelsError, match=reason):
        images.classes_named(LABELS)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", "a.png,-5\n", "a.txt, line 1: '-5' is no class's number"),
        ("a.csv", "path,index\na.png,cat\n", "a.csv, line 2: 'cat' is no class's number"),
        ("a.csv", "a.png,1,2\n", "3 columns, and no header"),
        ("a.csv", "path,cat,dog\na.png,1,7\n", "no column of path, cat, dog is called class"),
        ("a.txt", "a.png,1\na.png,2\n", "a.txt, line 2: .* another class than in .*line 1"),
        ("a.csv", "path,label\na.png,1\n,2\n", "line 3 names no image"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(name, content, reason, listed):
    with pytest.raises((LabelsError, MissingFileError), match=reason):
        listed(name, content)


@pytest.mark.parametrize(
    ("name", "content", "place", "mend"),
    [
        ("a.txt", "490\n361\n", "line 1 is taken to name .*490", "relative to the list's folder"),
        ("a.txt", "1 a.png\n0 d,e.png\n", "line 1 is taken to name .*1 a.png", "path,class on each line"),
        ("a.txt", "a.png|cat\n", "line 1", "path,class on each line"),
        ("a.csv", "id,label\na,0\n#1,1\n", r"line 2 is taken to name [^ ]*a\s", "suffix: a.png"),
        ("a.csv", "id_code,diagnosis\na,0\n", "line 2", "suffix: a.png"),
        ("a.csv", "image_id,label\na,cat\n", "line 2", "suffix: a.png"),
        ("a.csv", "path,label\nC:\\data\\a.png,cat\n", "line 2", "relative to the list's folder"),
    ],
)
def test_a_list_of_nothing_that_is_there_is_refused(name, content, place, mend, listed):
    with pytest.raises(MissingFileError, match=f"no line names a file that is there; .*{place}") as caught:
        listed(name, content)
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    "content",
    [
        "id,path,label\n0,a.png,cat\n1,p/b c.png,eel\n",
        "id,label\na.png,cat\np/b c.png,eel\n",
        '"path", "label"\n"a.png", "cat"\n"p/b c.png", "eel"\n',
    ],
)
def test_what_kaggle_and_scripts_write(content, listed):
    images = listed("a.csv", content)
    assert classes(images) == {"a.png": 1, "b c.png": 0} and images.warnings == ()


def test_rows_of_several_splits_are_said(listed):
    images = listed("a.csv", "path,label,split\na.png,cat,train\np/b c.png,eel,val\n")
    assert len(images) == 2 and "column split has train, val, and the rows of all" in images.warnings[0]
    assert listed("b.csv", "path,label,split\na.png,cat,val\n").warnings == ()


def test_numbers_that_may_count_from_1_are_said(listed):
    images = listed("a.csv", "a.png,1\np/b c.png,2\n").classes_named(LABELS)
    assert "none is 0 (1, 2): if they count from 1" in images.warnings[0]
    for content in ("a.png,0\np/b c.png,2\n", "a.png,1\np/b c.png,1\n"):
        assert listed("a.csv", content).classes_named(LABELS).warnings == ()


def test_an_image_listed_twice_is_said(listed):
    assert "1 of 2 lines name an image that an earlier line names (line 2)" in listed(
        "a.txt", "a.png,1\na.png,1\n"
    ).warnings[0]  # fmt: skip


def test_an_unknown_header_is_said(listed):
    images = listed("a.csv", "X,Id\na.png,cat\n")
    assert classes(images) == {"a.png": 1}
    assert "first row is taken for a header (X, Id)" in images.warnings[0]


SORTED_NUMBERS = tuple(sorted(map(str, range(12))))


@pytest.mark.parametrize(
    ("head", "label"), [("index", 2), ("name", 4)]
)  # number 2 of the network's classes, or the one that is labelled 2
def test_a_number_that_is_another_class_s_label(head, label, listed):
    assert classes(listed("a.csv", f"path,{head}\na.png,2\n"), SORTED_NUMBERS) == {"a.png": label}
    for name, content in [("a.csv", "path,label\na.png,2\n"), ("a.txt", "a.png 2\n"), ("b.csv", "a.png,2\n")]:
        with pytest.raises(
            LabelsError, match="may be class number 2, labelled '10', or the class labelled '2'"
        ):
            listed(name, content).classes_named(SORTED_NUMBERS)
    assert classes(listed("a.txt", "a.png 1\n"), SORTED_NUMBERS) == {"a.png": 1}


def test_names_without_labels_are_refused(listed):
    from edgeeff.labels import placeholders

    with pytest.raises(LabelsError, match="2 classes have no labels"):
        listed("a.txt", "a.png,cat\np/b c.png,dog\n").classes_named(placeholders(2))


@pytest.mark.parametrize("content", ["", "\n# nothing\n", "path,label\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_an_empty_list_is_refused(name, content, listed):
    with pytest.raises(MissingFileError, match="holds no image"):
        listed(name, content)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9.png,1\n")
    with pytest.raises(MissingFileError, match=r"UTF-8 text \(line 1\)"):
        open_images(tmp_path / "a.txt")
