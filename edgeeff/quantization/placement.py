"""Where a scheme puts Q/DQ: which tensors are quantised, and who reads them so.

The rules for Swish and squeeze-excite stand here and nowhere else.

TensorRT and OpenVINO (``every_tensor = false``)
    The inputs of convolutions and of the classifier, and the skip input of residual additions, which
    shares its Q with the next convolution. What the nodes of a detector's pyramid fuse is quantised once, as
    its layer makes it and before it is resized and weighted, where the runtime resizes codes; elsewhere it
    is fused in float. Nothing inside Swish. With ``squeeze_excite = "float"`` the
    pooled vector, both convolutions and the gate stay float; the product is quantised for the projection.
    So do layers of the roles ``float_layers``, where the processor does them in bf16 as fast. TensorRT has
    no zero points; what an unpadded layer reads may have one all the same, as its bias takes it over.
TFLite (``every_tensor = true``)
    Every tensor, after the operators that the runtime fuses: a convolution's output after its clamp.
    σ(x) has the scale 1/256 and zero point −128 that the TFLite specification demands of LOGISTIC.

A layer that stays float takes its Swish with it, and an output of the network that it makes itself.

An output of the network that its layers read too, as features are, is put out as it was computed where the
scheme leaves outputs float: it has no rounding of its own. Elsewhere it is what the layers read, dequantised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgeeff.graph.model import constant
from edgeeff.graph.operators import traits
from edgeeff.quantization.fusion import is_fusion, is_summand, weighting
from edgeeff.quantization.roles import head, in_squeeze_excite, is_depthwise, roles
from edgeeff.target import Scheme


@dataclass(frozen=True)
class Site:
    """A tensor to be quantised.

    Args:
        tensor: Its name.
        readers: The (node, input index) pairs that read the quantised tensor.
        nonnegative: Whether it can hold no negative value.
        fixed: Scale and zero point, where a specification leaves no choice.
        symmetric: Whether its zero point must be 0.
        output: Whether it is an output of the graph, to be quantised although no node need read it.
        scale_of: The tensor whose scale and zero point it takes, where the runtime's kernel has one for both.
        times: By what that scale is multiplied: of a product with a number, whose codes are those of what it
            multiplies.
    """

    tensor: str
    readers: tuple[tuple[str, int], ...]
    nonnegative: bool
    symmetric: bool
    fixed: tuple[float, int] | None = None
    output: bool = False
    scale_of: str | None = None
    times: float = 1.0


@dataclass(frozen=True)
class Placement:
    """All sites in the order of the graph, the layers that are quantised, and those kept in float."""

    sites: Mapping[str, Site]
    layers: tuple[str, ...]
    floating: tuple[str, ...]


def place(model: ir.Model, scheme: Scheme, floating: Collection[str] = ()) -> Placement:
    """Decide which tensors and layers of the float graph a scheme quantises.

    Args:
        model: The float graph.
        scheme: What the runtime wants.
        floating: Layers that are to stay float whatever the scheme says.
    """
    graph = model.graph
    floating = {*floating, *(_name(n) for n in graph if roles(n) & {*scheme.float_layers})}
    layers = tuple(_name(n) for n in graph if traits(n).layer and not _stays_float(n, scheme, floating))
    sites: dict[str, Site] = {}
    for value in [*graph.inputs, *_constants(model, scheme), *(n.outputs[0] for n in graph)]:
        readers = tuple(
            (_name(node), index)
            for node, index in value.uses()
            if _reads_quantised(node, index, scheme, floating)
        )
        output = (
            scheme.every_tensor
            and value.is_graph_output()
            and _is_quantised_output(value, graph.inputs[0], floating)
        )
        if (readers or output) and not _is_fused(value, scheme, floating):
            assert value.name is not None
            fixed = _fixed(value, scheme)
            sites[value.name] = Site(
                value.name,
                readers,
                is_nonnegative(value),
                _is_symmetric(value, scheme, floating),
                fixed,
                output,
            )
    if scheme.every_tensor:
        sites = _shared(model, sites)
    return Placement(sites, layers, tuple(sorted(floating)))


def _shared(model: ir.Model, sites: Mapping[str, Site]) -> dict[str, Site]:
    """The sites, with those that share a scale since a kernel has one for what it reads and makes.

    A mean takes that of what it is taken of. What only a Concat reads takes that of the Concat's result,
    which holds all of its values; what others read as well keeps its own, and is brought to that scale. The
    product with a number has the codes of what is multiplied.
    """
    found = dict(sites)

    def share(name: str, of: str, times: float = 1.0) -> None:
        root: str | None = of
        while root is not None and root != name:
            root = found[root].scale_of
        if root is None and found[name].fixed is None and found[name].scale_of is None:
            found[name] = replace(found[name], scale_of=of, times=times)

    for node in model.graph:
        made, scale = node.outputs[0].name, traits(node).scale
        if made in found and (weighted := weighting(node)) is not None:
            of = str(origin(weighted[0]).name)
            if of in found and found[of].symmetric <= found[made].symmetric:
                share(str(made), of, weighted[1])
        if made not in found or scale == "own":
            continue
        for value in node.inputs:
            source = origin(value) if value is not None else None
            if source is None or source.name not in found:
                continue
            assert source.name is not None
            if scale == "of input":
                share(made, source.name)
            elif source.producer() is not None and len(found[source.name].readers) == 1:
                share(source.name, made)
    return found


def origin(value: ir.Value) -> ir.Value:
    """Where the values of a tensor come from: seen through nodes that only select among them."""
    while (
        (node := value.producer()) is not None and traits(node).selects(node) and node.inputs[0] is not None
    ):
        value = node.inputs[0]
    return value


def is_nonnegative(value: ir.Value) -> bool:
    """Whether a tensor can hold no negative value, by the operator that makes it."""
    producer = value.producer()
    return producer is not None and traits(producer).nonnegative(producer, is_nonnegative)


def skip_input(addition: ir.Node) -> int | None:
    """Which input of a residual addition is the skip branch: not a convolution's private output."""
    for index, value in enumerate(addition.inputs):
        producer = value.producer() if value is not None else None
        if value is not None and (producer is None or producer.op_type != "Conv" or len(value.uses()) > 1):
            return index
    return None


def _is_symmetric(value: ir.Value, scheme: Scheme, floating: Collection[str]) -> bool:
    if scheme.zero_point == "not depthwise":
        readers = [reader for reader in _readers(value) if reader.name not in floating]
        return any(is_depthwise(reader) for reader in readers) or is_nonnegative(value)
    if scheme.zero_point == "in the bias":
        return not (_is_lopsided(value) and all(_bias_takes_shift(n) for n in value.consumers()))
    return scheme.zero_point == "nowhere"


def _readers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read a tensor's values, seen through those that only select among them."""
    found = []
    for reader in value.consumers():
        found += _readers(reader.outputs[0]) if traits(reader).selects(reader) else [reader]
    return found


def _is_lopsided(value: ir.Value) -> bool:
    """Whether a tensor is made by what leaves hardly a negative value."""
    producer = value.producer()
    return producer is not None and traits(producer).lopsided


def _bias_takes_shift(reader: ir.Node) -> bool:
    """Whether a reader's bias can make up for one number subtracted from all that it reads.

    It can where the layer reads no zeros beside the image.
    """
    if reader.op_type == "Flatten":
        flat = reader.outputs[0]
        return not flat.is_graph_output() and all(after.op_type == "Gemm" for after in flat.consumers())
    return reader.op_type == "Conv" and not any(reader.attributes.get_ints("pads", ()))


def _stays_float(node: ir.Node, scheme: Scheme, floating: Collection[str]) -> bool:
    if node.name in floating:
        return True
    return scheme.squeeze_excite == "float" and in_squeeze_excite(node)


def _reads_quantised(node: ir.Node, index: int, scheme: Scheme, floating: Collection[str]) -> bool:
    if traits(node).layer and _stays_float(node, scheme, floating):
        return index == 0 and scheme.every_tensor and _shares_features(node, scheme, floating)
    if scheme.every_tensor:
        if _puts_floats_together(node, floating):
            return False
        if node.op_type == "Sub" and index == 1 and _read_in_float(node.outputs[0], floating):
            return False
        return not _is_swish_of(node, floating)
    if traits(node).layer:
        return index == 0
    if traits(node).view or (scheme.before_selection and traits(node).selects(node)):
        # Quantised before it, where all that reads it is.
        uses = node.outputs[0].uses()
        return (
            bool(uses)
            and not node.outputs[0].is_graph_output()
            and all(_reads_quantised(reader, i, scheme, floating) for reader, i in uses)
        )
    if is_fusion(node):
        return is_summand(node, index, scheme)
    if (weighted := weighting(node)) is not None and node.inputs[index] is weighted[0]:
        readers = list(node.outputs[0].consumers())
        return len(readers) == 1 and is_fusion(readers[0]) and is_summand(node, index, scheme)
    residual = node.op_type == "Add" and scheme.residual == "int8"
    return residual and index == skip_input(node) and _leads_to_layer(node)


def _leads_to_layer(node: ir.Node) -> bool:
    """Whether a layer reads what comes of a node: logits of pixels are added where none does."""
    left, seen = [node], {node}
    while left:
        for reader in left.pop().outputs[0].consumers():
            if traits(reader).layer:
                return True
            if reader not in seen:
                seen.add(reader)
                left.append(reader)
    return False


def _shares_features(node: ir.Node, scheme: Scheme, floating: Collection[str]) -> bool:
    """Whether a float head reads features that others read as codes: their layer makes these alone."""
    value = node.inputs[0]
    if value is None or not head(node) or _is_floating(value, floating):
        return False
    return any(
        not (traits(other).layer and _stays_float(other, scheme, floating)) for other in value.consumers()
    )


def _is_floating(value: ir.Value | None, floating: Collection[str]) -> bool:
    """Whether a layer that stays float makes the tensor."""
    producer = value.producer() if value is not None else None
    return producer is not None and traits(producer).layer and producer.name in floating


def _is_quantised_output(value: ir.Value, pixels: ir.Value, floating: Collection[str]) -> bool:
    """Whether an output is to be codes where every tensor is.

    With integer inputs come integer outputs, even of a classifier that stays float; a detector's box codes,
    whose layers stay float as 8 bits are too few for them, stay float all the same.
    """
    producer = value.producer()
    if producer is not None and _puts_floats_together(producer, floating):
        return False
    return _is_raw(pixels) or (not _is_floating(value, floating) and not _ends_in_float(value))


def _puts_floats_together(node: ir.Node, floating: Collection[str]) -> bool:
    """Whether a node makes an output of nothing but what layers made that stay float.

    That is a Concat of them, and what rearranges them for it.
    """
    if node.op_type == "Concat":
        return node.outputs[0].is_graph_output() and all(
            v is not None and _is_floating(origin(v), floating) for v in node.inputs
        )
    readers = [*node.outputs[0].consumers()]
    if not traits(node).selects(node) or node.inputs[0] is None or not readers:
        return False
    return _is_floating(origin(node.inputs[0]), floating) and all(
        _puts_floats_together(reader, floating) for reader in readers
    )


def _ends_in_float(value: ir.Value) -> bool:
    """Whether a tensor that nothing reads is made by what is better computed in float at the end."""
    producer = value.producer()
    return producer is not None and traits(producer).ends_in_float and not value.uses()


def _read_in_float(value: ir.Value, floating: Collection[str]) -> bool:
    """Whether only layers that stay float read the tensor."""
    return all(traits(reader).layer and reader.name in floating for reader in value.consumers())


def _is_raw(value: ir.Value) -> bool:
    """Whether the graph's input is raw pixels, of which it subtracts the mean itself."""
    return any(reader.op_type == "Sub" for reader in value.consumers())


def _is_swish_of(node: ir.Node, floating: Collection[str]) -> bool:
    """Whether a node is a step of the Swish of a layer that stays float: x·σ(x) of its output x."""
    if node.op_type == "Sigmoid":
        readers = list(node.outputs[0].consumers())
        return (
            _is_floating(node.inputs[0], floating)
            and len(readers) == 1
            and node.inputs[0] in readers[0].inputs
        )
    if node.op_type != "Mul":
        return False
    producers = [value.producer() for value in node.inputs if value is not None]
    return any(p is not None and p.op_type == "Sigmoid" and _is_swish_of(p, floating) for p in producers)


def _is_fused(value: ir.Value, scheme: Scheme, floating: Collection[str]) -> bool:
    """Whether the tensor is no tensor of its own in the artifact.

    A clamp follows, or it is another view of one that is a site or selects among its codes, or raw pixels
    from which one mean is subtracted: that mean becomes the zero point of what the first layer reads, if it
    reads integers.
    """
    readers = list(value.consumers())
    producer = value.producer()
    if producer is None:
        return (
            len(readers) == 1
            and readers[0].op_type == "Sub"
            and _single_value(readers[0].inputs[1])
            and not _read_in_float(readers[0].outputs[0], floating)
        )
    clamped = len(readers) == 1 and traits(readers[0]).clamp and not value.is_graph_output()
    if traits(producer).view or clamped:
        return True
    return (
        traits(producer).selects(producer)
        and not value.is_graph_output()
        and _reads_quantised(producer, 0, scheme, floating)
    )


def _fixed(value: ir.Value, scheme: Scheme) -> tuple[float, int] | None:
    """Scale and zero point that leave no choice: σ(x) by the TFLite specification, raw pixels as they are."""
    producer = value.producer()
    if producer is not None:
        return traits(producer).fixed if scheme.every_tensor else None
    return (1.0, -128) if value.is_graph_input() and _is_raw(value) else None


def _constants(model: ir.Model, scheme: Scheme) -> list[ir.Value]:
    """Constants that are tensors to be quantised: factors, summands, the means of raw pixels.

    One mean for all channels of raw pixels is none: it becomes a zero point.
    """
    if not scheme.every_tensor:
        return []
    found: dict[ir.Value, None] = {}
    for node in model.graph:
        for value in node.inputs if traits(node).constants else ():
            if value is None or not value.is_initializer():
                continue
            pixels = node.op_type == "Sub" and node.inputs[0] is not None and node.inputs[0].is_graph_input()
            if not (pixels and _single_value(value)):
                found[value] = None
    return list(found)


def _single_value(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and len(np.unique(array)) == 1


def _name(node: ir.Node) -> str:
    assert node.name is not None
    return node.name
