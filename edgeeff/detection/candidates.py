"""The largest logits of one image, found in one pass that holds little more than they need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: Logits that are looked at together: with their mask they stay in a processor's second cache.
_TOGETHER = 1 << 16


def largest(logits: Array, floor: float, count: int) -> tuple[Array, int]:
    """The places of the largest logits that are at the floor or over it.

    Where more than ``count`` are, the floor rises while the logits are read, so that the worst case takes
    no more memory than the usual one.

    Args:
        logits: Of one image, [A, C] or flat.
        floor: −∞ leaves out nothing but −∞.
        count: How many are wanted at most.

    Returns:
        Their places in the flat array, int64 [K], the largest first, of equal ones the first; and how many
        logits are NaN, which are none of them.
    """
    flat = np.ascontiguousarray(logits, np.float32).reshape(-1)
    under = np.nextafter(np.float32(floor), np.float32(-np.inf))
    mask = np.empty(min(_TOGETHER, len(flat)), np.bool_)
    parts: list[Array] = []
    held, invalid = 0, 0
    for start in range(0, len(flat), _TOGETHER):
        part = flat[start : start + _TOGETHER]
        low = mask[: len(part)]
        np.less_equal(part, under, out=low)  # a NaN is not less: it is found with the large ones
        np.logical_not(low, out=low)
        places = np.flatnonzero(low)
        if not len(places):
            continue
        wrong = np.isnan(part[places])
        if wrong.any():
            invalid += int(wrong.sum())
            places = places[~wrong]
        parts.append(places + start)
        held += len(places)
        if held > 4 * count:
            kept = _best(flat, np.concatenate(parts), count)
            parts, held = [kept], len(kept)
            # Of equal logits the first is taken: a later one has to be larger than the last that is held.
            under = flat[kept].min()
    places = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    places = _best(flat, places, count)
    return places[np.argsort(-flat[places], kind="stable")], invalid


def _best(flat: Array, places: Array, count: int) -> Array:
    """The places of the largest ``count`` of these, in rising order; of equal ones the first."""
    if len(places) <= count:
        return places
    values = flat[places]
    last = np.partition(values, len(values) - count)[len(values) - count]
    over = places[values > last]
    equal = places[values == last][: count - len(over)]
    return np.sort(np.concatenate([over, equal]))
