"""Two networks on the same images: the test against scipy, the bound against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from edgeeff.paired import images_needed, loss_bound, margin_seen, mcnemar


@pytest.mark.parametrize(
    ("lost", "won"), [(1, 0), (3, 1), (10, 30), (30, 10), (540, 500), (5000, 4800), (900, 0), (0, 900)]
)
def test_mcnemar_is_the_exact_binomial_test(lost, won):
    expected = stats.binomtest(lost, lost + won, alternative="greater").pvalue
    assert mcnemar(lost, won) == pytest.approx(expected, rel=1e-8)


def test_without_a_discordant_image_nothing_is_shown():
    assert mcnemar(0, 0) == 1.0
    # The rule of three, exactly: no image lost of 1000 excludes a loss of 0.3 %.
    assert loss_bound(0, 0, 1000, 0.05) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-9)
    assert loss_bound(0, 0, 0) == 1.0 and loss_bound(5, 0, 5) == 1.0
    assert loss_bound(0, 5, 5) <= 0.0


def test_the_bound_shrinks_with_images_and_with_what_is_won():
    assert loss_bound(10, 10, 4000) < loss_bound(10, 10, 2000) < loss_bound(12, 10, 2000)
    assert loss_bound(10, 14, 2000) < loss_bound(10, 10, 2000)
    assert loss_bound(10, 10, 2000, 0.01) > loss_bound(10, 10, 2000, 0.05)
    # Many discordant images: the normal interval, whose variance is that of a multinomial.
    lost, won, images = 2000, 1900, 20_000
    rate, loss = (lost + won) / images, (lost - won) / images
    normal = loss + stats.norm.ppf(0.95) * math.sqrt((rate - loss**2) / images)
    assert loss_bound(lost, won, images) == pytest.approx(normal, rel=0.01)


@pytest.mark.parametrize(("rate", "other"), [(0.0016, 0.0), (0.001, 0.0005), (0.005, 0.005), (0.06, 0.04)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_true_loss_lies_above_the_bound_no_oftener_than_alpha(rate, other, alpha):
    images, tries = 2000, 2000
    rest = 1 - rate - other
    drawn = np.random.default_rng(1).multinomial(images, [rate, other, rest], tries)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    below = [loss_bound(int(lost), int(won), images, alpha) < rate - other for lost, won in pairs]
    missed = counts[below].sum() / tries
    assert missed <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / tries)


def test_so_many_images_are_enough_and_no_more_than_are_needed():
    """Of two equal networks the bound lies under the margin as often as the power says."""
    margin, discordance = 0.01, 0.02
    needed = images_needed(margin, discordance, alpha=0.05, power=0.9)
    half = discordance / 2
    drawn = np.random.default_rng(2).multinomial(needed, [half, half, 1 - discordance], 3000)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    passed = counts[[loss_bound(int(a), int(b), needed) < margin for a, b in pairs]].sum() / 3000
    assert passed == pytest.approx(0.9, abs=0.025)
    assert images_needed(0.003, 0.01, alpha=0.01) == pytest.approx(15.8 * 0.01 / 0.003**2, rel=0.03)
    alone = images_needed(0.005, 0.0)
    assert loss_bound(0, 0, alone) < 0.005 <= loss_bound(0, 0, alone - 1)
    assert images_needed(margin_seen(needed, 0.02), 0.02) <= needed


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: mcnemar(-1, 2),
        lambda: loss_bound(3, 4, 6),
        lambda: loss_bound(1, 1, 9, 0.0),
        lambda: images_needed(0.0, 0.1),
        lambda: images_needed(0.1, 1.5),
        lambda: images_needed(0.1, 0.1, power=1.0),
    ],
)
def test_what_is_no_count_and_no_fraction_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()
