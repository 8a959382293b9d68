"""A detector whose boxes can be computed by hand: the cells of an image that are red, green or blue."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgeeff import backends, tasks
from edgeeff.backends import Emission
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.detection.facts import Where
from edgeeff.preprocess import Preprocess
from edgeeff.readme import readme
from edgeeff.target import load_target

COLOURS = ("red", "green", "blue")
#: 8 x 8 cells of 8 pixels, an anchor each that is just its cell.
GEOMETRY = Geometry((64, 64), (3, 3), 1, ((1.0, 1.0),), 1.0)
PREPROCESS = Preprocess((64, 64), (0.0,) * 3, (1.0,) * 3, 1.0, "bilinear", letterbox=(30, 30, 30))


def cells_graph(classes: int = 3) -> onnx.ModelProto:
    """The mean of each cell, less 128, over 16: a logit of each colour; codes that move nothing."""
    constants = {
        "shift": np.float32(128),
        "scale": np.float32(1 / 16),
        "nothing": np.float32(0),
        "to_logits": np.array([1, 64, 3], np.int64),
        "to_codes": np.array([1, 64, 4], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["input"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Transpose", ["cells"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "to_logits"], ["means"]),
        helper.make_node("Sub", ["means", "shift"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "scale"], ["class_logits"]),
        helper.make_node("Concat", ["last", "last"], ["six"], axis=3),
        helper.make_node("Slice", ["six", "from", "to", "axis"], ["four"]),
        helper.make_node("Reshape", ["four", "to_codes"], ["codes"]),
        helper.make_node("Mul", ["codes", "nothing"], ["box_codes"]),
    ]
    constants |= {name: np.array([value], np.int64) for name, value in (("from", 0), ("to", 4), ("axis", 3))}
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])],
        [
            helper.make_tensor_value_info("class_logits", TensorProto.FLOAT, [1, 64, 3]),
            helper.make_tensor_value_info("box_codes", TensorProto.FLOAT, [1, 64, 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


@pytest.fixture(scope="session")
def make_cells(tmp_path_factory) -> Callable[..., Bundle]:
    """A float bundle of it for OpenVINO; keywords change the manifest."""

    def make(target_name: str = "cpu-fp32", where: Where = "host", most: int = 20, **changes) -> Bundle:
        detection = Detection(GEOMETRY, Nms(0.05, max_boxes=most), where)
        labels = changes.get("labels", COLOURS)
        outputs = tasks.room("detection").outputs(detection.outputs(3))
        heads = tasks.room("detection").outputs(replace(detection, where="host").outputs(3))
        target = load_target(target_name)
        emission = Emission(
            *("cells", target, PREPROCESS, labels),
            task="detection",
            threshold=0.3,
            outputs=heads,
            detection=detection,
        )
        files = dict(backends.runtime(target.runtime).part("emit").emit(cells_graph(), emission))
        files["README.md"] = readme(emission).encode()
        manifest = Manifest(
            **{
                **{"name": "cells", "model": "cells", "target": target_name, "runtime": target.runtime},
                **{"precision": target.precision, "input": target.input, "softmax": False},
                **{"cpu_class": "avx2", "preprocess": PREPROCESS, "labels": labels, "classes": 3},
                **{"runtime_properties": target.runtime_properties, "digests": {}, "tools": {}, "files": {}},
                **{"task": "detection", "threshold": 0.3, "outputs": outputs, "detection": detection},
                **changes,
            }
        )
        return write_bundle(tmp_path_factory.mktemp("cells") / "cells", manifest, files)

    return make


@pytest.fixture(scope="session")
def cells(make_cells) -> Bundle:
    """As it is."""
    return make_cells()


@pytest.fixture
def photo(tmp_path) -> Callable[..., str]:
    """A grey photo of 128 x 64 with a blue cell at its left top, and a red one at its right bottom."""

    def make(name: str = "photo.png", size=(128, 64), **saved):
        pixels = np.full((size[1], size[0], 3), 20, np.uint8)
        down, across = max(size) // 8, max(size) // 8
        pixels[:down, :across] = 20, 20, 190
        pixels[-down:, -across:] = 240, 20, 20
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, **saved)
        return path

    return make
