"""A foreign EfficientNet's ONNX file, rewritten as a graph of our own kind.

    file ─ source ─ checks ─ functions ─ ending ─ signature ─▶ translate ─▶ clamps, affine, normalisation,
           bytes    refuse   inline      logits   size         node by node  head, names: into our own form

The walk over the file's nodes (:mod:`translate`) writes a new graph, in which every tensor is NCHW. What the
file does to a tensor's shape alone (Transpose, Reshape, Squeeze …) is kept as a view of the tensor, and what
depends on constants alone is computed, so both vanish; so do the differences between opsets and exporters.
Nothing here runs the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph import unit
from edgeeff.graph.importing import (
    affine,
    checks,
    choices,
    clamps,
    detector,
    ending,
    features,
    functions,
    head,
    names,
    normalisation,
    resizing,
    signature,
    source,
    stacked,
    tensors,
    translate,
)
from edgeeff.graph.importing.detector import Heads
from edgeeff.graph.importing.ending import Ending
from edgeeff.graph.importing.features import FileTap
from edgeeff.graph.importing.signature import DType, Layout, Signature
from edgeeff.graph.model import drop_unused_constants
from edgeeff.graph.writer import Writer
from edgeeff.preprocess import Channels

IR_VERSION = 8
_PIXEL_FORMAT = "Image.BitmapPixelFormat"

__all__ = ["Imported", "Original", "from_proto", "read"]


@dataclass(frozen=True)
class Original:
    """What running the original file takes, to hold the imported graph against it.

    Let ``x`` be what the imported graph reads, float32 [1, C, H, W]. The original reads

    - ``x`` if it does not normalise (:attr:`Imported.mean` is None), else ``(x · std + mean) / divisor``,
      rounded if ``dtype`` is uint8;
    - in ``layout``, as ``dtype``, ``batch`` images at a time.

    Its tensor ``ending.logits`` has the imported graph's logits, reshaped to [N, classes].

    Args:
        input: Its input's name.
        layout: The order of the input's axes.
        dtype: The input's element type, as numpy calls it: float32, float16, float64 or uint8.
        batch: Images in a run where the file fixes their number, else None.
        size: Height and width where the file fixes both, else None. The imported graph may have another.
        divisor: 255 where the file normalises pixels of 0…1, else 1.
        ending: Which output was taken, and what stands between it and the logits.
        taps: The features that are put out instead of logits; none: it is a classifier or a detector.
        heads: A detector's.
    """

    input: str
    layout: Layout
    dtype: DType
    batch: int | None
    size: tuple[int, int] | None
    divisor: float
    ending: Ending
    taps: tuple[FileTap, ...] = ()
    heads: Heads | None = None

    @property
    def output(self) -> str:
        """The name of the output that was taken."""
        return self.ending.output

    @property
    def softmax(self) -> bool:
        """Whether a softmax at the end was cut off."""
        return self.ending.probabilities != "" and self.ending.ends_in == "softmax"


@dataclass(frozen=True)
class Imported:
    """A foreign network as a graph of our own kind.

    Args:
        model: Opset 17, static shapes, NCHW, batch 1: ``input`` float32 [1, C, H, W] to ``logits`` float32
            [1, classes], or to features by their names. After :func:`edgeeff.graph.passes.run` it has the
            form of our own exports.
        size: Height and width, pixels.
        classes: How many; 0 where features are put out.
        mean: Of a normalisation that stood in front of the network and was taken out, for each channel on
            pixels of 0…255; None if there was none, and the input is whatever the network was trained with.
        std: Likewise.
        original: What running the file itself takes.
        turned: Whether the file turned three channels around before the network; the graph's first
            convolution does that now.
        pixel_format: The order of colours that the file is fed, where its metadata say it: ``Bgr8``, ``Rgb8``
            (ONNX's MetadataProps, as winmltools and Custom Vision write them).
    """

    model: ir.Model
    size: tuple[int, int]
    classes: int
    mean: Channels | None
    std: Channels | None
    original: Original
    turned: bool = False
    pixel_format: str = ""

    @property
    def channels(self) -> int:
        """Of the input."""
        shape = self.model.graph.inputs[0].shape
        assert shape is not None
        return int(list(shape)[1])  # type: ignore[arg-type]  # all sizes are known


def read(path: Path, size: tuple[int, int] | None = None, taps: Sequence[str] | None = None) -> Imported:
    """Import an ONNX file; see :func:`from_proto`.

    Weights in side files are read if those lie in the file's own folder.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        GraphError: As :func:`from_proto`; or the file is truncated or no ONNX model, or its weights are said
            to be outside of its folder.
    """
    return from_proto(source.load(path), str(path), size, taps)


def from_proto(
    model: onnx.ModelProto,
    origin: str,
    size: tuple[int, int] | None = None,
    taps: Sequence[str] | None = None,
) -> Imported:
    """Import an ONNX model of opset 11 to 23, whose weights are in it.

    Args:
        model: Left as it is.
        origin: Where it is from, for messages.
        size: Height and width wanted, pixels. Needed where the file leaves them open. Where it fixes them,
            another size is taken if nothing in the file depends on its own.
        taps: Tensors of the file that are put out as features, none named: all its outputs; None: the file is
            a classifier.

    Raises:
        OptionError: The file has no such tensor.
        GraphError: The model is invalid, quantised, no image classifier, or holds operators or weights that
            an EfficientNet does not have; or it cannot take that size.
    """
    try:
        return _import(model, size, taps)
    except GraphError as error:
        raise GraphError(f"{origin}: {error.what}", mend=error.mend) from None


def _import(model: onnx.ModelProto, size: tuple[int, int] | None, wished: Sequence[str] | None) -> Imported:
    opset = checks.opset(model)
    pixel_format = next((p.value for p in model.metadata_props if p.key == _PIXEL_FORMAT), "")
    model = stacked.unstacked(functions.inlined(model))
    heads = detector.find(model) if wished is None else None
    taps = () if wished is None else features.read(model, wished)
    taps = heads.taps if heads else taps
    ended = Ending(taps[0].tensor, taps[0].tensor) if taps else ending.read(model)
    signed = signature.read(model, ended.logits)
    wanted = signature.size_to_write(signed, size)
    nodes = checks.needed(model, *([tap.tensor for tap in taps] or [signed.output]))
    constants = tensors.constants(model, nodes)

    def written_for(size: tuple[int, int]) -> Writer:
        return translate.translate(nodes, constants, opset, signed, size, taps)

    written = resizing.translate(signed.size, wanted, written_for)
    choices.hold(ended.cut, written.known, opset)
    graph = written.graph
    clamps.merge(graph)
    affine.fold(graph)
    front = normalisation.take_out(graph, pixels=signed.dtype == "uint8", hints=written.hints)
    if not taps:
        ended = replace(ended, warnings=(*ended.warnings, *head.refuse_inner(graph, written.hints)))
    classes = 0 if heads else head.flatten(graph)
    if heads:
        heads, taps = detector.end(graph, heads, written.known, wanted), ()
        classes, ended = heads.classes, replace(ended, notes=heads.notes, warnings=heads.warnings)
    elif taps:
        taps = features.named(graph, taps, written.known, wanted)
        said = (*features.notes(graph, taps),)
        ended = replace(ended, notes=said, warnings=(*features.warnings(taps),))
    names.assign(graph, written.hints)
    unit.add(graph, [tap.name for tap in taps if tap.divided])
    imported = ir.Model(graph, ir_version=IR_VERSION)
    drop_unused_constants(imported)
    return Imported(
        imported,
        wanted,
        classes,
        front.mean,
        front.std,
        replace(_original(signed, front.divisor, ended, taps), heads=heads),
        turned=front.turned,
        pixel_format=pixel_format,
    )


def _original(signed: Signature, divisor: float, ended: Ending, taps: tuple[FileTap, ...]) -> Original:
    return Original(
        *(signed.input, signed.layout, signed.dtype, signed.batch, signed.size, divisor, ended, taps)
    )
