"""From a torch module to the float ONNX graph that everything later reads."""

from __future__ import annotations

import io
import warnings

import onnx
import onnx_ir as ir
import torch

from edgeeff.errors import GraphError
from edgeeff.graph import passes

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "input", "logits"


def onnx_from_torch(module: torch.nn.Module, size: tuple[int, int]) -> ir.Model:
    """Export a network with a static input ``input`` float32 [1, 3, H, W] and one output ``logits``.

    Raises:
        GraphError: The exporter wrote another opset than was asked for.
    """
    buffer = io.BytesIO()
    example = torch.zeros(1, 3, *size)
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated and ten times faster than its successor on these networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # the TorchScript exporter writes to buffers
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=False,
            # The exporter would fold batch normalisation on its own; the pass does it in double precision.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    proto = onnx.load_model_from_string(buffer.getvalue())
    written = {entry.domain: entry.version for entry in proto.opset_import}
    if written.get("") != OPSET:
        raise GraphError(
            f"the exporter wrote opset {written.get('')} where {OPSET} was asked for",
            mend="install the torch version that constraints.txt names",
        )
    proto.ir_version = IR_VERSION
    model: ir.Model = ir.from_proto(proto)
    return model


def base_graph(module: torch.nn.Module, size: tuple[int, int]) -> ir.Model:
    """The float graph after all exact passes: what statistics are keyed on and every target starts from."""
    model = onnx_from_torch(module, size)
    passes.run(model)
    return model
