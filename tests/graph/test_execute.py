"""The interpreter computes what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.errors import GraphError
from edgeeff.graph.execute import Run, execute, prepare, trace
from edgeeff.graph.passes import fuse_swish

EACH = {
    "Add": "y = Add (x, k)",
    "BatchNormalization": "y = BatchNormalization <epsilon = 0.01> (x, p, k4, k4, p)",
    "Clip": "y = Clip (x, low, high)",
    "Conv": "y = Conv <pads = [1, 1, 1, 1]> (x, w, k5)",
    "Flatten": "y = Flatten (x)",
    "Gemm": "a = Flatten (x) y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (a, m, k5)",
    "GlobalAveragePool": "y = GlobalAveragePool (x)",
    "Mul": "y = Mul (x, k)",
    "Relu": "y = Relu (x)",
    "Sigmoid": "y = Sigmoid (x)",
    "Softmax": "a = Flatten (x) y = Softmax (a)",
    "Sub": "y = Sub (x, k)",
    "Swish": "s = Sigmoid (x) y = Mul (x, s)",
}
OTHERS = [
    "y = Conv (x, w)",
    "y = Conv <pads = [0, 1, 2, 1], strides = [2, 2]> (x, w, k5)",
    "y = Conv <pads = [1, 1, 1, 1], strides = [2, 1], dilations = [2, 2]> (x, w)",
    "y = Conv <group = 4, pads = [0, 0, 1, 1], strides = [2, 2]> (x, depthwise)",
    "a = Flatten (x) y = Gemm (a, mt)",
    "g = GlobalAveragePool (x) s = Sigmoid (g) y = Mul (s, x)",
    "y = Sub (k, x)",
    "y = Softmax <axis = 1> (x)",
    "y = Add (x, x)",
]


def relative_error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture
def constants(weights):
    m = weights(5, 256)
    return {
        **{"k": weights(1, 4, 1, 1), "k4": weights(4), "k5": weights(5), "p": np.abs(weights(4)) + 0.1},
        **{"low": np.float32(-0.5), "high": np.float32(0.75), "w": weights(5, 4, 3, 3)},
        **{"depthwise": weights(4, 1, 5, 5), "m": m, "mt": np.ascontiguousarray(m.T)},
    }


@pytest.mark.parametrize("body", [*EACH.values(), *OTHERS])
def test_equal_to_onnxruntime(body, graph_of, constants, x, run_onnx):
    used = {
        name: value
        for name, value in constants.items()
        if name in body.replace("(", " ").replace(",", " ").replace(")", " ").split()
    }
    model = graph_of(body, **used)
    expected = run_onnx(model, x)
    if body == EACH["Swish"]:
        fuse_swish.rewrite(model)
        assert [node.op_type for node in model.graph] == ["Swish"]
    found = execute(prepare(model), torch.from_numpy(x)).numpy()
    assert found.shape == expected.shape
    assert relative_error(found, expected) <= 1e-5


@pytest.mark.parametrize("name", ["lite0", "b0"])
def test_whole_networks_and_any_batch(name, networks, run_onnx):
    network = networks[name]
    program = prepare(network.graph)
    x = network.preprocess.normalise(network.images[:3])
    found = execute(program, torch.from_numpy(x)).numpy()
    assert relative_error(found, run_onnx(network.graph, x)) <= 1e-4
    assert relative_error(execute(program, torch.from_numpy(x[1:2])).numpy(), found[1:2]) <= 1e-4


def test_shapes_for_one_image_join_no_images(graph_of):
    """As a detector's levels are: [1, H, W, places · classes] → [1, −1, classes], one behind the other."""
    body = (
        "t = Transpose <perm = [0, 2, 3, 1]> (x) a = Reshape (t, sizes) "
        "p = MaxPool <kernel_shape = [2, 2]> (x) u = Transpose <perm = [0, 2, 3, 1]> (p) "
        "b = Reshape (u, sizes) y = Concat <axis = 1> (a, b)"
    )
    program = prepare(graph_of(body, sizes=np.array([1, -1, 2], np.int64)))
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4, 8, 8), np.float32))
    alone = [execute(program, images[i : i + 1]) for i in range(3)]
    assert alone[0].shape == (1, 2 * (64 + 49), 2)
    assert torch.equal(execute(program, images), torch.cat(alone))


def test_every_tensor_is_observed_once_in_order(b0):
    seen = []
    x = torch.from_numpy(b0.preprocess.normalise(b0.images[:1]))
    logits = execute(prepare(b0.graph), x, lambda name, value: seen.append((name, value)))
    assert [name for name, _ in seen] == ["input", *(n.outputs[0].name for n in b0.graph.graph)]
    assert torch.equal(seen[0][1], x)
    assert torch.equal(seen[-1][1], logits)


def test_tensors_are_forgotten_after_their_last_reader(b0):
    """What lives at once is bounded by the widest point, not by the sum of all tensors."""
    import weakref

    alive, total = [], 0
    most = 0

    def observe(name, value):
        nonlocal most, total
        size = value.numel()
        total += size
        alive.append((weakref.ref(value), size))
        most = max(most, sum(n for reference, n in alive if reference() is not None))

    execute(prepare(b0.graph), torch.from_numpy(b0.preprocess.normalise(b0.images[:1])), observe)
    assert most < total / 5


def test_nodes_read_what_they_are_given(graph_of, weights, x):
    """A reader stands between each node and each of its inputs, constants too, and changes no other's."""
    model = graph_of(
        "a = Relu (x) b = Conv (a, w) c = Add (a, k) y = Add (b, c)",
        w=weights(4, 4, 1, 1),
        k=np.ones((1, 4, 1, 1), np.float32),
    )
    names = {id(node): node.outputs[0].name for node in model.graph}
    asked = []

    def read(node, index, value):
        asked.append((names[id(node)], index))
        return value * 0 if asked[-1] == ("b", 1) else value

    images = torch.from_numpy(x)
    found = execute(prepare(model), images, read=read)
    assert asked == [("a", 0), ("b", 0), ("b", 1), ("c", 0), ("c", 1), ("y", 0), ("y", 1)]
    torch.testing.assert_close(found, images.relu() + 1)


def test_gradients_flow_only_where_they_are_wanted(b0):
    images = torch.from_numpy(b0.preprocess.normalise(b0.images[:1])).requires_grad_()
    program = prepare(b0.graph)
    assert not execute(program, images).requires_grad
    trace(program, images)["logits"].sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0


def test_a_forked_run_ends_as_the_whole_one(b0):
    program = prepare(b0.graph)
    images = torch.from_numpy(b0.preprocess.normalise(b0.images[:2]))
    expected = execute(program, images)
    with torch.inference_mode():
        run = Run(program, {program.input: images}, dict(program.reads))
        for _ in range(40):
            run.step()
        fork = run.fork()
        changed = fork.finish(lambda node, index, value: value * 0.9 if index == 0 else value)["logits"]
        assert not torch.equal(changed, expected)
        assert torch.equal(run.fork().finish()["logits"], expected)  # what a fork did is its own affair
        assert torch.equal(run.finish()["logits"], expected)


def test_unknown_operator_is_named(graph_of):
    model = graph_of("a = Relu (x) y = Elu (a)")
    next(n for n in model.graph if n.op_type == "Elu").name = "block.activation"
    with pytest.raises(GraphError, match=r"operator Elu of node 'block\.activation' is not supported"):
        prepare(model)
