"""What stands between the logits and a file's outputs: cut off, said, or refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from edgeeff.errors import GraphError
from edgeeff.graph import importing, passes
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.importing import comparing
from edgeeff.preprocess import Preprocess

START = "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) a = Relu (c) g = GlobalAveragePool (a) "
LOGITS = START + "f = Flatten (g) l = MatMul (f, mt) "
PREPROCESS = Preprocess((32, 32), (120.0,) * 3, (60.0,) * 3)
NAMES = ("ant", "bee", "cat", "dog", "eel")


def ints(*values):
    return np.asarray(values, np.int64)


def scalar(value):
    return np.asarray(value, np.float32)


@pytest.fixture
def hold(tmp_path):
    """``hold(model)``: imported, held against the file as a build does; and the file's own outputs."""

    def check(model):
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        imported = importing.read(path)
        passes.run(imported.model)
        assert comparing.with_file(imported, path, PREPROCESS) < 1e-3
        x = np.random.default_rng(1).normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
        logits = execute(prepare(imported.model), torch.from_numpy(x)).numpy()
        session = onnxruntime.InferenceSession(str(path))
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"x": x}), strict=True))
        return imported, logits, outputs

    return check


@pytest.mark.parametrize(
    ("end", "opset", "ends_in"),
    [
        ("y = Sigmoid (l)", 17, "sigmoid"),
        ("s = Sigmoid (l) y = Identity (s)", 17, "sigmoid"),
        ("s = Cast <to = 10> (l) t = Sigmoid (s) y = Cast <to = 1> (t)", 17, "sigmoid"),
        ("s = Reshape (l, four) t = Sigmoid (s) y = Reshape (t, two)", 17, "sigmoid"),
        ("y = LogSoftmax <axis = 1> (l)", 17, "log_softmax"),
        ("y = LogSoftmax (l)", 11, "log_softmax"),
        ("s = Softmax <axis = -1> (l) y = Log (s)", 13, "log_softmax"),
        ("s = Softmax (l) t = Squeeze (s) y = Unsqueeze (t, zero)", 13, "softmax"),
        ("s = Div (l, temperature) y = Softmax <axis = 1> (s)", 17, "softmax"),
        ("s = Mul (l, temperature) t = Add (s, b) y = Sigmoid (t)", 17, "sigmoid"),
    ],
)
def test_probabilities(end, opset, ends_in, write, hold):
    constants = {
        "temperature": scalar(1.7),
        "four": ints(1, 5, 1, 1),
        "two": ints(1, 5),
        "zero": ints(0),
    }
    used = {name: value for name, value in constants.items() if name in end}
    imported, logits, outputs = hold(write(LOGITS + end, opset, "1,3,32,32", outputs="float[1,5] y", **used))
    ending = imported.original.ending
    assert (ending.ends_in, ending.made) == (ends_in, ends_in)
    assert any("cut off its end" in note for note in ending.notes)
    # float16 between: the file rounds, and we do not.
    np.testing.assert_allclose(comparing.ended(logits, ends_in), outputs["y"], rtol=2e-3, atol=1e-4)


def string_labels(model, maker):
    """The file's last node looks names up of an index."""
    model.graph.initializer.append(
        helper.make_tensor("names", TensorProto.STRING, [5], [n.encode() for n in NAMES])
    )
    model.graph.node.append(maker)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.STRING, None))
    return model


@pytest.mark.parametrize(
    ("end", "outputs", "ends_in"),
    [
        ("y = ArgMax <axis = 1, keepdims = 0> (l)", "int64[1] y", ""),
        ("y = ArgMax <axis = -1> (l)", "int64[1,1] y", ""),
        (
            "s = Softmax <axis = 1> (l) t = ArgMax <axis = 1> (s) y = Cast <to = 6> (t)",
            "int32[1,1] y",
            "softmax",
        ),
        ("s = Squeeze (l) y = ArgMax <axis = 0, keepdims = 0> (s)", "int64 y", ""),
        ("s = LogSoftmax (l) v, y = TopK (s, one)", "int64[1,1] y", "log_softmax"),
        ("s = LogSoftmax (l) v, y = TopK (s, one)", "float[1,1] v, int64[1,1] y", "log_softmax"),
        (
            "s = Softmax <axis = 1> (l) v = ReduceMax <axes = [1]> (s) y = ArgMax <axis = 1> (s)",
            "float[1,1] v, int64[1,1] y",
            "softmax",
        ),
    ],
)
def test_the_largest(end, outputs, ends_in, write, hold):
    used = {"one": ints(1)} if "one" in end else {}
    imported, logits, found = hold(write(LOGITS + end, 13, "1,3,32,32", outputs=outputs, **used))
    assert imported.original.ending.ends_in == ends_in and imported.classes == 5
    assert int(found["y"].reshape(-1)[0]) == int(logits.argmax())


def test_names_that_a_file_looks_up_are_its_labels(write, hold):
    model = write(LOGITS + "i = ArgMax <axis = 1, keepdims = 0> (l)", 13, outputs="int64[N] i")
    model = string_labels(model, helper.make_node("Gather", ["names", "i"], ["z"], axis=0))
    imported, logits, found = hold(model)
    assert imported.original.ending.labels == NAMES
    assert found["z"][0] == NAMES[int(logits.argmax())]


def test_a_zipmap_names_the_classes(write, tmp_path):
    model = write(LOGITS + "p = Softmax <axis = 1> (l)", 13, outputs="float[N,5] p")
    model.graph.node.append(
        helper.make_node("ZipMap", ["p"], ["z"], domain="ai.onnx.ml", classlabels_strings=list(NAMES))
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    kind = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    model.graph.output[0].CopyFrom(helper.make_value_info("z", helper.make_sequence_type_proto(kind)))
    ending = importing.from_proto(model, "x.onnx").original.ending
    assert (ending.labels, ending.ends_in, ending.logits) == (NAMES, "softmax", "l")


@pytest.mark.parametrize(
    ("end", "threshold"),
    [
        ("s = Sigmoid (l) t = Greater (s, limit) y = Cast <to = 1> (t)", 0.3),
        ("s = Sigmoid (l) t = GreaterOrEqual (s, limit) y = Cast <to = 6> (t)", 0.3),
        ("t = Greater (l, limit) y = Cast <to = 1> (t)", 0.574443),
    ],
)
def test_thresholds(end, threshold, write, hold):
    kind = "int32" if "to = 6" in end else "float"
    model = write(LOGITS + end, 13, "1,3,32,32", outputs=f"{kind}[1,5] y", limit=scalar(0.3))
    imported, logits, found = hold(model)
    ending = imported.original.ending
    assert ending.ends_in == "sigmoid" and ending.threshold == pytest.approx(threshold, abs=1e-6)
    np.testing.assert_array_equal(found["y"] > 0, 1 / (1 + np.exp(-logits)) > ending.threshold)


@pytest.mark.parametrize(
    ("end", "outputs", "taken", "ends_in"),
    [
        ("y = Softmax <axis = 1> (l)", "float[N,5] y, float[N,5] l", "l", "softmax"),
        ("y = Sigmoid (l)", "float[N,5] l, float[N,5] y", "l", "sigmoid"),
        ("y = Sigmoid (l) i = Identity (y)", "float[N,5] i, float[N,5] y", "i", "sigmoid"),
        (
            "y = Softmax <axis = 1> (l) i = ArgMax <axis = 1> (y)",
            "int64[N,1] i, float[N,5] y",
            "y",
            "softmax",
        ),
        ("i = Identity (l)", "float[N,8] f, float[N,5] i", "i", ""),
        ("y = Sigmoid (l)", "float[N,8,16,16] a, float[N,8] f, float[N,5] y", "y", "sigmoid"),
    ],
)
def test_several_outputs_of_one_classifier(end, outputs, taken, ends_in, write, hold):
    """The nearest to the logits is taken, and what the others make of them is known."""
    ending = hold(write(LOGITS + end, 13, outputs=outputs))[0].original.ending
    assert (ending.output, ending.ends_in) == (taken, ends_in)
    assert any(f"of its outputs {taken!r} is taken" in note for note in ending.notes)
    features = [name for name in ("a", "f") if f"] {name}" in outputs]  # which would be missed silently
    for name, warning in zip(features, ending.warnings, strict=True):
        assert f"output {name!r} is left out" in warning and "--task features" in warning


def test_an_output_beside_the_classifier_is_warned_of(write, hold):
    body = LOGITS + "y = Identity (l) m = Conv (a, m11)"
    ending = hold(write(body, 13, outputs="float[N,5,16,16] m, float[N,5] y"))[0].original.ending
    assert ending.output == "y" and "output 'm' is left out" in ending.warnings[0]


@pytest.mark.parametrize("shape", ["[1]", "[1,1]", ""])
def test_one_logit(shape, write, hold):
    """Its axis is often gone."""
    end = {"[1]": "y = Squeeze (o, last)", "[1,1]": "y = Identity (o)", "": "y = Squeeze (o)"}[shape]
    body = START + f"f = Flatten (g) l = MatMul (f, single) o = Sigmoid (l) {end}"
    used = {"last": ints(1)} if "last" in end else {}
    single = np.random.default_rng(3).normal(0, 1, (8, 1)).astype(np.float32)
    imported, logits, found = hold(
        write(body, 13, "1,3,32,32", outputs=f"float{shape} y", single=single, **used)
    )
    assert imported.classes == 1 and imported.original.ending.ends_in == "sigmoid"
    np.testing.assert_allclose(found["y"].reshape(-1), 1 / (1 + np.exp(-logits[0])), rtol=1e-5)


REFUSED = [
    ("y = HardSigmoid (l)", "float[N,5] y", "ends in HardSigmoid.*neither the sigmoid nor the softmax"),
    ("y = Tanh (l)", "float[N,5] y", "ends in Tanh"),
    (
        "s = Mul (l, k5) t = Add (s, half) y = Clip (t, zero, one)",
        "float[N,5] y",
        "computed of what a Clip gives",
    ),
    ("s = Sigmoid (l) y = Mul (s, hundred)", "float[N,5] y", "computed of what a Sigmoid gives"),
    ("s = Sigmoid (l) y = Sub (one, s)", "float[N,5] y", "computed of what a Sigmoid gives"),
    ("s = Softmax <axis = 1> (l) y = Mul (s, hundred)", "float[N,5] y", "a softmax inside"),
    (
        "s = Exp (l) t = ReduceSum (s, last) y = Div (s, t)",
        "float[N,5] y",
        "ends in Div.*neither the sigmoid",
    ),
    ("s = Neg (l) t = Exp (s) u = Add (t, one) y = Div (one, u)", "float[N,5] y", "ends in Div.*neither the"),
    ("y = LpNormalization <axis = 1> (l)", "float[N,5] y", "the length of a vector: an embedding"),
    ("n = ReduceL2 <axes = [1]> (l) y = Div (l, n)", "float[N,5] y", "the length of a vector: an embedding"),
    (
        "n = ReduceL2 <axes = [1]> (l) m = Clip (n, zero) e = Expand (m, two) y = Div (l, e)",
        "float[N,5] y",
        "the length of a vector",
    ),
    (
        "q = Mul (l, l) n = ReduceSum (q, last) r = Sqrt (n) i = Reciprocal (r) y = Mul (l, i)",
        "float[N,5] y",
        "the length of a vector",
    ),
    ("y = Softmax <axis = 0> (l)", "float[N,5] y", "works along axis 0"),
    ("y = ArgMax <axis = 0> (l)", "int64[1,5] y", "works along axis 0"),
    ("v, y = TopK <largest = 0> (l, k1)", "int64[N,1] y", "takes the smallest"),
    (
        "y = Softmax <axis = 1> (l) z = Sigmoid (l)",
        "float[N,5] y, float[N,5] z",
        "softmax and sigmoid of one",
    ),
    (
        "y = Identity (l) z = MatMul (f, other)",
        "float[N,5] y, float[N,3] z",
        "several could be the classifier's",
    ),
    (
        "s = Softmax <axis = 1> (l) t = Greater (s, half) y = Cast <to = 1> (t)",
        "float[N,5] y",
        "with a softmax",
    ),
    ("s = Sigmoid (l) t = Greater (s, many) y = Cast <to = 1> (t)", "float[N,5] y", "with several numbers"),
    ("s = Sigmoid (l) t = Greater (s, two_and) y = Cast <to = 1> (t)", "float[N,5] y", "always so or never"),
]


@pytest.mark.parametrize(("end", "outputs", "message"), REFUSED, ids=[end[:50] for end, _, _ in REFUSED])
def test_ends_that_no_task_reads_are_refused(end, outputs, message, write):
    constants = {
        **{
            "zero": scalar(0),
            "one": scalar(1),
            "half": scalar(0.5),
            "hundred": scalar(100),
            "k5": scalar(0.2),
        },
        **{"last": ints(1), "two": ints(1, 5), "k1": ints(1), "two_and": scalar(2)},
        "many": np.linspace(0.1, 0.9, 5, dtype=np.float32),
        "other": np.ones((8, 3), np.float32),
    }
    words = end.replace("(", " ").replace(")", " ").replace(",", " ").split()
    used = {name: value for name, value in constants.items() if name in words}
    with pytest.raises(GraphError, match=rf"(?s)x\.onnx.*{message}.*\n  → "):
        importing.from_proto(write(LOGITS + end, 13, outputs=outputs, **used), "x.onnx")


def test_a_relu_at_the_end_is_warned_of(write, hold):
    ending = hold(write(LOGITS + "y = Relu (l)", 13))[0].original.ending
    assert "ends in a Relu" in ending.warnings[0]


def test_the_largest_of_sigmoids_is_warned_of(write, hold):
    body = LOGITS + "s = Sigmoid (l) y = ArgMax <axis = 1> (s)"
    ending = hold(write(body, 13, outputs="int64[N,1] y"))[0].original.ending
    assert ending.ends_in == "sigmoid" and "--task classification" in ending.warnings[0]
