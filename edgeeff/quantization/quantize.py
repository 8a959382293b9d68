"""The two ends of quantisation: a draft in which nothing is decided, and the Q/DQ graph of a finished one.

Between them a recipe (recipe.py) takes its steps.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgeeff.cache import Cache
from edgeeff.calibration.statistics import Statistics
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, Silent
from edgeeff.quantization import qdq, rounding
from edgeeff.quantization.draft import Draft, Evidence
from edgeeff.quantization.rewrites import shift, swish_polynomial, swish_steps
from edgeeff.target import Scheme


def begin(
    model: ir.Model,
    evidence: Evidence | Statistics,
    preprocess: Preprocess,
    scheme: Scheme,
    *,
    seven_bit_weights: bool = False,
    given: dict[str, tuple[float, float]] | None = None,
    floating: frozenset[str] = frozenset(),
    progress: Progress | None = None,
    cache: Cache | None = None,
) -> Draft:
    """A draft in which nothing is decided yet, of the graph as the scheme wants it.

    Args:
        model: The base graph; left as it is.
        evidence: About its tensors; statistics alone are enough for some recipes.
        preprocess: What fixes the input's range.
        scheme: What the runtime wants.
        seven_bit_weights: For CPUs whose int8 dot products saturate in 16 bits.
        given: Ranges that the user brought, by tensor.
        floating: Layers that stay float.
        progress: Told of long work.
        cache: Where long work keeps how far it came.
    """
    return Draft(
        model=swish_steps.rewrite(model) if scheme.swish == "steps" else model,
        evidence=evidence if isinstance(evidence, Evidence) else Evidence(evidence),
        preprocess=preprocess,
        scheme=scheme,
        largest=rounding.SEVEN_BITS if seven_bit_weights else rounding.FULL_RANGE,
        given=given or {},
        floating=floating,
        progress=progress or Silent(),
        cache=cache,
    )


def write(draft: Draft) -> onnx.ModelProto:
    """The hub graph of a finished draft.

    Swish becomes arithmetic and zero points go into biases only here, where the scheme wants it: the steps
    before look at Swish itself, and at zero points as they are.
    """
    model, plan = draft.model, draft.plan()
    if draft.scheme.swish_form == "polynomial":
        model = swish_polynomial.rewrite(model, swish_polynomial.fit(model, draft.evidence.statistics))
    if draft.scheme.zero_point == "in the bias":
        model, plan = shift.rewrite(model, plan)
    return qdq.insert(model, plan, draft.scheme.opset)
