"""The corpus: small graphs, good and bad, each a function of a file in corpus/ that says what it expects."""

from __future__ import annotations

import inspect
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends.tensorrt.lint import VERSIONS

SCALE, ZERO = np.float32(0.05), np.int8(0)


class Net:
    """Writes one graph node by node, and what linter and parser are to say of it.

    The input is float32 [1, 16, 8, 8]. A weight has 16 output channels, and a scale for each.
    """

    def __init__(self):
        self.opset, self.shape, self.type = 17, [1, 16, 8, 8], TensorProto.FLOAT
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.functions, self.domains = [], []
        self.expected = {}
        self.verdict, self.reason = "compiles", ""

    # What is expected.

    def breaks(self, rule, first="8.5", last="11.4"):
        """The rule is broken, for the versions from first to last."""
        names = [str(version) for version in VERSIONS]
        self.expected[rule] = VERSIONS[names.index(first) : names.index(last) + 1]

    def refused(self, because=""):
        """The parser refuses it; because says why the linter says otherwise."""
        self.verdict, self.reason = "refused", because

    def not_compiled(self, because=""):
        """The parser takes it, the compiler does not."""
        self.verdict, self.reason = "not compiled", because

    def float_kernels(self, because=""):
        """It compiles, and none of its convolutions and products reads INT8."""
        self.verdict, self.reason = "float kernels", because

    def taken(self, because):
        """It compiles, and because says why the linter has an error all the same."""
        self.reason = because

    # What the graph is made of.

    def constant(self, value):
        name = f"c{len(self.constants)}"
        tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))
        self.constants.append(onnx.TensorProto())
        self.constants[-1].CopyFrom(tensor)
        self.constants[-1].name = name
        return name

    def node(self, operator, *inputs, **attributes):
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        name = f"{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def qdq(self, x, scale=SCALE, zero=ZERO, **attributes):
        """Q and DQ; a zero of None leaves it out."""
        rest = [scale] if zero is None else [scale, zero]
        codes = self.node("QuantizeLinear", x, *rest, **attributes)
        return self.node("DequantizeLinear", codes, *rest, **attributes)

    def weight(self, codes=None, scale=None, zero=None, axis=0, shape=(16, 16, 3, 3)):
        """int8 weights through DequantizeLinear."""
        codes = self.floats(shape, 40).astype(np.int8) if codes is None else codes
        scale = np.full(16, 0.01, np.float32) if scale is None else scale
        zero = np.zeros(np.shape(scale), np.int8) if zero is None else zero
        return self.node("DequantizeLinear", codes, scale, zero, **({} if axis is None else {"axis": axis}))

    def floats(self, shape=(16, 16, 3, 3), deviation=0.1):
        return np.random.default_rng(7).normal(scale=deviation, size=shape).astype(np.float32)

    def conv(self, x, w, *bias, **attributes):
        return self.node("Conv", x, w, *bias, **{"pads": [1, 1, 1, 1], **attributes})

    def good(self, x="input"):
        """A convolution in INT8, as it should be."""
        return self.conv(self.qdq(x), self.weight())

    def model(self):
        graph = helper.make_graph(
            self.nodes,
            "case",
            self.inputs or [helper.make_tensor_value_info("input", self.type, self.shape)],
            [onnx.ValueInfoProto(name=name) for name in self.outputs or [self.nodes[-1].output[0]]],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in self.domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 19 else 10)
        model.functions.extend(self.functions)
        typed = onnx.shape_inference.infer_shapes(model)
        del typed.graph.value_info[:]
        for value in typed.graph.output:
            value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or TensorProto.FLOAT
        return typed


def _cases():
    found = {}
    for path in sorted((Path(__file__).parent / "corpus").glob("*.py")):
        spec = spec_from_file_location(f"corpus_{path.stem}", path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == spec.name and not name.startswith("_"):
                found[f"{path.stem}.{name}"] = function
    return found


CASES = _cases()


@pytest.fixture
def corpus():
    """Every graph of the corpus by name: the function that writes it into a Net."""
    return CASES


@pytest.fixture
def new_net():
    """A Net without nodes."""
    return Net


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", [pytest.param(f, id=name) for name, f in CASES.items()], indirect=True)


@pytest.fixture
def case(request):
    """One graph of the corpus, with what is expected of it."""
    net = Net()
    request.param(net)
    return net
