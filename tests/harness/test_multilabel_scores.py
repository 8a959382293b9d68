"""F1 and average precision, and what lists, folders and arrays tell of an image's labels."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import edgeeff
from edgeeff.cli import judgements
from edgeeff.errors import LabelsError, OptionError
from edgeeff.harness import multilabel
from edgeeff.images import open_images
from edgeeff.metrics import average_precision
from edgeeff.tasks import Meaning
from edgeeff.tasks.multilabel import MultilabelScorer

COLOURS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("scores", "there", "expected"),
    [
        ([4, 3, 2, 1], [1, 1, 0, 0], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], (1 / 3 + 2 / 4) / 2),
        ([4, 3, 2, 1], [1, 0, 1, 0], (1 + 2 / 3) / 2),
        ([1, 1, 1, 1], [1, 0, 1, 0], 0.5),  # equal scores are one threshold, whatever their order
        ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
        ([3, 2, 2, 1], [0, 1, 0, 1], (2 / 4 + 1 / 3) / 2),
        ([2, 1], [0, 0], float("nan")),
    ],
)
def test_average_precision(scores, there, expected):
    found = average_precision(np.array(scores, float), np.array(there, bool))
    assert found == pytest.approx(expected, nan_ok=True)


def test_unknown_labels_count_for_nothing():
    accumulator = MultilabelScorer(Meaning("multilabel"))
    accumulator.update({"logits": np.array([[1.0, -1.0], [1.0, 1.0]])}, np.array([[1, 0], [-1, 1]]))
    shard = MultilabelScorer(Meaning("multilabel"))
    shard.update({"logits": np.array([[1.0, 1.0]])}, np.array([[0, -1]]))
    accumulator.add(shard.state())
    found = accumulator.scores()
    # Known: right, right, right, and one false alarm.
    assert found.f1_micro == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert found.f1_macro == pytest.approx((2 / 3 + 1) / 2)
    assert (found.labels, found.images) == (2, 3)
    empty = MultilabelScorer(Meaning("multilabel"))
    empty.update({"logits": np.zeros((2, 2))}, np.full((2, 2), -1))
    assert empty.scores() is None


@pytest.fixture
def colour(make_bundle):
    """A bundle whose logit of a colour is over 0 where that colour's mean is over 85."""
    return make_bundle("several", task="multilabel", classifier=np.eye(3) - np.full((3, 3), 1 / 3))


@pytest.fixture
def folder(tmp_path, colours):
    """Six photos of the three colours."""
    for n, image in enumerate(colours[0][:6]):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    return tmp_path


def written(folder, *rows, name="list.csv"):
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder / name


def test_a_list_names_several_labels(colour, folder):
    rows = [f"{n}.png,{COLOURS[n % 3]}" for n in range(4)] + ["4.png,red;green", "5.png,-"]
    found = edgeeff.evaluate(colour, written(folder, "path,labels", *rows), warn=lambda _: None)
    assert (found.images, found.labelled, found.top_1_drop) == (6, 6, None)
    # Each photo shows its one colour: of 6 labels one is missed, and one alarm is false.
    assert found.scores.f1_micro == pytest.approx(2 * 5 / (6 + 6))
    assert found.to_json()["scores"]["labels"] == 3
    assert 0 < found.scores.mean_average_precision < 1
    (header, *_) = [column.header for column in judgements.accuracy_table([found]).columns][2:]
    assert header == "F1"


@pytest.mark.parametrize("cell", ["0;2", "blue;red", "blue; red", "red;blue;"])
def test_labels_by_name_or_number(colour, folder, cell):
    rows = [f"{n}.png,{cell if n == 0 else '-'}" for n in range(6)]
    found = edgeeff.evaluate(colour, written(folder, "path,class", *rows), warn=lambda _: None)
    assert (found.scores.labels, found.labelled) == (2, 6)


def test_an_image_without_a_cell_is_unknown(colour, folder):
    rows = [f"{n}.png,{'red' if n < 3 else ''}" for n in range(6)]
    warned = []
    found = edgeeff.evaluate(colour, written(folder, "path,class", *rows), warn=warned.append)
    assert found.labelled == 3 and any("3 of 6 images bear no label" in text for text in warned)


@pytest.mark.parametrize("cell", ["purple", "red;purple", "red;9", "0;9", "Red;blue"])
def test_labels_that_the_network_has_not_are_refused(colour, folder, cell):
    with pytest.raises(LabelsError):
        edgeeff.evaluate(colour, written(folder, "path,class", f"0.png,{cell}", "1.png,-"))


def test_a_number_that_is_another_label_is_refused(folder):
    network = SimpleNamespace(classes=4, labels=("0", "1", "10", "2"), negative="")
    with pytest.raises(LabelsError, match="2 may be class number 2, labelled '10', or the class"):
        multilabel.truth(open_images(written(folder, "0.png,1", "1.png,2")), network)
    for head, place in (("index", 2), ("name", 3)):
        images = open_images(written(folder, f"path,{head}", "1.png,2"))
        assert multilabel.truth(images, network)[0].argmax() == place


def test_a_folder_for_each_class_says_nothing_of_the_other_labels(colour, folder, tmp_path):
    for n, name in enumerate(COLOURS):
        (tmp_path / "sorted" / name).mkdir(parents=True)
        (folder / f"{n}.png").rename(tmp_path / "sorted" / name / "a.png")
    with pytest.raises(LabelsError, match="tells one label of an image"):
        edgeeff.evaluate(colour, tmp_path / "sorted")


@pytest.mark.parametrize("names", [("0", "1"), ("not green", "green")])
@pytest.mark.parametrize("layout", ["folders", "list"])
def test_one_logit(make_bundle, folder, tmp_path, names, layout, colours):
    """Top-1 of one logit would be 100 % of class 0, whatever it says."""
    bundle = make_bundle(
        "one",
        task="multilabel",
        classifier=np.array([[-1 / 3, 2 / 3, -1 / 3]]),
        labels=("green",),
        golden=False,
    )
    which = [names[int(n % 3 == 1)] for n in range(6)]
    if layout == "list":
        source = written(folder, "path,label", *(f"{n}.png,{name}" for n, name in enumerate(which)))
    else:
        source = tmp_path / "sorted"
        for n, name in enumerate(which):
            (source / name).mkdir(parents=True, exist_ok=True)
            (folder / f"{n}.png").rename(source / name / f"{n}.png")
    found = edgeeff.evaluate(bundle, source, warn=lambda _: None)
    assert (found.scores.f1_micro, found.scores.mean_average_precision) == (1, 1)
    strict = edgeeff.evaluate(bundle, source, threshold=0.99, warn=lambda _: None)
    assert strict.scores.f1_micro < 1 and strict.scores.mean_average_precision == 1


def test_labels_from_an_array(colour, folder, make_bundle):
    truth = np.eye(3, dtype=int)[np.arange(6) % 3]
    found = edgeeff.evaluate(colour, folder, labels=truth, reference=colour, warn=lambda _: None)
    assert found.scores.f1_micro == 1 and found.reference.agreement.total == 18
    for wrong in (np.arange(6), truth * 2, truth[:5], truth.astype(float)):
        with pytest.raises(LabelsError, match="give 1, 0 or -1"):
            edgeeff.evaluate(colour, folder, labels=wrong)
    with pytest.raises(OptionError, match="same --task"):
        edgeeff.evaluate(colour, folder, labels=truth, reference=make_bundle("exclusive"))


def test_a_column_for_each_label(colour, folder, colours):
    """In any order of the columns; what is not known counts for nothing; an .npz has the network's order."""
    rows = ["0.png,0,1,0", "1.png,0,0,1", "2.png,1,0,0", "3.png,,1,-1", "4.png,0,1,1", "5.png,0,0,0"]
    table = written(folder, "path,blue,red,green", *rows)
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, -1], [1, 1, 0], [0, 0, 0]])
    assert np.array_equal(multilabel.truth(open_images(table), colour.manifest), expected)
    np.savez(folder / "rows.npz", images=colours[0][:6], labels=expected)
    found, given, array = (
        edgeeff.evaluate(colour, source, labels=labels, warn=lambda _: None)
        for source, labels in ((table, None), (folder / "0.png", expected[:1]), (folder / "rows.npz", None))
    )
    assert found.scores == array.scores != given.scores
    assert found.scores.images == 6 and found.outcomes.known.tolist() == [True] * 3 + [False] + [True] * 2
    assert found.outcomes.decided.tolist() == [0b001, 0b010, 0b100, 0b001, 0b010, 0b100]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (("path,red,green", "0.png,1,0"), "columns for 2 labels, and the network has 3"),
        (("path,red,green,bleu", "0.png,1,0,0"), "nearest label: 'blue'"),
        (("path,red,green,blue", "0.png,1,0,2"), "no column of path, red, green, blue is called class"),
    ],
)
def test_columns_that_are_not_the_labels_are_refused(content, says, colour, folder):
    with pytest.raises(LabelsError, match=says):
        edgeeff.evaluate(colour, written(folder, *content))


def test_one_label_in_each_row_is_a_class(make_bundle, folder, colours):
    rows = [f"{n}.png,{int(n % 3 == 2)},{int(n % 3 == 0)},{int(n % 3 == 1)}" for n in range(6)]
    table = written(folder, "path,blue,red,green", *rows)
    bundle = make_bundle("exclusive")
    assert edgeeff.evaluate(bundle, table, warn=lambda _: None).scores.top_1.successes == 6
    with pytest.raises(LabelsError, match=r"list.csv, line 7 has 2 labels, and the network names one class"):
        edgeeff.evaluate(bundle, written(folder, "path,blue,red,green", *rows[:5], "5.png,1,1,0"))
    # Classes [N, 1], all of them 1, are no columns: each image would be of class 0.
    np.savez(folder / "rows.npz", images=colours[0][:6], labels=np.ones((6, 1), np.int64))
    with pytest.raises(LabelsError, match="1 columns of labels, for 3 classes"):
        edgeeff.evaluate(bundle, folder / "rows.npz")
