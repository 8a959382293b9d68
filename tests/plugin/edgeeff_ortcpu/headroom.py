# tests/plugin/edgeeff_ortcpu/headroom.py
"""A step: leave room beyond the ranges that calibration chose, for photos that are unlike its images."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from edgeeff.quantization.draft import Draft


def apply(draft: Draft, *, factor: Annotated[float, Field(ge=1, le=2)] = 1.1) -> Draft:
    """Widen, about zero, every activation range that no clamp, no specification and no user sets.

    Args:
        draft: In which ranges are chosen, and weights are not rounded yet.
        factor: How much wider, 1…2.
    """
    draft.need("headroom", ranges=True)
    kept = {str(node.outputs[0].name) for node in draft.model.graph if node.op_type == "Clip"}
    kept |= {name for name, site in draft.placement.sites.items() if site.fixed} | {
        *draft.known,
        *draft.given,
    }
    wider = {n: a if n in kept else replace(a, scale=a.scale * factor) for n, a in draft.activations.items()}
    return replace(draft, activations=wider, notes=(*draft.notes, f"ranges {factor:g} times as wide"))
