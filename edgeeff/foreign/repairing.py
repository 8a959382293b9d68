"""What another tool wrote otherwise, rewritten, and held against the file in onnxruntime."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgeeff import backends
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt import repair
from edgeeff.errors import GraphError, VerificationError
from edgeeff.graph.importing import tensors
from edgeeff.harness import verify
from edgeeff.metrics import json_number, sqnr
from edgeeff.pipeline.context import Context
from edgeeff.preprocess import Preprocess
from edgeeff.target import Target

#: Values of the largest tensor that anything is allocated for.
_MOST_VALUES = 1 << 29


def repaired(graph: onnx.ModelProto, path: Path, target: Target) -> tuple[onnx.ModelProto, list[str]]:
    """The graph as the target takes it, and what was done to it."""
    try:
        repaired, done = repair.repair(graph)
        left = repair.remaining(repaired) if backends.runtime(target.runtime).tensorrt_rules else []
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None
    if left:
        more = "".join(f"; {other.what}" for other in left[1:])
        raise GraphError(f"{path}: {left[0].what}{more}", mend=left[0].mend)
    return repaired, done


def compared(
    before: onnx.ModelProto, after: onnx.ModelProto, preprocess: Preprocess, context: Context
) -> dict[str, Any]:
    """How far onnxruntime's outputs of both are apart, on one image of coloured patches.

    A graph that was typed FP16 may be any distance away: FP16 is a little noise, and networks differ in what
    they make of that.

    Raises:
        VerificationError: They are further apart than two runtimes may be on one graph.
    """
    height, width = preprocess.size
    patches = np.random.default_rng(0).integers(0, 256, (1, 8, 8, preprocess.channels), np.uint8)
    image = patches[:, np.arange(height)[:, None] * 8 // height, np.arange(width) * 8 // width]
    sizes = [
        prod(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in after.graph.value_info
    ]
    if max(sizes, default=0) > _MOST_VALUES:
        return _not_compared("a tensor is too large to try", context)
    expected, found = (_outputs(graph, preprocess, image) for graph in (before, after))
    if not expected or not found or [x.shape for x in expected] != [x.shape for x in found]:
        return _not_compared("onnxruntime does not run the file as it is", context)
    pairs = [*zip(expected, found, strict=True)]
    same = all(np.array_equal(*pair, equal_nan=True) for pair in pairs)
    distance = np.inf if same else min(sqnr(*pair) for pair in pairs)
    if not distance >= verify.GOLDEN_FLOOR_DB:
        if not _is_half(before):
            raise VerificationError(
                f"the repaired graph is {distance:.1f} dB from the file in onnxruntime",
                mend="report what made the file, and with which options: a repair is wrong",
            )
        context.warn(
            f"the repaired graph is {distance:.1f} dB from the file, which is typed FP16: check its accuracy "
            "on labelled images with edgeeff eval"
        )
    summary = "the same to the bit" if same else f"{distance:.1f} dB apart"
    return {"sqnr_db": json_number(distance), "summary": f"onnxruntime's outputs before and after: {summary}"}


def _not_compared(why: str, context: Context) -> dict[str, Any]:
    context.warn(f"{why}: the repaired graph was NOT COMPARED with the file")
    return {"sqnr_db": None, "summary": f"{why}: NOT COMPARED in onnxruntime"}


def _is_half(graph: onnx.ModelProto) -> bool:
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors.every_tensor(graph))


def _outputs(
    graph: onnx.ModelProto, preprocess: Preprocess, images: npt.NDArray[np.uint8]
) -> list[npt.NDArray[np.float32]]:
    """Each output of the first image, float32 [1, …]; none where onnxruntime refuses the graph."""
    try:
        session = session_of(graph.SerializeToString(), preprocess, literal=True).session
        (entry, *_) = session.get_inputs()
        fed = preprocess.normalise(images).astype(np.float16 if "float16" in entry.type else np.float32)
        if isinstance(entry.shape[0], int):  # a run of several images: one of them is enough here
            fed = np.repeat(fed, entry.shape[0], axis=0)
        return [np.asarray(x, np.float32)[:1] for x in session.run(None, {entry.name: fed})]
    except Exception:  # onnxruntime's errors share no base class
        return []
