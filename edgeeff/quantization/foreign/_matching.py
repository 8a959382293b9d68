"""From the names that a file uses to those of our graph, whose passes have renamed every tensor.

torch is loaded by what runs graphs alone: a file can be read, and refused, without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgeeff.errors import CalibrationError
from edgeeff.quantization.foreign._alignment import align
from edgeeff.quantization.foreign._ranges import ForeignRanges, Range
from edgeeff.quantization.placement import is_nonnegative
from edgeeff.tasks import LOGITS

#: Two float graphs of one network differ by what rounding adds up to, far below it…
_EXACT = 1e-3
#: …in float16 by more; …
_HALF = 5e-2
#: …and a Q/DQ graph's weights are rounded and its biases corrected for that.
_ROUNDED = 0.5
#: The share of tensors that a plan must speak of.
_LEAST = 0.5
#: x·σ(x) at its minimum, x = −1.278.
_SWISH_LOW = -0.2784645427610738
_SHOWN = 3


@dataclass(frozen=True)
class Matched:
    """The ranges of a file by the names of our tensors.

    Args:
        origin: Which file, for messages.
        ranges: The smallest and largest value of each tensor, zero among them. The low end of a tensor that
            cannot reach the file's own, being Swish or not negative, is its own.
        symmetric: The tensors of which the file gives the largest absolute value alone.
        missing: The tensors that were asked for and have no range, in the order of the graph.
        unused: The file's tensors that are none of those asked for, in the file's order.
    """

    origin: str
    ranges: Mapping[str, tuple[float, float]]
    symmetric: frozenset[str]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def warning(self) -> str | None:
        """What the user must know: how many tensors keep their own ranges, and the first of them."""
        if not self.missing:
            return None
        return (
            f"{self.origin} has no range for {len(self.missing)} of {len(self.missing) + len(self.ranges)} "
            f"tensors, which keep our own: {_some(self.missing)}"
        )


def match(
    ranges: ForeignRanges,
    base: ir.Model,
    reference: onnx.ModelProto | None,
    probe: npt.NDArray[np.float32],
    *,
    sites: Collection[str] | None = None,
    taps: Sequence[str] = (),
) -> Matched:
    """Find our tensors in a file: by name, else by what they hold when both graphs run on the same images.

    Args:
        ranges: Of the file.
        base: Our float graph, from which the network is built.
        reference: The ONNX file that the other tool worked on, weights in it; a Q/DQ graph needs none.
        probe: An image or two as the base graph reads them, float32 [N, 3, H, W]; photos, since most of a
            network is dead on noise.
        sites: The tensors that want a range (:func:`edgeeff.quantization.placement.place`, but for those that
            are fixed); None: all that some scheme may quantise.
        taps: Tensors of the reference that are put out as features, none named: all its outputs. Only where
            the base graph puts out features; of a Q/DQ graph all outputs are taken then.

    Raises:
        CalibrationError: Less than half of the tensors are found, or a graph is for another image size.
        GraphError: The reference or the Q/DQ graph is no EfficientNet, damaged, or cannot be run.
    """
    if sites is None:
        from edgeeff.calibration.collect import observed_tensors

        sites = observed_tensors(base)
    wanted = [name for name in _tensors(base) if name in sites]
    pairs = {name: name for name in wanted if name in ranges.tensors}
    decides = [value.name for value in base.graph.outputs] == [LOGITS]
    if reference is not None and len(pairs) < len(wanted):
        limit = _HALF if _is_half(reference) else _EXACT
        tapped = None if decides else taps
        pairs = _by_value(ranges, base, reference, "the network's ONNX file", probe, limit, pairs, tapped)
    if ranges.graph is not None and (reference is None or len(pairs) < len(wanted)):
        tapped = None if decides else ()
        pairs = _by_value(ranges, base, ranges.graph, ranges.origin, probe, _ROUNDED, pairs, tapped)
    found = {name: ranges.tensors[pairs[name]] for name in wanted if name in pairs}
    if len(found) < _LEAST * len(wanted) or not found:
        raise _too_few(ranges, reference, len(found), len(wanted), len(pairs))
    values = _values_of(base)
    used = {pairs[name] for name in found}
    return Matched(
        origin=ranges.origin,
        ranges={name: _possible(range, values[name]) for name, range in found.items()},
        symmetric=frozenset(name for name, range in found.items() if range.symmetric),
        missing=tuple(name for name in wanted if name not in found),
        unused=tuple(name for name in ranges.tensors if name not in used),
    )


def _by_value(
    ranges: ForeignRanges,
    base: ir.Model,
    graph: onnx.ModelProto,
    origin: str,
    probe: npt.NDArray[np.float32],
    limit: float,
    known: Mapping[str, str],
    taps: Sequence[str] | None,
) -> dict[str, str]:
    """Our tensors' names in the file: those known, unless they hold something else, and those told by value.

    All of our tensors are looked for, so that a range of one that is never quantised (a convolution's output
    before its clamp) is not taken for its neighbour's.
    """
    from edgeeff.quantization.foreign import _values

    theirs = _values.of_file(graph, origin, ranges.tensors, probe, taps)
    ours = _values.of_base(base, set(_tensors(base)), probe)

    def distance(our: str, their: str) -> float:
        return min(_values.distance(ours[our], sketch) for sketch in theirs[their])

    kept = {our: their for our, their in known.items() if their not in theirs or distance(our, their) < limit}
    pairs = align(
        [name for name in ours if name not in kept],
        [name for name in theirs if name not in kept.values()],
        distance,
        limit,
    )
    return {**kept, **dict(pairs)}


def _tensors(base: ir.Model) -> list[str]:
    """Our tensors in the order in which they are computed; Flatten's is another view of its input's."""
    made = [node.outputs[0] for node in base.graph if node.op_type != "Flatten"]
    return [str(value.name) for value in [base.graph.inputs[0], *made]]


def _values_of(base: ir.Model) -> dict[str, ir.Value]:
    return {str(value.name): value for value in [base.graph.inputs[0], *(n.outputs[0] for n in base.graph)]}


def _possible(range: Range, value: ir.Value) -> tuple[float, float]:
    """A range without what the tensor cannot reach below zero, where the file did not look there."""
    if not range.symmetric:
        return range.low, range.high
    producer = value.producer()
    if is_nonnegative(value):
        return 0.0, range.high
    if producer is not None and producer.op_type == "Swish":
        return max(range.low, _SWISH_LOW), range.high
    return range.low, range.high


def _is_half(graph: onnx.ModelProto | None) -> bool:
    """Whether a graph computes in half precision: most of its weights are."""
    kinds = [tensor.data_type for tensor in graph.graph.initializer] if graph is not None else []
    half = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    return 2 * sum(kind in half for kind in kinds) > len(kinds)


def _too_few(
    ranges: ForeignRanges, reference: onnx.ModelProto | None, found: int, wanted: int, known: int
) -> CalibrationError:
    what = f"{ranges.origin} has ranges for {found} of the {wanted} tensors that are quantised here"
    if 2 * known > len(ranges.tensors):
        return CalibrationError(
            f"{what}, though {known} of its {len(ranges.tensors)} are this network's",
            mend="quantise every tensor in the other tool, or build for a target that leaves more in float",
        )
    if ranges.graph is None and reference is None:
        return CalibrationError(
            f"{what}; its own names are {_some(tuple(ranges.tensors))}",
            mend="build from the ONNX file that the plan was made for: --checkpoint model.onnx",
        )
    return CalibrationError(
        what, mend="pass the plan of this very network: the same weights, input size and preprocessing"
    )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
