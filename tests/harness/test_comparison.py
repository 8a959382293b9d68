"""Two bundles image by image, class by class, and how sure they are against how often they are right."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from edgeeff import paired
from edgeeff.cli import main
from edgeeff.errors import OptionError
from edgeeff.harness.accuracy import evaluate, evaluate_all
from edgeeff.harness.comparison import compare, obstacle
from edgeeff.harness.outcomes import Outcomes
from edgeeff.harness.per_class import confusions, per_class, worst
from edgeeff.tasks import Meaning
from edgeeff.tasks._calibration import CalibrationSums

RED_FOR_GREEN = np.eye(3)[[1, 0, 2]]


def outcomes(decided, truth, labels=("red", "green", "blue"), exclusive=True):
    names = tuple(f"{i}.png" for i in range(len(decided)))
    return Outcomes(names, np.array(decided, np.int32), np.array(truth, np.int32), labels, exclusive)


def test_classes_are_scored_as_scikit_learn_scores_them():
    random = np.random.default_rng(0)
    truth = random.integers(-1, 6, 400)
    decided = np.where(random.random(400) < 0.6, np.maximum(truth, 0), random.integers(0, 6, 400))
    found = per_class(outcomes(decided, truth, tuple("abcdefg")))
    known = truth >= 0
    shares = precision_recall_fscore_support(truth[known], decided[known], labels=range(6))
    assert [one.label for one in found] == list("abcdef")
    for one, *expected in zip(found, *shares, strict=True):
        assert (one.precision, one.recall, one.f1, one.images) == pytest.approx(expected)
    matrix = np.zeros((6, 6), int)
    for cell in confusions(outcomes(decided, truth)):
        matrix[cell.truth, cell.decided] = cell.images
    assert np.array_equal(matrix, confusion_matrix(truth[known], decided[known], labels=range(6)))
    off = matrix - np.diag(np.diag(matrix))
    assert [one.images for one in worst(confusions(outcomes(decided, truth)), 3)] == sorted(off.flat)[:-4:-1]


def test_labels_that_do_not_exclude_each_other_are_scored_each():
    found = per_class(outcomes([0b101, 0b001, -1, 0b010], [0b100, 0b001, 0b001, -1], exclusive=False))
    assert [(one.label, one.images, one.decided, one.right) for one in found] == [
        ("red", 2, 2, 1),
        ("blue", 1, 1, 1),
    ]
    assert confusions(outcomes([0b101], [0b100], exclusive=False)) == []


def test_the_calibration_error_is_that_of_its_bins():
    """In parts, from a state, and without what is NaN; computed again by hand."""
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(4) * 0.4, 500).astype(np.float32)
    truth = random.integers(0, 4, 500)
    one, other = CalibrationSums(), CalibrationSums()
    one.update(probabilities[:200], truth[:200])
    other.update(probabilities[200:], truth[200:])
    other.update(np.full((3, 4), np.nan), np.zeros(3, int))
    one.add(other.state())
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    edges = np.linspace(0, 1, 16)
    expected = sum(
        abs(right[inside].sum() - sure[inside].sum())
        for low, high in pairwise(edges)
        if (inside := (sure > low) & (sure <= high)).any()
    )
    found = one.found()
    assert found.error == pytest.approx(expected / 500, rel=1e-6)
    assert found.images.sum() == 500 and found.mean == pytest.approx(sure.mean())
    # Probabilities and the logits of the same are as well calibrated.
    scores = []
    for meaning, outputs in ((Meaning(probable=True), probabilities), (Meaning(), np.log(probabilities))):
        scorer = meaning.scorer(4, "net")
        scorer.update({"scores": outputs}, truth)
        scores.append(scorer.scores().calibration.error)
    assert scores == pytest.approx([found.error] * 2, rel=1e-5)


def test_what_is_lost_and_won_is_counted_over_the_images_of_both():
    old = outcomes([0, 1, 2, 0, 1, 1, -1], [0, 1, 2, 1, 2, -1, 0])
    new = outcomes([0, 0, 1, 1, 0, 2, 0], [0, 1, 2, 1, 2, -1, 0])
    found = compare(("new", new), ("old", old), 1.0)
    assert (found.lost, found.won, found.labelled) == (2, 2, 6)
    assert (found.agreement.successes, found.agreement.total) == (1, 7)
    assert found.loss == 0.0 and found.bound == pytest.approx(100 * paired.loss_bound(2, 2, 6))
    assert found.p_worse == pytest.approx(paired.mcnemar(2, 2))
    assert [one.image[0] for one in found.disagreements] == list("123645")  # lost, won, the rest
    assert vars(found.disagreements[-1]) == {"image": "5.png", "truth": "?", "old": "green", "new": "blue"}
    left_out = Outcomes(old.images[1:], old.decided[1:], old.truth[1:], old.labels)
    assert compare(("new", new), ("old", left_out), 1.0).labelled == 5
    with pytest.raises(OptionError, match="no image in common"):
        compare(("new", new), ("old", replace(old, images=tuple("abcdefg"))), 1.0)


@pytest.mark.parametrize(
    ("lost", "won", "images", "says"),
    [
        (3, 4, 5000, "no worse by 0.5 points"),
        (20, 3, 20000, "no worse by 0.5 points, though worse"),
        (60, 5, 2000, "worse (p "),
        (22, 10, 3000, "whether by 0.5 points is open"),
        (4, 4, 300, "not settled"),
    ],
)
def test_what_follows_is_said_in_words(lost, won, images, says):
    truth, old, new = np.zeros((3, images), int)
    new[:lost], old[lost : lost + won] = 1, 1
    found = compare(("new", outcomes(new, truth)), ("old", outcomes(old, truth)), 0.5)
    assert says in found.conclusion
    if "settle" in found.conclusion or "open" in found.conclusion:
        assert f"about {found.images_needed} labelled images" in found.conclusion
    said = found.to_json()
    assert len(json.dumps(said, allow_nan=False)) < 60_000
    assert len(said["disagreements"]) + said["disagreements_left_out"] == lost + won


def test_of_many_disagreements_json_lists_some_of_each_kind():
    truth, old, new = np.zeros((3, 1000), int)
    new[:300], old[300:503], old[503:], new[503:] = 1, 1, 1, 2
    found = compare(("new", outcomes(new, truth)), ("old", outcomes(old, truth)), 0.5)
    said = found.to_json()
    numbers = [int(one["image"].split(".")[0]) for one in said["disagreements"]]
    assert numbers == [*range(200), *range(300, 500), *range(503, 703)]
    assert len(found.disagreements) == 1000 and said["disagreements_left_out"] == 400


def test_bundles_that_cannot_be_compared(make_bundle):
    one = make_bundle("one")
    assert obstacle(one, make_bundle("other")) is None
    for other, says in (
        (make_bundle("named", labels=("red", "grün", "blue")), "class 1 of one is 'green', of named 'grün'"),
        (make_bundle("two", classifier=np.eye(3)[:2]), "one knows 3 classes, two 2"),
        (make_bundle("task", task="multilabel"), "one is built for classification, task for multilabel"),
    ):
        assert says in obstacle(one, other).what


@pytest.fixture
def verb(colours, tmp_path, capsys):
    np.savez(tmp_path / "colours.npz", images=colours[0], labels=colours[1])

    def run(*arguments, images=tmp_path / "colours.npz"):
        with pytest.raises(SystemExit) as ended:
            main(["eval", *map(str, arguments), "--images", str(images)])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err.replace("\n", " ")

    return run


def test_the_verb_compares_two_bundles(make_bundle, verb, tmp_path):
    one, swapped = make_bundle("one").folder, make_bundle("swapped", classifier=RED_FOR_GREEN).folder
    third = make_bundle("third").folder
    status, out, _ = verb(one, swapped, "--json")
    first, second = json.loads(out)
    assert status == 0 and first["comparison"] is None
    found = second["comparison"]
    assert (found["against"], found["lost"], found["won"], found["loss_points"]) == ("one", 40, 0, 200 / 3)
    assert found["not_inferior"] is False and len(found["disagreements"]) == 40
    assert [row["recall"] for row in second["per_class"]] == [0.0, 0.0, 1.0]
    assert {"truth": 0, "decided": 1, "images": 20} in second["confusion"]
    assert second["scores"]["calibration"]["bins"][-1]["upto"] == 1.0
    files = [tmp_path / "disagreements.csv", tmp_path / "confusion.csv"]
    status, out, _ = verb(
        *(swapped, third, f"--against={one}", "--margin=2", "--per-class"),
        *(f"--disagreements={files[0]}", f"--confusion={files[1]}"),
    )
    assert status == 0
    assert "swapped against one: worse" in out and "third against one: not settled" in out
    assert "lost 40, won 0 of 60" in out and "calibration error" in out and "precision" in out
    rows = [list(csv.DictReader(path.read_text().splitlines())) for path in files]
    assert len(rows[0]) == 40 and {row["bundle"] for row in rows[0]} == {"swapped"}
    assert sum(int(row["images"]) for row in rows[1]) == 180
    status, out, _ = verb(swapped, f"--against={swapped}", "--json")
    assert status == 0 and len(json.loads(out)) == 1  # nothing is held against itself


def test_what_cannot_be_compared_is_refused_or_said(make_bundle, verb, tmp_path):
    one, two = make_bundle("one").folder, make_bundle("two", labels=("red", "blue", "green")).folder
    status, _, err = verb(one, two)
    assert status == 0 and "not compared image by image: class 1 of two is 'blue'" in err
    jetson = make_bundle("jetson", "jetson-fp16").folder
    for arguments, says in (
        ((two, f"--against={one}"), "class 1 of two is 'blue'"),
        ((one, two, "--margin=1"), "class 1 of two is 'blue'"),
        ((one, "--margin=1"), "name the bundle that the others are held against"),
        ((one, f"--disagreements={tmp_path / 'd.csv'}"), "--against BUNDLE"),
        ((one, f"--against={one}", "--margin=0"), "--margin 0"),
        ((one, f"--against={jetson}"), "TensorRT"),
        ((one, f"--confusion={tmp_path / 'colours.npz' / 'c.csv'}"), "cannot write"),
    ):
        status, out, err = verb(*arguments)
        assert (status, out) == (2, ""), arguments
        assert says in err
    assert not (tmp_path / "d.csv").exists()


def test_reports_of_two_passes_are_compared_too(make_bundle, colours, tmp_path):
    np.savez(tmp_path / "colours.npz", images=colours[0], labels=colours[1])
    bundles = [make_bundle("one"), make_bundle("swapped", classifier=RED_FOR_GREEN)]
    apart = [evaluate(bundle, tmp_path / "colours.npz", warn=lambda _: None) for bundle in bundles]
    together = evaluate_all(bundles, tmp_path / "colours.npz", warn=lambda _: None)
    assert apart[1].against(apart[0]).comparison == together[1].against(together[0]).comparison


def test_two_builds_of_one_name_are_told_by_their_folders(make_bundle, verb, tmp_path):
    old = make_bundle("one").folder.rename(tmp_path / "old")
    new = make_bundle("one", classifier=RED_FOR_GREEN).folder
    status, out, _ = verb(new, f"--against={old}", "--json")
    comparison = json.loads(out)[0]["comparison"]
    assert status == 0 and comparison["against"] == f"one ({old})" and comparison["lost"] == 40
    _, out, _ = verb(new, f"--against={old}", f"--disagreements={tmp_path / 'd.csv'}")
    assert f"one ({new}) against one ({old}): worse" in out
    assert (tmp_path / "d.csv").read_text().splitlines()[1].startswith(f"one ({new}),one ({old}),")
