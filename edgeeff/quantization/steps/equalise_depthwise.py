"""Even out the channels between depthwise and pointwise convolutions (rewrites/equalise_depthwise.py).

A channel j reaches r_j, and the pointwise weights that read it are w_j, as shares of their rows. It is
multiplied by w_j^(1 − b) / r_j^b. With b = ½ both, the tensor's channels and the weights' columns, lie as
near to their scales as they can together (Nagel et al. 2019, equation 11); a D0's outputs err least at b = ¾.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edgeeff.errors import OptionError
from edgeeff.quantization.draft import F64, Draft, layer_constants
from edgeeff.quantization.rewrites import equalise_depthwise
from edgeeff.quantization.rewrites.equalise_depthwise import Pair
from edgeeff.quantization.steps.equalise import reach


def apply(
    draft: Draft,
    *,
    balance: Annotated[float, Field(ge=0, le=1)] = 0.75,
    limit: Annotated[float, Field(ge=1, le=1e3)] = 32.0,
    tail: Annotated[float, Field(ge=0, lt=0.5)] = 1e-3,
) -> Draft:
    """Equalise all pairs whose tensor is quantised and its range not given.

    Args:
        draft: In which no range is decided.
        balance: Whose sake it is for: 1 that of the tensor alone, 0 that of the weights behind it.
        limit: How far a channel's factor may be from the middle one, either way.
        tail: Share of a channel's values that do not count for its reach.

    Raises:
        OptionError: Ranges are chosen already, of the graph as it was.
    """
    if draft.activations:
        raise OptionError(
            "step equalise_depthwise comes after the ranges", mend="put it before the step ranges"
        )
    factors: dict[str, F64] = {}
    for group in equalise_depthwise.pairs(draft.model):
        names = [pair.tensor for pair in group]
        known = all(name in draft.evidence.statistics and name not in draft.given for name in names)
        if known and any(name in draft.placement.sites for name in names):
            factors.update(dict.fromkeys(names, _factor(draft, group, balance, limit, tail)))
    if not factors:
        return draft
    gains = draft.evidence.gain
    model, statistics, _ = equalise_depthwise.rewrite(draft.model, draft.evidence.statistics, {}, factors)

    def carried() -> dict[str, F64]:
        return {
            name: gain / factors[name] ** 2 if name in factors else gain for name, gain in gains().items()
        }

    return replace(
        draft,
        model=model,
        evidence=replace(draft.evidence, statistics=statistics, gain=carried),
        notes=(*draft.notes, f"evened out {len(factors)} depthwise tensors"),
    )


def _factor(draft: Draft, group: Sequence[Pair], balance: float, limit: float, tail: float) -> F64:
    """c of each channel, of all levels together: each counts by its own range."""
    reaches = [reach(draft.evidence.statistics[pair.tensor], tail) for pair in group]
    reached = np.max([r / max(float(r.max()), 1e-30) for r in reaches], axis=0)
    weight = np.abs(layer_constants(group[0].pointwise)[0][:, :, 0, 0].astype(np.float64))
    rows = np.maximum(weight.max(axis=1, keepdims=True), 1e-30)
    column = np.sqrt(np.square(weight / rows).mean(axis=0))
    floor = 1e-6
    factor = np.maximum(column, floor) ** (1 - balance) / np.maximum(reached, floor) ** balance
    middle = float(np.median(factor))
    return np.asarray(np.clip(factor / middle, 1 / limit, limit), np.float64)
