"""Embeddings held against labels: which images lie nearest to each other."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgeeff import images, tasks
from edgeeff.errors import LabelsError
from edgeeff.harness import truth
from edgeeff.tasks import Meaning, Output
from edgeeff.tasks._retrieval import RetrievalScorer


def vectors(*degrees):
    angles = np.radians(degrees)
    # Lengths differ: they say nothing.
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.arange(1, len(degrees) + 1)[:, None]


def scorer(classes, *degrees):
    found = Meaning("features").scorer(0, "b")
    for i, angle in enumerate(degrees):  # one by one, as batches come
        row = vectors(*degrees)[i : i + 1]
        found.update({"features_8": np.ones((1, 2, 3, 3)), "embedding": row}, np.array(classes[i : i + 1]))
        assert angle == degrees[i]
    return found


def test_recall_and_precision_by_hand():
    """A at 0° and 50°, B at 10° and 100°, C at 95° alone, D not known.

    0° asks: 10° B, 50° A. 50° asks: 10° B, 95° C, 0° A. 10° asks: 0°, 50°, 95°, 100° B. 100° asks: 95°,
    50°, 10° B.
    C has no other image and does not ask, but may be answered with.
    """
    found = scorer([0, 0, 1, 1, 2, -1], 0, 50, 10, 100, 95, 1).scores()
    assert (found.images, found.classes) == (4, 2)
    assert [share.successes for share in found.recall] == [0, 4, 4]
    assert found.mean_average_precision == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 3) / 4)
    assert found.primary == 0 and found.to_json()["recall_5"]["value"] == 1


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, 1, 2], [-1, -1, -1]])
def test_what_says_nothing(classes):
    assert scorer(classes, 0, 40, 90).scores() is None


def test_states_of_shards_add_up():
    whole, half = scorer([0, 0, 1, 1], 0, 5, 90, 80), scorer([0, 0], 0, 5)
    half.add(scorer([1, 1], 90, 80).state())
    assert half.scores().recall == whole.scores().recall == (whole.scores().recall[0],) * 3


def test_neighbours_agree_without_labels():
    one, other = scorer([-1] * 4, 0, 10, 30, 90), scorer([-1] * 4, 0, 25, 30, 90)
    assert one.agreement(one).value == 1
    assert one.agreement(other).successes == 3  # the second image has another nearest one
    assert RetrievalScorer().agreement(one) is None


def test_any_names_are_classes(tmp_path):
    for name in ("anna/1", "anna/2", "ben/1"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    opened = images.open_images(tmp_path)
    manifest = _Manifest((Output("embedding", (1, 4), "embedding"),))
    _, known = truth.read(opened, None, manifest)
    assert sorted(known.tolist()) == [0, 0, 1]
    left, known = truth.read(opened, None, _Manifest((Output("features_8", (1, 4, 2, 2), "features"),)))
    assert known is None and "no embedding" in left.warnings[-1]


def test_folders_of_splits_are_no_classes(tmp_path):
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    with pytest.raises(LabelsError, match="splits"):
        truth.read(images.open_images(tmp_path), None, _Manifest((Output("embedding", (1, 4), "embedding"),)))


class _Manifest:
    """What is read of a manifest."""

    task = "features"

    def __init__(self, outputs) -> None:
        self.outputs = outputs


def test_cosines_are_means_over_images():
    meaning = Meaning("features")
    first = meaning.fidelity({"embedding": vectors(0, 0)}, {"embedding": vectors(0, 60)})
    second = meaning.fidelity({"embedding": vectors(0)}, {"embedding": vectors(90)})
    assert (first + second).cosines == pytest.approx({"embedding": 0.5})
    assert tasks.room("features").PRIMARY in scorer([0, 0, 1], 0, 1, 2).scores().to_json()


def test_of_several_embeddings_the_scores_say_which_was_compared():
    found = Meaning("features").scorer(0, "b")
    near, far = vectors(0, 5, 90, 80), vectors(0, 90, 5, 80)
    found.update({"map": np.ones((4, 1, 2, 2)), "first": near, "second": far}, np.array([0, 0, 1, 1]))
    scores = found.scores()
    assert scores.primary == 1 and scores.to_json()["output"] == "first"
    (doubt,) = scores.doubts("b", 0)
    assert "first" in doubt and "second was not compared" in doubt
    assert scorer([0, 0, 1], 0, 5, 90).scores().doubts("b", 0) == []


def test_a_state_says_which_output_was_compared():
    one, other = scorer([0, 0, 1], 0, 5, 90), Meaning("features").scorer(0, "b")
    other.add(one.state())
    assert other.scores() == one.scores() and other.scores().output == "embedding"
