"""Bundles of a network whose logits can be computed by hand: how red, green and blue an image is."""

import io
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.batch import ONE
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.graph.batch import with_batch
from edgeeff.pipeline.resolve.frames import taking
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target
from edgeeff.tasks import Output

SIZE = 8
PREPROCESS = Preprocess(size=(SIZE, SIZE), mean=(0.0, 0.0, 0.0), std=(42.5, 42.5, 42.5))
COLOURS = ("red", "green", "blue")


def colour_graph(classifier):
    """Convolution by the identity, ReLU6, mean over the image, and the classifier [classes, 3]."""
    weights = {
        "kernel": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
        "kernel_bias": np.zeros(3, np.float32),
        "zero": np.float32(0),
        "six": np.float32(6),
        "classifier": classifier.astype(np.float32),
        "classifier_bias": np.zeros(len(classifier), np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv",
            ["input", "kernel", "kernel_bias"],
            ["conv"],
            name="conv",
            kernel_shape=[1, 1],
            strides=[1, 1],
            pads=[0, 0, 0, 0],
            dilations=[1, 1],
            group=1,
        ),
        helper.make_node("Clip", ["conv", "zero", "six"], ["relu6"], name="relu6"),
        helper.make_node("GlobalAveragePool", ["relu6"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat", axis=1),
        helper.make_node(
            "Gemm", ["flat", "classifier", "classifier_bias"], ["logits"], name="classifier", transB=1
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(classifier)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def colour_logits(pixels, classifier):
    """What the network says of raw pixels, computed by hand."""
    return (pixels.mean(axis=(1, 2)) / 42.5 @ classifier.T).astype(np.float32)


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.fixture
def network():
    """The colour network's graph and what it says, for tests that change either."""
    return SimpleNamespace(graph=colour_graph, logits=colour_logits, size=SIZE)


@pytest.fixture
def colours():
    """60 images, a third of each colour, and their classes."""
    labels = np.arange(60) % 3
    pixels = np.random.default_rng(0).integers(0, 100, (60, SIZE, SIZE, 3), np.uint8)
    pixels[np.arange(60), :, :, labels] += np.uint8(100)
    return pixels, labels.astype(np.int64)


@pytest.fixture
def make_bundle(tmp_path, colours) -> Callable[..., Bundle]:
    """A float bundle of the colour network by its name, target and classifier, with golden vectors.

    Without ``outputs`` it is laid out as those of schema 1 were.
    """

    def make(
        name="colour",
        target="mobile-fp32",
        classifier=None,
        graph=None,
        golden=True,
        outputs=True,
        batch=ONE,
        camera=None,
        **overrides,
    ):
        classifier = np.eye(3) if classifier is None else classifier
        graph = colour_graph(classifier) if graph is None else graph
        scores = (Output("logits", (1, len(classifier))),)
        wanted, preprocess = load_target(target), replace(PREPROCESS, camera=camera)
        if camera is not None:
            wanted, golden = taking(wanted, camera), False
            overrides = {"input": "uint8", "preprocess": preprocess, **overrides}
        emission = Emission(name, wanted, preprocess, COLOURS, batch=batch)
        graph = with_batch(graph, batch)
        files = dict(backends.runtime(wanted.runtime).part("emit").emit(graph, emission))
        if golden:
            logits = npy(colour_logits(colours[0][:4], classifier))
            end = "/logits.npy" if outputs else ".npy"
            files |= {"golden/inputs.npy": npy(colours[0][:4]), f"golden/hub{end}": logits}
            files |= {f"golden/float{end}": logits}
        manifest = Manifest(
            **{
                "name": name,
                "model": "colour",
                "target": target,
                "runtime": wanted.runtime,
                "precision": wanted.precision,
                "input": wanted.input,
                "softmax": False,
                "cpu_class": "avx2",
                "preprocess": PREPROCESS,
                "labels": COLOURS,
                "classes": len(classifier),
                "runtime_properties": wanted.runtime_properties,
                "digests": {},
                "tools": {},
                "files": {},
                "batch": batch,
                "outputs": scores if outputs is True else outputs or (),
                **overrides,
            }
        )
        return write_bundle(tmp_path / name, manifest, files)

    return make
