"""The search for the cheapest float layers, over networks of which all is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeeff.errors import OptionError, VerificationError
from edgeeff.quantization.budget import Budget, Choice, Cost, Judged, judge, meets, read
from edgeeff.quantization.precision import Candidate
from edgeeff.quantization.search import Search

WORTH = {"stem": 3.0, "first": 2.0, "wide": 0.0, "late": 1.0, "last": 1.0}
COST = {"stem": 0.02, "first": 0.01, "wide": 0.3, "late": 0.02, "last": 0.03}
ORDER = [Candidate(name, WORTH[name] / 10, COST[name]) for name in WORTH]


def searching(budget, looks=None, simulation=0.0):
    """A network of 20 dB in which each layer adds its worth; the simulation sees some dB more."""

    def look(layers, offset=simulation):
        if looks is not None:
            looks.append(layers)
        return Judged(100, 20 + offset + sum(WORTH[name] for name in layers), 0.0)

    def cost(layers):
        return Cost(sum(COST[name] for name in layers), "by a table")

    return Search(lambda: ORDER, budget, look, lambda layers: look(layers, 0.0), cost)


def test_nothing_stays_float_without_need():
    assert searching(Budget(min_sqnr=19.5)).run().layers == ()


@pytest.mark.parametrize(
    ("asked", "layers"),
    [
        (22.0, ("stem",)),
        (25.0, ("stem", "first")),
        (25.5, ("stem", "first", "late")),  # what stands before it in the order and gives nothing is left out
        (27.0, ("stem", "first", "late", "last")),
    ],
)
def test_the_fewest_that_reach_it(asked, layers):
    looks = []
    found = searching(Budget(min_sqnr=asked), looks).run()
    assert found.layers == layers
    assert found.found.sqnr >= asked and found.plain.sqnr == 20
    assert len(looks) <= 12


def test_the_hub_graph_has_the_last_word():
    """The simulation finds 25.4 dB with two layers; the graph gives 25 and takes a third."""
    assert searching(Budget(min_sqnr=25.2), simulation=0.4).run().layers[:2] == ("stem", "first")
    assert searching(Budget(min_sqnr=25.2), simulation=0.4).run().found.sqnr >= 25.2


def test_what_cannot_be_reached_is_told_with_its_curve():
    with pytest.raises(
        VerificationError, match=r"30 dB.*cannot be met.*0 → 20\.0 dB.*5 → 27\.0 dB"
    ) as caught:
        searching(Budget(min_sqnr=30)).run()
    assert caught.value.exit_status == 1


def test_a_ceiling_refuses_what_is_needed():
    with pytest.raises(VerificationError, match=r"needs 2 float layers \(stem, first\).*\+3\.0%.*\+1\.0%"):
        searching(Budget(min_sqnr=25, max_cost=0.01)).run()
    assert searching(Budget(min_sqnr=25, max_cost=0.03)).run().cost == Cost(0.03, "by a table")


@pytest.mark.parametrize(("ceiling", "count"), [(0.0, 0), (0.02, 1), (0.035, 2), (0.34, 3), (1.0, 5)])
def test_a_ceiling_alone_is_filled(ceiling, count):
    found = searching(Budget(max_cost=ceiling)).run()
    assert found.layers == tuple(WORTH)[:count]
    assert found.cost is None or found.cost.value <= ceiling


def labelled(plain_lost, images=1000):
    """A network that loses so many images, each float layer half of them."""

    def look(layers):
        lost = plain_lost // 2 ** len(layers)
        truth = np.zeros(images, np.int64)
        reference = np.tile([[2.0, 0.0]], (images, 1))
        found = reference.copy()
        found[:lost] = [[0.0, 2.0]]
        return judge(reference, found, truth)

    return lambda budget: Search(lambda: ORDER, budget, look, look, lambda _: Cost(0, ""))


def test_points_of_top_1():
    found = labelled(20)(Budget(max_drop=1.0)).run()
    assert found.layers == ("stem",) and found.found.drop == pytest.approx(1.0)


def test_too_few_images_to_judge_by_are_refused():
    with pytest.raises(OptionError, match=r"--max-drop 0\.3 .*known to ± 0\.87") as caught:
        labelled(20)(Budget(max_drop=0.3)).run()
    assert "labelled images" in caught.value.mend
    with pytest.raises(OptionError, match="needs labelled images"):
        searching(Budget(max_drop=0.3)).run()


def test_standard_error_is_that_of_other_images():
    random = np.random.default_rng(0)

    def draw():
        reference = random.normal(size=(64, 20)) * random.uniform(0.5, 2, (64, 1))
        return judge(reference, reference + 0.1 * random.normal(size=reference.shape))

    drawn = [draw() for _ in range(200)]
    spread = np.std([judged.sqnr for judged in drawn])
    assert spread == pytest.approx(np.mean([judged.sqnr_error for judged in drawn]), rel=0.25)


def test_identical_logits():
    logits = np.eye(4)
    same = judge(logits, logits, np.arange(4))
    assert same.sqnr == np.inf and same.drop == 0 and same.drop_error == pytest.approx(75)
    assert meets(Budget(min_sqnr=99), same, confident=True)


def test_a_choice_comes_back_from_json():
    found = searching(Budget(min_sqnr=25, max_cost=0.03)).run()
    again = Choice.from_json(found.to_json())
    assert again == found and "stem, first: 20.0 dB → 25.0 dB" in again.line


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ((26.0, None, None), Budget(min_sqnr=26.0)),
        ((None, "0.3pt", "3%"), Budget(max_drop=0.3, max_cost=0.03)),
        ((None, 0.3, 3), Budget(max_drop=0.3, max_cost=0.03)),
        ((None, None, None), None),
    ],
)
def test_as_users_write_it(given, budget):
    assert read(*given) == budget


@pytest.mark.parametrize(
    "given", [(-1, None, None), (float("nan"), None, None), (None, "3%", None), (None, None, "x")]
)
def test_values_without_sense(given):
    with pytest.raises(OptionError):
        read(*given)
