"""What training made of a target's plan, to be put into a draft of the same graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edgeeff.quantization.draft import Draft


@dataclass(frozen=True)
class Learned:
    """The best state of a training.

    Args:
        key: What it was kept by.
        named: The layers that stayed float in it.
        arrays: The plan's numbers (:mod:`edgeeff.quantization.learning.found`).
        cost: What training took and brought, as plain data.
        note: The same for the plan, without what the machine decides.
    """

    key: str
    named: frozenset[str]
    arrays: Mapping[str, np.ndarray[Any, Any]]
    cost: Mapping[str, Any]
    note: str

    def put(self, draft: Draft, floating: frozenset[str]) -> Draft:
        """The draft that the recipe made, with these numbers; and some more layers in float."""
        from edgeeff.quantization import precision
        from edgeeff.quantization.learning import found

        activations, layers = found.of_arrays(draft.plan(), self.arrays)
        whole = replace(draft, activations=activations, layers=layers, notes=(*draft.notes, self.note))
        more = floating - self.named
        return precision.drafted(whole, more) if more else whole
