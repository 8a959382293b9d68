"""The cheapest layers in the runtime's float type that meet a budget.

Layers stand in the order of what each gains for its cost (precision.py). The search doubles how many of them
stay float until the budget is met, halves back to the fewest that do, and takes out again what turned out not
to be needed: some ten looks at the images, by simulation, and one or two by the real hub graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from edgeeff.errors import OptionError, VerificationError
from edgeeff.quantization.budget import Budget, Choice, Cost, Judged, asked, curve_line, meets
from edgeeff.quantization.precision import Candidate

#: Layers that are tried without, at the end.
_PRUNED = 6


@dataclass
class Search:
    """The search for the cheapest set.

    Args:
        ranked: Gives the layers that could stay float, the best first; asked where the budget is not met
            without any, as it costs a look at each.
        budget: To be met.
        look: Judges a set of float layers on the images of the search, by simulation.
        confirm: The same by the hub graph itself.
        cost: Latency that a set adds.
    """

    ranked: Callable[[], Sequence[Candidate]]
    budget: Budget
    look: Callable[[tuple[str, ...]], Judged]
    confirm: Callable[[tuple[str, ...]], Judged]
    cost: Callable[[tuple[str, ...]], Cost]
    _seen: dict[int, Judged] = field(default_factory=dict)

    def run(self) -> Choice:
        """Find it.

        Raises:
            OptionError: The images are too few to say whether the budget is met.
            VerificationError: It cannot be met; the message holds the curve.
        """
        plain = self._at(0)
        self._refuse_few(plain)
        if self.budget.min_sqnr is None and self.budget.max_drop is None:
            return self._dearest_within()
        for layers in self._attempts(0 if self.meets(plain) else self._fewest()):
            found = self.confirm(layers)
            if self.meets(found):
                break
        else:
            raise self._unreachable()
        cost = self.cost(layers) if layers and self.budget.max_cost is not None else None
        if cost is not None and self.budget.max_cost is not None and cost.value > self.budget.max_cost:
            raise VerificationError(
                f"{asked(self.budget)} needs {len(layers)} float layers ({', '.join(layers)}), whose latency "
                f"is {cost.line}, more than {self.budget.max_cost:+.1%}; {curve_line(self.curve)}",
                mend="raise --max-latency-cost or ask for less; nothing was written",
            )
        return Choice(layers, plain, found, self.curve, cost)

    @cached_property
    def order(self) -> Sequence[Candidate]:
        """The layers that could stay float, the best first."""
        return self.ranked()

    @property
    def curve(self) -> tuple[tuple[int, Judged], ...]:
        """What was seen, by the number of float layers."""
        return tuple(sorted(self._seen.items()))

    def meets(self, judged: Judged) -> bool:
        """Whether fidelity is what the budget asks for."""
        return meets(self.budget, judged, confident=True)

    def _at(self, count: int) -> Judged:
        if count not in self._seen:
            self._seen[count] = self.look(self._names(count))
        return self._seen[count]

    def _names(self, count: int) -> tuple[str, ...]:
        return tuple(candidate.layer for candidate in self.order[:count]) if count else ()

    def _fewest(self) -> int:
        """How many of the ordered layers it takes, by simulation."""
        low, high = 0, 1
        while not self.meets(self._at(high)):
            if high == len(self.order):
                raise self._unreachable()
            low, high = high, min(2 * high, len(self.order))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.meets(self._at(middle)) else (middle, high)
        return high

    def _attempts(self, count: int) -> Iterator[tuple[str, ...]]:
        """What to confirm, cheapest first: the hub graph may be a little worse than its simulation."""
        pruned = self._pruned(count)
        yield pruned
        if len(pruned) < count:
            yield self._names(count)
        step = 1
        while count < len(self.order):
            count, step = min(count + step, len(self.order)), 2 * step
            yield self._names(count)

    def _pruned(self, count: int) -> tuple[str, ...]:
        """So many layers without the dearest ones that turn out not to be needed."""
        taken = list(self.order[:count]) if count else []
        if self.budget.max_drop is None:  # top-1 is too coarse to tell one layer's worth
            for candidate in sorted(taken[:-1], key=lambda c: -c.cost)[:_PRUNED]:
                rest = [c for c in taken if c is not candidate]
                if self.meets(self.look(tuple(c.layer for c in rest))):
                    taken = rest
        return tuple(c.layer for c in taken)

    def _dearest_within(self) -> Choice:
        """As many layers as the ceiling on latency allows."""
        ceiling = self.budget.max_cost
        assert ceiling is not None
        low, high, cost = 0, len(self.order) + 1, None
        shares = np.cumsum([candidate.cost for candidate in self.order])
        guess = max(1, int(np.searchsorted(shares, ceiling, "right")))
        while high - low > 1:
            middle = min(guess, len(self.order)) if high > len(self.order) else (low + high) // 2
            found = self.cost(self._names(middle))
            if found.value <= ceiling:
                low, cost, guess = middle, found, 2 * guess
            else:
                high = middle
        layers = self._names(low)
        self._at(low)
        return Choice(layers, self._at(0), self.confirm(layers), self.curve, cost)

    def _refuse_few(self, plain: Judged) -> None:
        if self.budget.min_sqnr is not None and math.isinf(plain.sqnr_error):
            raise OptionError(
                "--min-sqnr is judged by a single photo: the other half verifies",
                mend="pass more with --validation",
            )
        allowed = self.budget.max_drop
        if allowed is None:
            return
        if plain.drop is None or plain.drop_error is None:
            raise OptionError(
                "--max-drop needs labelled images to judge by",
                mend="pass labelled ones with --validation: a folder for each class, a list file, or an .npz;"
                " for a detector COCO's .json, a VOC folder or a YOLO .yaml; for masks a .yaml too",
            )
        if plain.drop_error > allowed:
            needed = math.ceil(plain.images * (plain.drop_error / allowed) ** 2)
            raise OptionError(
                f"--max-drop {allowed:g} cannot be judged: on {plain.images} images the points lost are "
                f"known to ± {plain.drop_error:.2f}",
                mend=f"pass some {2 * needed} labelled images with --validation: half search, half verify",
            )

    def _unreachable(self) -> VerificationError:
        return VerificationError(
            f"{asked(self.budget)} cannot be met; {curve_line(self.curve)}",
            mend="ask for less, or choose a higher --effort; nothing was written",
        )
