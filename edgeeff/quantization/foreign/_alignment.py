"""Which tensor of one graph is which of another, both in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def align(
    ours: Sequence[str], theirs: Sequence[str], distance: Callable[[str, str], float], limit: float
) -> list[tuple[str, str]]:
    """Pair tensors without crossing, each once, so that as many as possible are as near as possible.

    Neighbours along a chain of residual sums resemble each other; their order tells them apart. This is the
    alignment of two sequences (Needleman and Wunsch 1970) without a penalty for gaps.

    Args:
        ours: Their names, in the order in which they are computed.
        theirs: Likewise.
        distance: Between two of them, 0 (equal) … 1.
        limit: From which distance on two are never a pair.
    """
    gain = np.zeros((len(ours), len(theirs)))
    for i, our in enumerate(ours):
        gain[i] = [max(0.0, 1 - distance(our, their) / limit) for their in theirs]
    best = np.zeros((len(ours) + 1, len(theirs) + 1))
    for i in range(len(ours)):
        paired = np.where(gain[i] > 0, best[i, :-1] + gain[i], 0)
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], paired))
    pairs = []
    i, j = len(ours), len(theirs)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((ours[i], theirs[j]))
    return pairs[::-1]
