"""Two networks, each right or wrong on the same images: whether one is worse, and by how much at most.

Only the images on which one of the two is right and the other wrong tell anything. Of them ``lost`` are those
that the old network had right and the new one has wrong, ``won`` the other way round. The paired loss is
(lost − won) / images: what the new network's accuracy is lower by.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Images by which the exact bound of a difference of two equal counts exceeds the normal one: exact limits of
#: a count x lie near x + z√x + (z² + 2) / 3 and x − z√x + (z² − 1) / 3.
_EXCESS = math.sqrt(0.5)
#: Halvings of an interval of 0…1: its ends then differ by 1e-15.
_HALVINGS = 50


def mcnemar(lost: int, won: int) -> float:
    """The exact one-sided p-value of McNemar's test: how likely it is that chance alone gives such a loss.

    If neither network is better, each discordant image is lost or won with probability ½; the value is the
    probability of ``lost`` or more among ``lost + won`` (McNemar 1947, in its exact form).

    Args:
        lost: Images that the old network has right and the new one wrong.
        won: The other way round.

    Returns:
        1 where there is no discordant image.

    Raises:
        ValueError: A count is negative.
    """
    _refuse_counts(lost, won, lost + won)
    return _tail(lost, lost + won, 0.5)


def loss_bound(lost: int, won: int, images: int, alpha: float = 0.05) -> float:
    """The upper confidence bound of the paired loss, a fraction of the images: −1…1.

    Both rates get their exact limits (Clopper and Pearson 1934), which are combined by the method of variance
    estimates recovery (Zou and Donner, Statistics in Medicine 2008, 27:1693) with the correlation of two
    counts of one multinomial. Where nothing is won and nothing lost it is the exact 1 − alpha^(1/images).
    With few discordant images, where score and Wald intervals reject up to 7 % at 5 %, the true loss lies
    above this bound in at most ``alpha`` of cases.

    Args:
        lost: Images that the old network has right and the new one wrong.
        won: The other way round.
        images: All that both were asked.
        alpha: One minus the confidence.

    Raises:
        ValueError: More images are lost and won than there are, or alpha is no probability.
    """
    _refuse_counts(lost, won, images)
    _refuse_level(alpha, "alpha")
    if images == 0:
        return 1.0
    rate, other = lost / images, won / images
    above, below = _highest(lost, images, alpha) - rate, other - _lowest(won, images, alpha)
    # Of one multinomial more of the one count leaves fewer images for the other: the product is negative.
    rest = (1 - rate) * (1 - other)
    together = math.sqrt(rate * other / rest) if rest > 0 else 1.0
    return min(1.0, rate - other + math.sqrt(above**2 + below**2 + 2 * together * above * below))


def images_needed(margin: float, discordance: float, *, alpha: float = 0.05, power: float = 0.95) -> int:
    """How many images it takes to show that two networks of equal accuracy differ by less than a margin.

    (z₁₋ₐ + z_power)² · discordance / margin² (the large-sample size for paired proportions, as in Connor,
    Biometrics 1987, 43:207, where the true loss is 0), and a few more, by which the exact limits of
    :func:`loss_bound` lie above the normal ones; no fewer than would do without any discordant image.

    Args:
        margin: The loss that must be excluded, a fraction of the images: 0.005 is half a point.
        discordance: The fraction of the images on which one network is right and the other wrong.
        alpha: One minus the confidence of :func:`loss_bound`.
        power: How likely the bound is to lie under the margin.

    Raises:
        ValueError: One of them is no fraction.
    """
    if not 0 < margin < 1 or not 0 <= discordance <= 1:
        raise ValueError(f"margin {margin} and discordance {discordance}: want 0 < margin < 1, 0…1")
    _refuse_level(alpha, "alpha")
    _refuse_level(power, "power")
    normal = NormalDist()
    spread = (normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * math.sqrt(discordance)
    root = (spread + math.sqrt(spread**2 + 4 * margin * _EXCESS)) / (2 * margin)
    least = math.floor(math.log(alpha) / math.log1p(-margin)) + 1
    return max(least, math.ceil(root**2))


def margin_seen(images: int, discordance: float, *, alpha: float = 0.05, power: float = 0.95) -> float:
    """The smallest margin that so many images are enough for: :func:`images_needed` the other way round.

    Returns:
        A fraction of the images, 1 where there are too few for any.
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = 0 < middle < 1 and images_needed(middle, discordance, alpha=alpha, power=power) <= images
        low, high = (low, middle) if enough else (middle, high)
    return high


def _refuse_counts(lost: int, won: int, images: int) -> None:
    if lost < 0 or won < 0 or lost + won > images:
        raise ValueError(f"{lost} lost and {won} won of {images} images")


def _refuse_level(level: float, name: str) -> None:
    if not 0 < level < 1:
        raise ValueError(f"{name} {level}: want a probability between 0 and 1")


def _tail(least: int, trials: int, chance: float) -> float:
    """The probability of ``least`` or more of so many trials, summed in logarithms: nothing underflows."""
    if least <= 0:
        return 1.0
    if least > trials or chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    # Beyond nine deviations and some more no term changes the sum.
    mean = trials * chance
    stop = max(least, mean) + 9 * math.sqrt(mean * (1 - chance)) + 60
    logs = _logarithms(least, min(trials, math.ceil(stop)), trials, chance)
    largest = float(logs.max())
    return min(1.0, math.exp(largest + math.log(float(np.exp(logs - largest).sum()))))


def _logarithms(least: int, most: int, trials: int, chance: float) -> Array:
    """log P(X = k) of a binomial for k = least…most."""
    first = math.lgamma(trials + 1) - math.lgamma(least + 1) - math.lgamma(trials - least + 1)
    first += least * math.log(chance) + (trials - least) * math.log1p(-chance)
    steps = np.arange(least, most, dtype=np.float64)
    ratios = np.log((trials - steps) / (steps + 1)) + (math.log(chance) - math.log1p(-chance))
    return first + np.concatenate([[0.0], np.cumsum(ratios)])


@lru_cache(maxsize=4096)
def _lowest(count: int, trials: int, alpha: float) -> float:
    """Clopper and Pearson's lower limit of a rate: there so many or more have the probability alpha."""
    if count == 0:
        return 0.0
    low, high = 0.0, count / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(count, trials, middle) < alpha else (low, middle)
    return low


def _highest(count: int, trials: int, alpha: float) -> float:
    """Their upper limit, which is the lower one of the images that do not count."""
    return 1.0 - _lowest(trials - count, trials, alpha)
