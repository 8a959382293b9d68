"""What is known of a segmenter that came as an ONNX file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff.errors import GraphError
from edgeeff.tasks import MASK_LOGITS
from edgeeff.zoo.sources import Identity

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgeeff.graph.importing import Imported

#: What may stand behind the logits, and changes no class: it is cut off.
_ENDINGS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "ArgMax": "",
    "Cast": "",
    "Squeeze": "",
    "Identity": "",
}


def taps(path: Path) -> tuple[tuple[str, ...], str]:
    """The tensor of a file that holds the logits, and what stood behind it.

    Raises:
        GraphError: The file is damaged, or has several outputs.
    """
    from edgeeff.graph.importing import source

    graph = source.load(path).graph
    if len(graph.output) != 1:
        raise GraphError(
            f"{path} has {len(graph.output)} outputs: {', '.join(value.name for value in graph.output[:6])}",
            mend="export the masks' logits alone, [N, classes, H, W]",
        )
    makers = {name: node for node in graph.node for name in node.output}
    name, ends_in = str(graph.output[0].name), ""
    while (node := makers.get(name)) is not None and node.op_type in _ENDINGS:
        name, ends_in = str(node.input[0]), _ENDINGS[node.op_type] or ends_in
    return (name,), ends_in


def described(found: Identity, imported: Imported, ends_in: str) -> Identity:
    """The identity of an imported graph whose only output are logits of pixels.

    Raises:
        GraphError: They are none, or of another size than the image.
    """
    (value,) = imported.model.graph.outputs
    shape = tuple(value.shape.numpy()) if value.shape is not None and value.shape.is_static() else ()
    if len(shape) != 4 or shape[2:] != imported.size:
        raise GraphError(
            f"{found.source} gives {list(shape)} for an image of {list(imported.size)} pixels, and masks are "
            "[N, classes, H, W] of the image's size",
            mend="export the network with the resize at its end, and pass --size if that is not the file's",
        )
    if shape[1] < 2:
        raise GraphError(
            f"{found.source} gives one logit for each pixel, and no class for the background",
            mend="export torch.cat([torch.zeros_like(x), x], 1) of the logit x: its softmax is x's sigmoid",
        )
    (tap,) = imported.original.taps
    return replace(
        found,
        classes=shape[1],
        preprocess=replace(found.preprocess, crop=1.0, interpolation="bilinear", squash=True),
        outputs=(),
        by_pixel=True,
        ends_in=ends_in,
        notes=(f"logits of pixels: {tap.tensor}", *([f"cut off behind them: {ends_in}"] if ends_in else [])),
        assumed=(*found.assumed, "photos are stretched to the input, whole"),
    )


def renamed(model: ir.Model) -> ir.Model:
    """The graph with its only output's own name."""
    model.graph.outputs[0].name = MASK_LOGITS
    return model
