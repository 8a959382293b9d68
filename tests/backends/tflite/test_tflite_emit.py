"""What stands in the emitted flatbuffer: the hub's scales, aligned buffers, versions; and what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import helper, numpy_helper

from edgeeff.backends.tflite.emit import emit
from edgeeff.errors import GraphError
from edgeeff.tasks import only

NETWORKS = ["lite", "asymmetric", "odd_padding", "swish_se"]
CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def parse(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(content)


def tensors(model: schema.ModelT) -> dict[str, schema.TensorT]:
    return {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}


def operators(model: schema.ModelT) -> list[tuple[str, schema.OperatorT]]:
    codes = [CODES[code.builtinCode] for code in model.operatorCodes]
    return [(codes[operator.opcodeIndex], operator) for operator in model.subgraphs[0].operators]


def initializers(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}


def copy(graph: onnx.ModelProto) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(graph)
    return other


def set_initializer(graph: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    (initializer,) = (i for i in graph.graph.initializer if i.name == name)
    initializer.CopyFrom(numpy_helper.from_array(array, name))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_scale_is_the_hubs(examples, name):
    example = examples(name)
    written = tensors(parse(emit(example.hub, example.emission("float32"))["model.tflite"]))
    constants = initializers(example.hub)
    checked = 0
    for node in example.hub.graph.node:
        if node.op_type == "QuantizeLinear":
            tensor = written["input/int8" if node.input[0] == "input" else node.input[0]]
            scale, zero_point = constants[node.input[1]], constants[node.input[2]]
            assert tensor.quantization.scale.tobytes() == scale.tobytes()
            assert tensor.quantization.zeroPoint.tolist() == [int(zero_point)]
            checked += 1
    assert checked == sum(
        tensor.type == schema.TensorType.INT8 and tensor.buffer == 0 and not name.endswith("/padded")
        for name, tensor in written.items()
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_and_their_scales_are_the_hubs(examples, name):
    example = examples(name)
    model = parse(emit(example.hub, example.emission("float32"))["model.tflite"])
    written, constants = tensors(model), initializers(example.hub)
    weights = {n.output[0]: n for n in example.hub.graph.node if n.op_type == "DequantizeLinear"}
    following = {n.input[0]: n for n in example.hub.graph.node if n.op_type == "Clip"}
    for node in example.hub.graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        source = weights[node.input[1]]
        codes, scale = constants[source.input[0]], constants[source.input[1]]
        result = following[node.output[0]].output[0] if node.output[0] in following else node.output[0]
        tensor = written[f"{result}/weights"]
        stored = model.buffers[tensor.buffer].data.view(np.int8).reshape(tensor.shape)
        depthwise = node.op_type == "Conv" and helper.get_node_attr_value(node, "group") > 1
        order = ((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)) if codes.ndim == 4 else (0, 1)
        np.testing.assert_array_equal(stored, codes.transpose(order))
        assert tensor.quantization.scale.tobytes() == scale.tobytes()
        assert tensor.quantization.quantizedDimension == (3 if depthwise else 0)
        assert not tensor.quantization.zeroPoint.any()


def test_the_bias_is_rounded_at_the_accumulators_scale(examples):
    example = examples("lite")
    model = parse(emit(example.hub, example.emission("float32"))["model.tflite"])
    written, constants = tensors(model), initializers(example.hub)
    gemm = example.hub.graph.node[-3]
    assert gemm.op_type == "Gemm"
    stored = model.buffers[written["gemm_0/bias"].buffer].data.view(np.int32)
    source = written["globalaveragepool_0"].quantization.scale.astype(np.float64)
    scale = source * written["gemm_0/weights"].quantization.scale
    np.testing.assert_array_equal(stored, np.rint(constants[gemm.input[2]] / scale))


def test_operators_and_their_versions(examples):
    lite, swish = (
        parse(emit(examples(n).hub, examples(n).emission("float32"))["model.tflite"])
        for n in ("lite", "swish_se")
    )
    versions = {CODES[c.builtinCode]: c.version for c in [*lite.operatorCodes, *swish.operatorCodes]}
    assert versions.pop("MUL") in (2, 3)
    assert versions == {
        "QUANTIZE": 1,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "ADD": 2,
        "LOGISTIC": 2,
        "MEAN": 2,
        "FULLY_CONNECTED": 10,
        "DEQUANTIZE": 2,
    }
    # Clamps, paddings and the flattening have left no operator.
    network = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 2, "ADD": 1, "MEAN": 1, "FULLY_CONNECTED": 1}
    found = Counter(code for code, _ in operators(lite))
    assert found == {"QUANTIZE": 1, **network, "DEQUANTIZE": 1}


@pytest.mark.parametrize(("name", "pads"), [("asymmetric", 0), ("odd_padding", 2)])
def test_padding_is_an_operator_only_where_it_is_not_same(examples, name, pads):
    example = examples(name)
    for graph in (example.hub, example.float_graph):
        codes = [
            code for code, _ in operators(parse(emit(graph, example.emission("float32"))["model.tflite"]))
        ]
        assert codes.count("PAD") == pads


@pytest.mark.parametrize(("source", "subtractions"), [("raw, one mean", 0), ("raw, three means", 1)])
def test_a_mean_that_all_channels_share_is_a_zero_point(examples, source, subtractions):
    example = examples("asymmetric", source)
    model = parse(emit(example.hub, example.emission("uint8"))["model.tflite"])
    assert [code for code, _ in operators(model)].count("SUB") == subtractions
    quantization = tensors(model)["input"].quantization
    assert quantization.scale.tolist() == [1.0]
    assert quantization.zeroPoint.tolist() == [0 if subtractions else 127]


def test_buffers_are_aligned(examples):
    content = emit(examples("lite").hub, examples("lite").emission("float32"))["model.tflite"]
    model = schema.Model.GetRootAs(content)
    data = [b for b in map(model.Buffers, range(model.BuffersLength())) if not b.DataIsNone()]
    assert len(data) == 18  # weights and biases of 8 layers, the axes of MEAN, the metadata
    for buffer in data:
        assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def test_the_same_graph_gives_the_same_bytes(examples):
    example = examples("swish_se")
    again = onnx.load_model_from_string(example.hub.SerializeToString())
    assert emit(example.hub, example.emission("uint8")) == emit(again, example.emission("uint8"))


def test_the_signature_names_input_and_output(examples):
    (signature,) = parse(
        emit(examples("lite").hub, examples("lite").emission("int8"))["model.tflite"]
    ).signatureDefs
    assert [m.name for m in (*signature.inputs, *signature.outputs)] == [b"input", b"logits"]


def test_uint8_activations_are_the_same_function(examples):
    """uint8 with zero point z is int8 with z − 128: a hub of either gives the same file."""
    example = examples("lite")
    graph, constants = copy(example.hub), initializers(example.hub)
    for node in graph.graph.node:
        if node.op_type == "QuantizeLinear":
            set_initializer(
                graph, node.input[2], (constants[node.input[2]].astype(int) + 128).astype(np.uint8)
            )
    graph = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(graph.SerializeToString()))
    assert emit(graph, example.emission("int8")) == emit(example.hub, example.emission("int8"))


def test_an_operator_whose_result_is_not_quantised_stays_float(examples, open_session):
    """Mixed precision: the graph's function is kept, with DEQUANTIZE and QUANTIZE around the float part."""
    example = examples("lite")
    graph = copy(example.hub)
    add = next(node for node in graph.graph.node if node.op_type == "Add")
    pair = [
        node for node in graph.graph.node if node.name in (f"{add.output[0]}.codes", f"{add.output[0]}.real")
    ]
    for node in graph.graph.node:
        node.input[:] = [add.output[0] if name == pair[1].output[0] else name for name in node.input]
    for node in pair:
        graph.graph.node.remove(node)
    model = parse(emit(graph, example.emission("float32"))["model.tflite"])
    types = [tensors(model)[name].type for name in ("add_0", "clip_3")]
    assert types == [schema.TensorType.FLOAT32] * 2
    logits = only(open_session(example, graph=graph).infer(example.pixels))
    np.testing.assert_allclose(logits, example.reference(graph), atol=0.2)


def refused(example, graph, input_type="float32") -> str:
    with pytest.raises(GraphError) as caught:
        emit(graph, example.emission(input_type))
    assert caught.value.mend
    return str(caught.value)


def test_an_unknown_operator_is_named_with_its_node(examples):
    example = examples("lite")
    graph = copy(example.float_graph)
    (pool,) = (node for node in graph.graph.node if node.op_type == "GlobalAveragePool")
    pool.op_type, pool.name = "GlobalMaxPool", "pool_of_mine"
    message = refused(example, graph)
    assert "GlobalMaxPool" in message and "pool_of_mine" in message and "GlobalAveragePool" in message


def test_a_bias_beyond_int32_names_its_layer_and_channel(examples):
    example = examples("lite")
    graph = copy(example.hub)
    conv = [node for node in graph.graph.node if node.op_type == "Conv"][2]
    bias = initializers(graph)[conv.input[2]].copy()
    bias[5] = 1e9
    set_initializer(graph, conv.input[2], bias)
    message = refused(example, graph)
    assert conv.name in message and "channel 5" in message


def test_a_sigmoid_of_another_scale_is_refused(examples):
    example = examples("swish_se")
    graph = copy(example.hub)
    (node,) = (n for n in graph.graph.node if n.name == "sigmoid_1.codes")
    set_initializer(graph, node.input[1], np.float32(1 / 200))
    assert "sigmoid_1" in refused(example, graph)


@pytest.mark.parametrize("harm", ["zero point", "-128"])
def test_asymmetric_weights_are_refused(examples, harm):
    example = examples("lite")
    graph, constants = copy(example.hub), initializers(example.hub)
    conv = next(node for node in graph.graph.node if node.op_type == "Conv")
    (weights,) = (node for node in graph.graph.node if node.output[0] == conv.input[1])
    position = 2 if harm == "zero point" else 0
    array = constants[weights.input[position]].copy()
    array.flat[0] = 1 if harm == "zero point" else -128
    set_initializer(graph, weights.input[position], array)
    assert conv.name in refused(example, graph)


def test_an_integer_input_is_refused_where_codes_are_not_pixels(examples):
    example = examples("lite")
    graph = copy(example.hub)
    node = next(n for n in graph.graph.node if n.op_type == "QuantizeLinear")
    set_initializer(graph, node.input[1], np.float32(1 / 64))
    assert "raw pixels" in refused(example, graph, "uint8")
    assert "raw pixels" in refused(example, example.float_graph, "int8")
