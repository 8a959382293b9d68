"""What outputs mean: probabilities, decisions and answers of each task."""

import json
import pickle

import numpy as np
import pytest

from edgeeff import tasks
from edgeeff.bundle import Bundle, Manifest
from edgeeff.errors import BundleError, OptionError
from edgeeff.harness.verify import judge
from edgeeff.preprocess import Preprocess
from edgeeff.tasks import Meaning, Naming, best, only


@pytest.fixture
def make_manifest():
    def make(**changes):
        return Manifest(
            **{
                **{"name": "b0-cpu-int8", "model": "b0", "target": "cpu-int8", "runtime": "openvino"},
                **{"precision": "int8", "input": "uint8", "softmax": False, "cpu_class": "vnni"},
                **{"preprocess": Preprocess((8, 8), (0,) * 3, (1,) * 3), "labels": ("a",), "classes": 1},
                **{"runtime_properties": {}, "digests": {}, "tools": {}, "files": {}},
                **changes,
            }
        )

    return make


def test_tasks_are_found_by_listing():
    assert {"classification", "multilabel"} <= set(tasks.TASKS.ours()) <= set(tasks.names())
    with pytest.raises(OptionError, match=r"no task 'pose'\n  → choose one of classification, "):
        tasks.room("pose")


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_probabilities_hold_at_both_ends(task):
    found = Meaning(task).probabilities(np.array([[900.0, -900.0, 0.0]]))
    expected = [[1, 0, 0]] if task == "classification" else [[1, 0, 0.5]]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.dtype == np.float32


def test_a_sigmoid_is_that_of_each_logit():
    logits = np.random.default_rng(0).normal(0, 3, (4, 5))
    np.testing.assert_allclose(
        Meaning("multilabel").probabilities(logits), 1 / (1 + np.exp(-logits)), rtol=1e-6
    )


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_logits_and_probabilities_decide_alike(threshold):
    logits = np.random.default_rng(1).normal(0, 3, (50, 3))
    meaning = Meaning("multilabel", threshold)
    decided = meaning.decisions(logits)
    probable = Meaning("multilabel", threshold, probable=True)
    np.testing.assert_array_equal(decided, probable.decisions(only(probable.outputs({"logits": logits}))))
    assert 0 < decided.mean() < 1
    assert decided[7].nonzero()[0].tolist() == sorted(meaning.answers(meaning.probabilities(logits)[7]))


def test_answers():
    shown = np.array([0.2, 0.9, 0.6, 0.1])
    assert Meaning().answers(shown) == [1, 2, 0]
    assert Meaning().answers(shown, 1) == [1]
    assert Meaning("multilabel").answers(shown) == [1, 2]
    assert Meaning("multilabel", 0.15).answers(shown) == [1, 2, 0]
    assert Meaning("multilabel", 0.95).answers(shown) == []


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 0.5])
def test_the_best_are_those_of_a_stable_sort(odd):
    """Of equal ones the lower class, however many are asked for and whatever they are."""
    rng = np.random.default_rng(0)
    for probabilities in (rng.random(12, np.float32), rng.integers(0, 3, 12) / 2, np.full(3, odd)):
        probabilities[rng.integers(len(probabilities))] = odd
        for count in (0, 1, 3, 9, 12, 13):
            expected = np.argsort(-probabilities, kind="stable")[:count].tolist()
            assert best(probabilities, count) == expected, (probabilities, count)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_what_is_said_of_a_frame_is_computed_when_read_and_stays(task):
    """As of a batch, whatever the reader does with the outputs meanwhile, and in copies of it."""
    meaning, naming = Meaning(task), Naming(("cat", "dog", "cow"), "no label")
    logits = np.array([[-1.0, 3.0, 0.5], [-4.0, -3.0, -5.0]], np.float32)
    for row, expected in zip(logits, meaning.decode({"logits": logits.copy()}, naming), strict=True):
        unread, read = (meaning.decode({"logits": row[None].copy()}, naming)[0] for _ in range(2))
        read.outputs["logits"][:] = 0
        assert (read.label, read.named, read.likeliest, read.absent) == (
            *(expected.label, expected.named, expected.likeliest, expected.absent),
        )
        assert pickle.loads(pickle.dumps(unread)) == unread == expected
        assert repr(unread) == repr(expected)
        with pytest.raises(AttributeError):
            unread.names  # noqa: B018


@pytest.mark.parametrize("probable", [False, True])
def test_a_label_alone_is_that_of_the_probabilities(probable):
    """Of logits so near each other that probabilities are equal too, and of what is no number."""
    tiny, naming = np.spacing(np.float32(1)), Naming(("cat", "dog", "cow"))
    odd = [[0, 1e-9, -1], [1, 1 + tiny, 0], [1, 1, 2], [0, np.nan, 5], [np.inf, 0, np.inf], [-np.inf] * 3]
    rows = [*odd, [0, 0, 0], [3, 7e4, 7e4 + 0.01], [-1e9, -1e9 + 64, -2e9], [0.1, 0.7, 0.2]]
    for row in np.array(rows, np.float32):
        for top in (None, 0, 1):
            of = Naming(naming.labels, top=top)
            alone, whole = (
                Meaning(probable=probable).decode({"logits": row[None].copy()}, of)[0] for _ in range(2)
            )
            with np.errstate(invalid="ignore"):
                expected = whole.named[0].label if whole.named else ""
                assert alone.label == expected, (row, top)
                assert alone.named[:1] == whole.named[:1] or np.isnan(row).any() or np.isinf(row).any()


def test_agreement_is_of_labels_not_of_the_largest():
    """One logit has always the same largest; of two labels the order means nothing."""
    reference = np.array([[3.0], [-2.0], [0.5], [-0.5]])
    test = np.array([[3.1], [-2.0], [-0.1], [-0.4]])
    found = judge({"logits": test}, float_outputs={"logits": reference}, meaning=Meaning("multilabel"))
    assert (found.agreement.successes, found.agreement.total) == (3, 4)
    assert found.sqnr_centred == found.sqnr and found.sqnr < 20
    both = judge(
        {"logits": np.array([[1.0, 2.0]])},
        float_outputs={"logits": np.array([[2.0, 1.0]])},
        meaning=Meaning("multilabel"),
    )
    assert both.agreement.value == 1


def test_a_threshold_moves_agreement():
    reference, test = np.array([[1.0], [3.0]]), np.array([[1.1], [2.0]])
    assert (
        judge(
            {"logits": test}, float_outputs={"logits": reference}, meaning=Meaning("multilabel", 0.9)
        ).agreement.successes
        == 1
    )
    assert (
        judge(
            {"logits": test}, float_outputs={"logits": reference}, meaning=Meaning("multilabel", 0.5)
        ).agreement.successes
        == 2
    )


@pytest.mark.parametrize("value", [0, 1, -0.5, float("nan"), "high"])
def test_a_threshold_is_a_probability(value):
    with pytest.raises(OptionError, match="--threshold"):
        Meaning("multilabel").with_threshold(value)


def test_classes_have_no_threshold():
    with pytest.raises(OptionError, match="no meaning for classification"):
        Meaning().with_threshold(0.5)
    assert Meaning().with_threshold(None) == Meaning()


@pytest.mark.parametrize(("field", "value"), [("task", "guessing"), ("threshold", 1.5), ("threshold", 0)])
def test_a_manifest_of_no_known_task_is_refused(make_manifest, field, value, tmp_path):
    data = json.loads(make_manifest().to_json())
    (tmp_path / "manifest.json").write_text(json.dumps({**data, field: value}))
    with pytest.raises(BundleError, match="task"):
        Bundle.load(tmp_path)


def test_a_manifest_from_before_tasks_is_one_of_classification(make_manifest, tmp_path):
    data = json.loads(make_manifest().to_json())
    for name in ("task", "threshold", "negative"):
        del data[name]
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    assert Bundle.load(tmp_path).manifest.meaning == Meaning()
