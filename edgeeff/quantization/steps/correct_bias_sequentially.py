"""Take out of each bias what all rounding before it added to the mean (sequential_bias.py)."""

from __future__ import annotations

from dataclasses import replace

from pydantic import PositiveInt

from edgeeff.graph.execute import prepare
from edgeeff.quantization import detecting, sequential_bias
from edgeeff.quantization.draft import Draft


def apply(draft: Draft, *, images: PositiveInt = 8) -> Draft:
    """Correct the biases layer by layer, by a run of the quantised network beside the float one.

    Args:
        draft: With ranges and weights decided.
        images: How many are looked at; fewer where so many would take over a gigabyte at once.

    A detector is left as it is: at its size few images fit, and what this brings there was not measured.

    Raises:
        CalibrationError: There are no images.
        OptionError: Ranges or weights are not decided yet.
    """
    draft.need("correct_bias_sequentially", ranges=True, weights=True)
    if detecting.is_detector([str(value.name) for value in draft.model.graph.outputs]):
        return draft
    plan, count = draft.plan(), sequential_bias.affordable(prepare(draft.model), images)
    draft.progress.stage("correcting biases", len(plan.layers), "layers")
    layers = sequential_bias.correct(draft.model, plan, draft.spread_images(count), draft.progress.advance)
    return replace(draft, layers=layers, notes=(*draft.notes, "biases corrected in sequence"))
