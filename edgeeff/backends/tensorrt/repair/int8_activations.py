"""uint8 activations around 128 → int8 around 0: the codes are 128 less, and what they stand for is the same.

    round(x/s) + 128 in 0…255      ⇔      round(x/s) in −128…127

Any other zero point has no such twin: int8 around 0 reaches as far down as up, with the same steps it would
not reach as far, and with larger ones it is another quantisation. Those are left, and told.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from edgeeff.backends.tensorrt.repair._draft import CARRIERS, DEQUANTIZE, QUANTIZE, Draft, Left, named, plural

AFTER = frozenset({"explicit_zero_point", "float32_types", "float_weights"})

_MIDDLE = 128

_Readers = Mapping[str, list[tuple[onnx.NodeProto, int]]]


def rewrite(draft: Draft) -> str | None:
    """Each QuantizeLinear together with all that reads its codes."""
    readers = draft.readers()
    moved = 0
    for node in draft.nodes(QUANTIZE):
        group = _group(draft, node, readers)
        if group is None or not all(_around_the_middle(draft, n) for n in group):
            continue
        for member in group:
            zero = draft.array(member.input[2])
            assert zero is not None
            member.input[2] = draft.add(f"{member.input[2]}.int8", np.zeros(zero.shape, np.int8))
        moved += 1
    if not moved:
        return None
    return f"{plural(moved, 'activation')} of uint8 around 128 became int8 around 0: each code 128 less"


def left(draft: Draft) -> Left | None:
    """Activations that are not int8 around 0."""
    every = [n for n in draft.nodes(QUANTIZE) if n.input[0] not in draft.constants]
    found = [said for said in (_wrong(draft, node) for node in every) if said]
    if not found:
        return None
    return Left(
        f"{len(found)} of {len(every)} activations are not int8 around 0 with one scale, which is "
        f"all that TensorRT takes, and have no exact twin that is (first: {found[0]})",
        "quantise again with symmetric int8 activations (onnxruntime: activation_type=QuantType.QInt8, "
        "extra_options={'ActivationSymmetric': True}), or let edgeeff build --plan take this file's ranges",
    )


def _wrong(draft: Draft, node: onnx.NodeProto) -> str:
    """What TensorRT does not take of a Q node; "" if nothing."""
    parameters = draft.parameters(node)
    if parameters is None:
        return ""
    zero = parameters.zero
    if zero.dtype == np.int8 and not zero.any():
        return f"{named(node)!r}, {parameters.scale.size} scales" if parameters.scale.size > 1 else ""
    return f"{named(node)!r}, {zero.dtype} with zero point {zero.flat[0]}"


def _group(draft: Draft, quantize: onnx.NodeProto, readers: _Readers) -> list[onnx.NodeProto] | None:
    """The Q node and the DQ nodes of its codes; None if something else reads or returns them."""
    group, codes = [quantize], [quantize.output[0]]
    for name in codes:  # grows while it is walked
        if name in draft.outputs or len(codes) > len(draft.graph.node):
            return None
        for node, index in readers.get(name, []):
            if index != 0 or node.domain not in ("", "ai.onnx") or len(node.output) != 1:
                return None
            if node.op_type == DEQUANTIZE:
                group.append(node)
            elif node.op_type in CARRIERS:
                codes.append(node.output[0])
            else:
                return None
    return group


def _around_the_middle(draft: Draft, node: onnx.NodeProto) -> bool:
    parameters = draft.parameters(node)
    return (
        parameters is not None
        and parameters.zero.dtype == np.uint8
        and bool((parameters.zero == _MIDDLE).all())
    )
