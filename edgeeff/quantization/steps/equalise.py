"""Scale channels so that those which matter use more of a tensor's codes (rewrites/equalise.py).

A channel j whose values reach r_j could be scaled by R/r_j until it fills the tensor's range R, and its noise
would fall by as much. All the way is too far: a channel that was quiet in calibration and is not in an unseen
image would be clipped (B0 loses 7 dB). So c_j = min((R/r_j)^strength, need·√(G_j/median G), limit): part of
the way, and only for channels whose noise the logits feel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edgeeff.calibration.statistics import TensorStatistics
from edgeeff.errors import OptionError
from edgeeff.quantization.draft import F64, Draft
from edgeeff.quantization.rewrites import equalise


def asks_gain(**arguments: float) -> bool:
    """Always."""
    del arguments
    return True


def apply(
    draft: Draft,
    *,
    strength: Annotated[float, Field(ge=0, le=1)] = 0.75,
    need: Annotated[float, Field(gt=0)] = 2.0,
    limit: Annotated[float, Field(ge=1, le=1e3)] = 16.0,
    tail: Annotated[float, Field(ge=0, lt=0.5)] = 1e-3,
) -> Draft:
    """Equalise every tensor that can be, and whose range is not given.

    Args:
        draft: Whose scheme keeps Swish whole; another one's tensor is already int8 when it could be scaled.
        strength: Part of the way to a full range, 0…1, as an exponent.
        need: How much a channel of median gain may be scaled.
        limit: The largest factor.
        tail: Share of a channel's values that do not count for its reach.

    Raises:
        OptionError: Ranges are chosen already, of the graph as it was.
    """
    if draft.activations:
        raise OptionError("step equalise comes after the ranges", mend="put it before the step ranges")
    gains = draft.evidence.gain()
    factors = {}
    for candidate in equalise.candidates(draft.model, of_swish=draft.scheme.swish_factors):
        tensor = candidate.tensor
        gain = gains.get(tensor)
        # What stays float, as in most schemes the vectors of squeeze-excite do, has no scale to fill.
        if tensor not in draft.placement.sites or tensor in draft.given or gain is None:
            continue
        if tensor not in draft.evidence.statistics:
            continue
        reached = reach(draft.evidence.statistics[tensor], tail)
        full = (reached.max() / np.maximum(reached, 1e-9 * reached.max() + 1e-30)) ** strength
        needed = need * np.sqrt(gain / max(float(np.median(gain)), 1e-30))
        factors[tensor] = np.clip(np.minimum(full, needed), 1, limit).astype(np.float32)
    model, statistics, carried = equalise.rewrite(draft.model, draft.evidence.statistics, gains, factors)
    return replace(
        draft,
        model=model,
        evidence=replace(draft.evidence, statistics=statistics, gain=lambda: carried),
        notes=(*draft.notes, f"equalised {len(factors)} tensors"),
    )


def reach(tensor: TensorStatistics, tail: float) -> F64:
    """How far from zero each channel's values go but for a small share of them, [C]."""
    total = np.maximum(tensor.histogram.sum(axis=1, keepdims=True), 1)
    share = np.cumsum(tensor.histogram, axis=1) / total
    bins = tensor.histogram.shape[1]
    width = 2 * tensor.edge / bins
    high = (np.argmax(share >= 1 - tail, axis=1) + 1) * width - tensor.edge
    low = np.argmax(share > tail, axis=1) * width - tensor.edge
    seen = np.maximum(np.abs(tensor.minimum), np.abs(tensor.maximum)).astype(np.float64)
    return np.asarray(np.minimum(np.maximum(np.abs(high), np.abs(low)), seen), np.float64)
