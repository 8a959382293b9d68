"""From a torch module to the float ONNX graph that everything later reads."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import onnx.shape_inference
import onnx_ir as ir
import torch

from edgeeff.errors import GraphError
from edgeeff.graph import passes, unit
from edgeeff.graph.side_by_side import one_thread

OPSET = 17
#: Side of the image that our own networks are traced with, pixels. Their padding is fixed when they are made,
#: so the trace is the same at any size, and the exporter keeps every tensor of it: 20 GB of an L2 at 800.
TRACED_SIDE = 64
IR_VERSION = 8
INPUT, OUTPUT = "input", "logits"


def onnx_from_torch(
    module: torch.nn.Module,
    size: tuple[int, int],
    outputs: Sequence[str] = (OUTPUT,),
    *,
    coarsest: int = 0,
    traced: tuple[int, int] | None = None,
) -> ir.Model:
    """Export a network with a static input ``input`` float32 [1, C, H, W] and outputs of these names.

    Args:
        module: Padding fixed for images of ``size``.
        size: Height and width of the input.
        outputs: Their names, in the order of the network's.
        coarsest: Of a detector, which resizes its maps to one another: the stride of the coarsest one. Where
            ``size`` is a multiple of it, each map is half of the one before, as in the trace.
        traced: Height and width of the image that it is traced with, where that is not for us to choose.

    Raises:
        GraphError: The exporter wrote another opset than was asked for.
    """
    # Without the weights, which the exporter would copy half a dozen times: they are put in afterwards.
    if traced is None:
        traced = (2 * coarsest, 2 * coarsest) if coarsest else (TRACED_SIDE, TRACED_SIDE)
    if coarsest and any(side % coarsest for side in size):
        traced = size
    proto = _export(
        *(module.eval(), traced, input_channels(module), outputs),
        export_params=False,
        open_size=coarsest > 0,
    )
    _resize(proto, size)
    proto.ir_version = IR_VERSION
    model: ir.Model = ir.from_proto(proto)
    weights = module.state_dict()
    for value in [value for value in model.graph.inputs if value.name != INPUT]:
        assert value.name is not None
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(weights[value.name].numpy(), name=value.name)
        model.graph.register_initializer(value)
    return model


def input_channels(module: torch.nn.Module) -> int:
    """The channels that a network takes: those that its first convolution's weights [O, C, k, k] read.

    3 where that is no number of channels that an image has.
    """
    first = next((tensor.shape[1] for tensor in module.parameters() if tensor.dim() == 4), 3)
    return first if first in (1, 3, 4) else 3


def _resize(proto: onnx.ModelProto, size: tuple[int, int]) -> None:
    """Give the graph's input another size, and every tensor the shape that follows."""
    image = next(value for value in proto.graph.input if value.name == INPUT)
    for dimension, side in zip(image.type.tensor_type.shape.dim[2:], size, strict=True):
        dimension.dim_value = side
    del proto.graph.value_info[:]
    proto.CopyFrom(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))


def foreign_to_onnx(module: torch.nn.Module, size: tuple[int, int], name: str) -> onnx.ModelProto:
    """Export a network that somebody else wrote, after a dry run; ``name`` is for messages.

    Raises:
        GraphError: It does not run on one image of ``size``, is no classifier, or does not export.
    """
    logits = dry_run(module, size, name)
    # One logit may have lost its axis; integers are what was chosen, and no logits.
    single = isinstance(logits, torch.Tensor) and logits.numel() == 1 and logits.dim() < 2
    if (
        not isinstance(logits, torch.Tensor)
        or not logits.is_floating_point()
        or not (single or (logits.dim() == 2 and len(logits) == 1))
    ):
        made = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise GraphError(
            f"{name} gives {made} for one image, not logits [1, classes]",
            mend="wrap the network so that it returns the logits alone",
        )
    return exported(module, size, name)


def dry_run(module: torch.nn.Module, size: tuple[int, int], name: str) -> Any:
    """What a network that somebody else wrote gives for a black image of ``size``; ``name`` is for messages.

    Raises:
        GraphError: It does not run.
    """
    channels = input_channels(module)
    try:
        with torch.no_grad():
            return module(torch.zeros(1, channels, *size))
    except Exception as error:  # whatever the user's code raises
        raise GraphError(
            f"{name} does not run on an image of {channels} channels, {size[0]}×{size[1]}: "
            f"{type(error).__name__}: {_first(error)}",
            mend="pass a network that reads [N, C, H, W], and its --size",
        ) from None


def exported(
    module: torch.nn.Module, size: tuple[int, int], name: str, outputs: Sequence[str] = (OUTPUT,)
) -> onnx.ModelProto:
    """The graph of a network that somebody else wrote; ``name`` is for messages.

    Raises:
        GraphError: It does not export.
    """
    try:
        return _export(module, size, input_channels(module), outputs)
    except GraphError:
        raise
    except Exception as error:  # the exporter's errors share no base class
        raise GraphError(
            f"{name} cannot be exported to ONNX: {type(error).__name__}: {_first(error)}",
            mend="pass a network of plain operators, with no branch that depends on values",
        ) from None


def _first(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).strip().splitlines()), "no reason given")


def _export(
    module: torch.nn.Module,
    size: tuple[int, int],
    channels: int,
    outputs: Sequence[str] = (OUTPUT,),
    *,
    export_params: bool = True,
    open_size: bool = False,
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    example = torch.zeros(1, channels, *size)
    with warnings.catch_warnings(), one_thread():
        # The TorchScript exporter is deprecated and ten times faster than its successor on these networks.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,  # type: ignore[arg-type]  # the TorchScript exporter writes to buffers
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamo=False,
            export_params=export_params,
            dynamic_axes={INPUT: {2: "height", 3: "width"}} if open_size else None,
            # The exporter would fold batch normalisation on its own; the pass does it in double precision.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    proto = onnx.ModelProto()
    proto.ParseFromString(buffer.getbuffer())
    del buffer
    written = {entry.domain: entry.version for entry in proto.opset_import}
    if written.get("") != OPSET:
        raise GraphError(
            f"the exporter wrote opset {written.get('')} where {OPSET} was asked for",
            mend="install the torch version that constraints.txt names",
        )
    return proto


def base_graph(
    module: torch.nn.Module,
    size: tuple[int, int],
    outputs: Sequence[str] = (OUTPUT,),
    divided: Sequence[str] = (),
    *,
    coarsest: int = 0,
    traced: tuple[int, int] | None = None,
) -> ir.Model:
    """The float graph after all exact passes: what statistics are keyed on and every target starts from.

    The outputs ``divided`` are brought to the length 1; ``coarsest`` and ``traced`` are
    those of :func:`onnx_from_torch`.
    """
    model = onnx_from_torch(module, size, outputs, coarsest=coarsest, traced=traced)
    unit.add(model.graph, divided)
    passes.run(model)
    return model
