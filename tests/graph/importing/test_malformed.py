"""Files that are damaged, hostile or of another kind: one function makes each, and each has its message."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.errors import EdgeeffError, GraphError, MissingFileError
from edgeeff.graph import importing

BODY = "c = Conv <pads = [1, 1, 1, 1]> (x, w) a = Relu (c) g = GlobalAveragePool (a) f = Flatten (g)"
GOOD = f"{BODY} y = MatMul (f, mt)"
CASES = []


def case(message):
    """Register a function ``make(write) -> model or bytes`` with what its import says."""

    def register(make):
        CASES.append(pytest.param(make, message, id=make.__name__))
        return make

    return register


def with_body(old, new, **constants):
    return lambda write: write(GOOD.replace(old, new), **constants)


def ints(*values):
    return np.asarray(values, np.int64)


def add(name, message, make):
    make.__name__ = name
    case(message)(make)


# What is no ONNX file, or half of one.
add("empty", "has no nodes", lambda write: b"")
add("text", "is truncated or of another format", lambda write: b"this is no model\n" * 9)
add(
    "pickle",
    "truncated or of another format",
    lambda write: b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00true\x85R.",
)
add("zip", "truncated or of another format", lambda write: b"PK\x03\x04" + bytes(64))
add("hdf5", "truncated or of another format", lambda write: b"\x89HDF\r\n\x1a\n" + bytes(64))
add("ort_format", "onnxruntime's own format", lambda write: b"\x30\x00\x00\x00ORTM" + bytes(64))
add(
    "half",
    "truncated or of another format",
    lambda write: (s := write(GOOD).SerializeToString())[: len(s) // 2],
)
add("no_nodes", "has no nodes", lambda write: onnx.ModelProto().SerializeToString() + b"\x08\x08")


@case("names no version of the standard operators")
def no_opset(write):
    model = write(GOOD)
    del model.opset_import[:]
    return model


add("opset_too_old", "is written in opset 10\n  → .*an opset of 11…23", lambda write: write(GOOD, opset=10))
add("opset_too_new", "is written in opset 26", lambda write: write(GOOD, opset=26))


# Inputs and outputs.
@case("has 2 inputs: 'x', 'z'")
def two_inputs(write):
    model = write(GOOD)
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    return model


@case("has 0 inputs")
def no_input(write):
    model = write(GOOD)
    del model.graph.input[:]
    return model


add("two_channels", r"shape \['\?', 2, 32, 32\]: 2 channels", lambda write: write(GOOD, shape="N,2,32,32"))
add("spectral", r"shape \['\?', 13, 32, 32\]: 13 channels", lambda write: write(GOOD, shape="N,13,32,32"))
add("grey", "do not fit 1 channels", lambda write: write(GOOD, shape="N,1,32,32"))
add("rank_three", r"shape \[3, 32, 32\]", lambda write: write(GOOD, shape="3,32,32"))
add("integers", "is of type INT64", lambda write: write(GOOD, kind="int64"))
add(
    "absurd_input",
    "2000000000×2000000000 pixels",
    lambda write: write(GOOD, shape="1,3,2000000000,2000000000"),
)
add("no_output", "has 0 outputs", lambda write: write(GOOD, outputs=""))
add("feature_map", r"output 'a' has the shape \[1, 8, 32, 32\]", lambda write: write(GOOD, outputs="float a"))
add("output_of_nothing", "the output 'q' is made by no node", lambda write: write(GOOD, outputs="float q"))
add("constant_output", "does not depend on the image", with_body("y = MatMul (f, mt)", "y = Add (m, m)"))
add("no_classifier", "not that of a dense layer", lambda write: write(f"{BODY} y = Relu (f)"))


# The graph.
add("cycle", r"read each other in a circle: Add 'a' → Glob", with_body("Relu (c)", "Add (c, f)"))
add("self_cycle", "in a circle: Add 'a' → Add 'a'", with_body("Relu (c)", "Add (c, a)"))
add("dangling", "'q', which Relu 'a' reads, is made by no node", with_body("Relu (c)", "Relu (q)"))
add("made_twice", "'c' is made 2 times", with_body("a = Relu", "c = Relu (x) a = Relu"))
add("made_as_weight_too", "'c' is made 2 times", lambda write: write(GOOD, c=np.zeros(1, np.float32)))
add("too_many_nodes", "has 100002 nodes", lambda write: _many(write))
add("if", "If 'a' chooses at run time", with_body(
    "a = Relu (c)", "a = If <then_branch = t () => (float q) { q = Identity (c) }, "
    "else_branch = e () => (float r) { r = Identity (c) }> (flag)", flag=np.asarray(True)))  # fmt: skip
add("unknown_operator", "operator Mish of Mish 'a' is not supported", with_body("Relu", "Mish"))
add("invented_operator", "operator EvilOp of EvilOp 'a' is not supported", with_body("Relu", "EvilOp"))
add("custom_domain", "operator com.microsoft.QuickGelu of", with_body("Relu", "com.microsoft.QuickGelu"))
add("quantised", "is quantised already .*\n  → .*`edgeeff emit`", with_body(
    "Relu (c)", "DequantizeLinear (c, k, k)"))  # fmt: skip
add("integer_convolution", "is quantised already", with_body("Conv <pads = [1, 1, 1, 1]>", "QLinearConv"))


def _many(write):
    model = write(GOOD)
    model.graph.node.extend([model.graph.node[1]] * 99_997)
    return model


def function(name, *calls):
    nodes = [helper.make_node(c, ["x"], ["y"], domain="local" if c[0] == "f" else "") for c in calls]
    for index, node in enumerate(nodes):
        node.input[0], node.output[0] = f"v{index}" if index else "x", f"v{index + 1}"
    nodes[-1].output[0] = "y"
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["x"], ["y"], nodes, opsets)


def with_functions(*functions):
    def make(write):
        model = write(GOOD)
        model.graph.node[1].op_type, model.graph.node[1].domain = "f0", "local"
        model.functions.extend(functions)
        model.opset_import.append(helper.make_opsetid("local", 1))
        return model

    return make


add(
    "functions_in_a_circle",
    "call each other in a circle",
    with_functions(function("f0", "f1"), function("f1", "f0")),
)
add("function_bomb", "unfold to 1099511627780", with_functions(
    *(function(f"f{i}", f"f{i + 1}", f"f{i + 1}") for i in range(40)), function("f40", "Relu")))  # fmt: skip


# Weights.
@case(r"tensor 'w' has dimensions \[8, 3, 3, 1000000000000\], so 288000000000000 bytes, and holds 864")
def absurd_weights(write):
    model = write(GOOD)
    next(t for t in model.graph.initializer if t.name == "w").dims[3] = 10**12
    return model


@case(r"tensor 'w' has dimensions \[8, -3, 3, 3\]")
def negative_dimension(write):
    model = write(GOOD)
    next(t for t in model.graph.initializer if t.name == "w").dims[1] = -3
    return model


@case("tensor 'w' has dimensions .*so 864 bytes, and holds 400")
def weights_cut_short(write):
    model = write(GOOD)
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    tensor.raw_data = tensor.raw_data[:400]
    return model


@case("tensor 'w' is of type STRING")
def weights_of_text(write):
    model = write(GOOD)
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    tensor.CopyFrom(helper.make_tensor("w", TensorProto.STRING, [1], [b"no"]))
    return model


@case("holds sparse weights")
def sparse(write):
    model = write(GOOD)
    model.graph.sparse_initializer.add()
    return model


add("nan", "tensor 'mt' holds NaN values", lambda write: write(GOOD, mt=np.full((8, 5), np.nan, np.float32)))
add(
    "infinite",
    "tensor 'mt' holds infinite",
    lambda write: write(GOOD, mt=np.full((8, 5), np.inf, np.float16)),
)
add("beyond_float32", "tensor 'mt' holds infinite", lambda write: write(GOOD, mt=np.full((8, 5), 1e300)))
add(
    "wrong_channels", "do not fit 3 channels", lambda write: write(GOOD, w=np.zeros((8, 4, 3, 3), np.float32))
)
add("wrong_rank", r"with weights of \[8, 27\]", lambda write: write(GOOD, w=np.zeros((8, 27), np.float32)))
add("wrong_classifier", r"multiplies \[1, 8\] with weights of \[9, 5\]", lambda write: write(
    GOOD, mt=np.zeros((9, 5), np.float32)))  # fmt: skip
add(
    "wrong_bias",
    r"biases of \[9\] for 8 channels",
    with_body("(x, w)", "(x, w, z)", z=np.zeros(9, np.float32)),
)
add("computed_weights", "its input 1 depends on the image", with_body("(x, w)", "(x, x)"))
add("negative_variance", "a variance is negative", with_body(
    "Relu (c)", "BatchNormalization (c, k, k, k, v)", v=np.full(8, -1, np.float32)))  # fmt: skip
add("division_by_zero", "infinite", with_body("Relu (c)", "Div (c, z)", z=np.zeros(1, np.float32)))

# Attributes and constants.
add("absurd_padding", "its pads are", with_body("pads = [1, 1, 1, 1]", "pads = [1000000000, 1, 1, 1]"))
add("negative_padding", "its pads are", with_body("pads = [1, 1, 1, 1]", "pads = [-1, 1, 1, 1]"))
add("no_stride", r"its strides are \[0, 1\]", with_body("pads = [1, 1, 1, 1]", "strides = [0, 1]"))
add("no_groups", "in 0 groups", with_body("pads = [1, 1, 1, 1]", "group = 0"))
add(
    "attribute_of_another_type", "its attribute group is 1.5", with_body("pads = [1, 1, 1, 1]", "group = 1.5")
)
add("kernel_larger_than_image", "output would be 8 × -1 × -1", lambda write: write(
    GOOD, shape="1,3,1,1", w=np.zeros((8, 3, 5, 5), np.float32)))  # fmt: skip
add("constant_bomb", "would make a constant of 1000000000000 elements", with_body(
    "Relu (c)", "Add (c, z) z = ConstantOfShape (s)", s=ints(10**6, 10**6)))  # fmt: skip
add("expansion_bomb", "would make a constant of", with_body(
    "Relu (c)", "Add (c, z) z = Expand (k, s)", s=ints(10**6, 10**6, 1)))  # fmt: skip
add("range_bomb", "would make a constant of", with_body(
    "Relu (c)", "Add (c, z) z = Range (i, j, i)", i=np.int64(1), j=np.int64(2**60)))  # fmt: skip
add(
    "reshape_to_nothing",
    r"cannot see \[1, 8, 1, 1\] as",
    with_body("Flatten (g)", "Reshape (g, s)", s=ints(3, 7)),
)
add("no_pooling", "there is no pooling before it", lambda write: write(
    "c = Conv (x, w) f = Flatten (c) y = MatMul (f, z)", z=np.zeros((7200, 5), np.float32)))  # fmt: skip
add("training_mode", "exported in training mode", with_body(
    "Relu (c)", "BatchNormalization <training_mode = 1> (c, p, p, p, p)"))  # fmt: skip
add("dropout_that_drops", "exported in training mode", with_body(
    "Relu (c)", "Dropout (c, r, t)", r=np.float32(0.5), t=np.asarray(True)))  # fmt: skip
add(
    "mask_that_is_read",
    "its output 'q' is read",
    with_body("a = Relu (c)", "e, q = Dropout (c) a = Mul (e, q)"),
)
add("different_for_each_pixel", "differs along an axis", with_body(
    "Relu (c)", "Add (c, z)", z=np.arange(32, dtype=np.float32)))  # fmt: skip
add("softmax_over_the_images", "axis 0 of .* is the images", with_body("Relu (c)", "Softmax <axis = 0> (c)"))
add("mean_of_channels", "multiplies .1, 32. with weights", with_body(
    "GlobalAveragePool (a)", "ReduceMean <axes = [1, 2]> (a)"))  # fmt: skip
add("unknown_operator", "operator Elu of Elu 'a' is not supported", with_body("Relu (c)", "Elu (c)"))


@pytest.mark.parametrize(("make", "message"), CASES)
def test_is_refused(make, message, write, tmp_path):
    made = make(write)
    path = tmp_path / "model.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    with pytest.raises(GraphError, match=rf"(?s){re.escape(str(path))}.*{message}") as caught:
        importing.read(path)
    assert caught.value.mend


def test_the_graph_that_the_cases_spoil_is_good(write, imports):
    imports(write(GOOD))


def test_missing_files(tmp_path):
    for path in (tmp_path, tmp_path / "model.onnx"):
        with pytest.raises(MissingFileError, match="no file"):
            importing.read(path)


@pytest.mark.parametrize("seed", range(4))
def test_damage_gives_an_error_of_ours_or_a_graph(seed, small, export, tmp_path):
    """Bytes changed, cut out and doubled at random: whatever the file says, there is no traceback."""
    random = np.random.default_rng(seed)
    model = export(small(same=True), opset=17)
    for tensor in model.graph.initializer:  # let most of the damage hit the structure
        if tensor.ByteSize() > 400:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))
    data = model.SerializeToString()
    path, refused = tmp_path / "model.onnx", 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(random.integers(1, 4)):
            at = int(random.integers(len(damaged)))
            match random.integers(3):
                case 0:
                    damaged[at] = random.integers(256)
                case 1:
                    del damaged[at : at + random.integers(1, 40)]
                case _:
                    damaged[at:at] = damaged[at : at + random.integers(1, 40)]
        path.write_bytes(damaged)
        try:
            importing.read(path)
        except EdgeeffError as error:
            refused += 1
            assert error.mend
    assert refused > 5
