"""Scale and zero point of every activation (estimators/)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from edgeeff.errors import CalibrationError, OptionError
from edgeeff.quantization import estimators, ranges
from edgeeff.quantization.draft import Draft


def asks_gain(*, method: str = "weighted", tail: float = 0.0) -> bool:
    """Whether the method weighs errors by what the logits make of them."""
    del tail
    return method == "weighted"


def apply(
    draft: Draft, *, method: str = "weighted", tail: Annotated[float, Field(ge=0, lt=0.5)] = 1e-4
) -> Draft:
    """Choose all ranges.

    Args:
        draft: What is quantised.
        method: An estimator.
        tail: Share of the values that ``percentile`` leaves outside at each end.

    Raises:
        CalibrationError: The statistics are of another graph.
        OptionError: There is no such estimator.
    """
    if method not in estimators.names():
        raise OptionError(
            f"no way named {method!r} to choose ranges", mend=f"choose one of {', '.join(estimators.names())}"
        )
    statistics, sites = draft.evidence.statistics, draft.placement.sites
    absent = [
        s for s, site in sites.items() if s not in statistics and s not in draft.known and not site.fixed
    ]
    if absent:
        raise CalibrationError(
            f"the statistics know nothing of {', '.join(absent[:3])}",
            mend="clear the cache (edgeeff cache clear) and build again",
        )
    chosen = ranges.choose(
        sites,
        statistics,
        draft.scheme,
        method,
        draft.known,
        tail,
        given=draft.given,
        gain=draft.evidence.gain() if method == "weighted" else None,
        followed_by_swish=ranges.before_swish(draft.model),
        by_pixel=draft.evidence.meaning.by_pixel,
    )
    return replace(draft, activations=chosen, notes=(*draft.notes, f"ranges: {method}"))
