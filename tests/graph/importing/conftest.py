"""A small network with all parts of an EfficientNet, ways to export it, and what imports are held to."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper, parser
from torch import nn
from torch.nn import functional as F

from edgeeff.graph import importing, passes
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.importing import comparing
from edgeeff.graph.model import expand_functions

TOLERANCE = 1e-4
OURS = {"Conv", "Swish", "Clip", "Relu", "Sigmoid", "Mul", "Add", "GlobalAveragePool", "Flatten", "Gemm"}


class ConvNorm(nn.Module):
    """Convolution and batch normalisation; zeros put around it as TensorFlow or as torch does."""

    def __init__(self, inputs, outputs, kernel=1, stride=1, groups=1, same=False):
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, 0 if same else kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.same = same

    def forward(self, x):
        if self.same:  # right for even sizes at stride 2
            before = (self.conv.kernel_size[0] - self.conv.stride[0]) // 2
            after = self.conv.kernel_size[0] - self.conv.stride[0] - before
            x = F.pad(x, (before, after, before, after))
        return self.norm(self.conv(x))


class Block(nn.Module):
    """MBConv, with squeeze-excite unless the activation is ReLU6."""

    def __init__(self, inputs, outputs, kernel, stride, activation, same):
        super().__init__()
        wide = 2 * inputs
        self.activation = activation
        self.expand = ConvNorm(inputs, wide)
        self.depthwise = ConvNorm(wide, wide, kernel, stride, wide, same)
        self.reduce, self.gate = nn.Conv2d(wide, 4, 1), nn.Conv2d(4, wide, 1)
        self.project = ConvNorm(wide, outputs)
        self.residual = inputs == outputs and stride == 1
        self.excite = not isinstance(activation, nn.ReLU6)

    def forward(self, x):
        y = self.activation(self.depthwise(self.activation(self.expand(x))))
        if self.excite:
            pooled = y.mean((2, 3), keepdim=True)
            y = y * torch.sigmoid(self.gate(self.activation(self.reduce(pooled))))
        y = self.project(y)
        return x + y if self.residual else y


class Small(nn.Module):
    """Stem, two blocks, head: an EfficientNet in little."""

    def __init__(self, activation=None, same=False, head="linear", classes=10):
        super().__init__()
        activation = activation or nn.SiLU()
        self.activation, self.head_form = activation, head
        self.stem = ConvNorm(3, 8, 3, 2, same=same)
        self.blocks = nn.Sequential(Block(8, 8, 3, 1, activation, same), Block(8, 12, 5, 2, activation, same))
        self.top = ConvNorm(12, 16)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Conv2d(16, classes, 1) if head == "conv" else nn.Linear(16, classes)
        random = torch.Generator().manual_seed(0)
        for key, value in self.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=random)
            elif value.dim() > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=random)
            elif value.dim() == 1:
                value.normal_(1 if key.endswith("norm.weight") else 0, 0.2, generator=random)
        self.eval()

    def forward(self, x):
        y = self.activation(self.top(self.blocks(self.stem(x))))
        if self.head_form == "conv":
            return self.classifier(F.adaptive_avg_pool2d(y, 1)).flatten(1)
        if self.head_form == "mean":
            return self.classifier(y.mean((2, 3)))
        return self.classifier(self.dropout(F.adaptive_avg_pool2d(y, 1).flatten(1)))


class Wrapped(nn.Module):
    """A network between something before and something after it."""

    def __init__(self, network, before=None, after=None):
        super().__init__()
        self.network, self.before, self.after = network, before, after

    def forward(self, x):
        x = self.before(x) if self.before else x
        y = self.network(x)
        return self.after(y) if self.after else y


@pytest.fixture(scope="session")
def small():
    """``small(activation=SiLU, same=False, head="linear", classes=10)``: a tiny network."""
    return Small


@pytest.fixture(scope="session")
def wrapped():
    """``wrapped(network, before, after)``."""
    return Wrapped


@pytest.fixture(scope="session")
def export():
    """``export(module, size=32, opset=17, batch=1, dynamo=False, example=None, **options)``: as ONNX."""

    def run(module, size=32, opset=17, batch=1, dynamo=False, example=None, **options):
        example = torch.zeros(batch, 3, size, size) if example is None else example
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dynamo:
                program = torch.onnx.export(
                    module, (example,), dynamo=True, opset_version=opset, verbose=False, **options
                )
                return program.model_proto
            buffer = io.BytesIO()
            torch.onnx.export(module, (example,), buffer, opset_version=opset, dynamo=False, **options)
        return onnx.load_model_from_string(buffer.getvalue())

    return run


_RANDOM = np.random.default_rng(0)
CONSTANTS = {
    "w": _RANDOM.normal(0, 0.5, (8, 3, 3, 3)),
    "k": _RANDOM.normal(0, 1, (8,)),
    "p": _RANDOM.uniform(0.5, 1.5, (8,)),
    "k1": _RANDOM.normal(0, 1, (1, 8, 1, 1)),
    "k_last": _RANDOM.normal(0, 1, (1, 1, 1, 8)),
    "d": _RANDOM.normal(0, 0.5, (8, 1, 5, 5)),
    "m": _RANDOM.normal(0, 1, (5, 8)),
    "mt": _RANDOM.normal(0, 1, (8, 5)),
    "m11": _RANDOM.normal(0, 1, (5, 8, 1, 1)),
    "s1": _RANDOM.normal(0, 1, (4, 8, 1, 1)),
    "s2": _RANDOM.normal(0, 1, (8, 4, 1, 1)),
    "t1": _RANDOM.normal(0, 1, (8, 4)),
    "t2": _RANDOM.normal(0, 1, (4, 8)),
    "b": _RANDOM.normal(0, 1, (5,)),
    "b4": _RANDOM.normal(0, 1, (4,)),
}


def written(body, opset=17, shape="N,3,32,32", kind="float", outputs="float[N,5] y", **constants):
    """A model in ONNX's text form, from ``x`` to ``y``, with those of CONSTANTS that it names and others."""
    text = (
        f'<ir_version: 8, opset_import: ["" : {opset}]> net ({kind}[{shape}] x) => ({outputs}) {{ {body} }}'
    )
    model = parser.parse_model(text)
    read = {name for node in model.graph.node for name in node.input}
    given = {name: np.asarray(v, np.float32) for name, v in CONSTANTS.items() if name in read} | constants
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in given.items())
    return model


@pytest.fixture(scope="session")
def write():
    """``write(body, opset=17, shape="N,3,32,32", kind="float", **constants)``: a model from its text form."""
    return written


def original_logits(model, imported, pixels):
    """What the original file makes of pixels uint8 [N, 3, H, W], fed as :class:`Original` says."""
    original = imported.original
    x = network_input(imported, pixels)
    if imported.mean is not None:
        x = pixels / original.divisor
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1) if original.layout == "NHWC" else x).astype(
        original.dtype
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(str(model) if isinstance(model, Path) else data, options)
    batch = original.batch or len(x)
    found = []
    for start in range(0, len(x), batch):
        part = np.resize(x[start : start + batch], (batch, *x.shape[1:]))
        (values,) = session.run([original.output], {original.input: part})
        found.append(values.reshape(batch, -1))
    return np.concatenate(found)[: len(x)].astype(np.float64)


def network_input(imported, pixels):
    """What the imported graph reads: pixels normalised, by its own mean and std if it has them."""
    mean, std = imported.mean or (120.0,), imported.std or (60.0,)
    wide = (np.asarray(v).reshape(1, -1, 1, 1) for v in (mean, std))
    mean, std = wide
    return ((pixels - mean) / std).astype(np.float32)


@pytest.fixture(scope="session")
def imports(make_images):
    """``imports(model or path, size=None, tolerance=1e-4)``: Imported, shown to compute what the file does.

    Its graph is of our own form as well, after the passes.
    """

    def check(model, size=None, tolerance=TOLERANCE):
        if isinstance(model, Path):
            imported = importing.read(model, size)
        else:
            before = model.SerializeToString(deterministic=True)
            imported = importing.from_proto(model, "model.onnx", size)
            assert model.SerializeToString(deterministic=True) == before
        passes.run(imported.model)
        assert_ours(imported)
        pixels = make_images(3, max(imported.size), 7)[:, : imported.size[0], : imported.size[1]]
        pixels = np.concatenate([pixels, pixels[..., :1]], axis=3)[..., : imported.channels]
        pixels = pixels.transpose(0, 3, 1, 2)
        expected = original_logits(model, imported, pixels)
        x = torch.from_numpy(network_input(imported, pixels))
        found = execute(prepare(imported.model), x).double()
        # The image does matter; else anything would compute the same.
        assert np.ptp(found.numpy(), 0).max() > 10 * tolerance * np.abs(found.numpy()).max()
        found = comparing.ended(found.numpy(), imported.original.ending.made)
        assert found.shape == expected.shape == (3, imported.classes)
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
        return imported

    return check


def assert_ours(imported):
    """The graph has the form of our own exports."""
    graph = imported.model.graph
    assert {node.op_type for node in graph} <= OURS
    assert (graph.inputs[0].name, graph.outputs[0].name) == ("input", "logits")
    assert list(graph.inputs[0].shape) == [1, imported.channels, *imported.size]
    assert list(graph.outputs[0].shape) == [1, imported.classes]
    assert [node.op_type for node in graph].count("Flatten") == 1
    names = [node.name for node in graph]
    assert len(set(names)) == len(names)
    for node in graph:
        assert all(isinstance(size, int) for size in node.outputs[0].shape)
        if node.op_type in ("Conv", "Gemm"):
            assert len(node.inputs) == 3 and node.inputs[2].is_initializer()
            assert "auto_pad" not in node.attributes
    standard = expand_functions(imported.model)
    assert {e.domain: e.version for e in standard.opset_import if e.domain == ""} == {"": 17}
    assert standard.ir_version == 8
    onnx.checker.check_model(standard, full_check=True)
