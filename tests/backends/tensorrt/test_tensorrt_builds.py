from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeeff.backends.tensorrt.builds import builds, hold
from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.board import board_names, load_board
from edgeeff.errors import BundleError, OptionError, VerificationError

INT8 = ("model.qdq.onnx", "model.qdq.fp16.onnx")


@pytest.fixture
def bundle(lite_hub, tmp_path):
    onnx.save(lite_hub, tmp_path / INT8[0])
    onnx.save(fp16_from_fp32(lite_hub), tmp_path / INT8[1])
    return tmp_path


def test_which_file_each_tensorrt_of_agx_orin_builds():
    found = {b.software.tensorrt: b for b in builds(load_board("agx-orin"), INT8)}
    assert {v: b.file for v, b in found.items()} == {
        **dict.fromkeys(["8.5", "8.6", "10.3"], "model.qdq.onnx"),
        **dict.fromkeys(["10.16", "11.4"], "model.qdq.fp16.onnx"),
    }
    assert found["10.3"].flags == ("--int8", "--fp16") and not found["10.3"].strongly_typed
    assert found["10.16"].flags == ("--stronglyTyped",) and found["10.16"].strongly_typed
    assert found["11.4"].flags == () and found["11.4"].strongly_typed


def test_the_control_is_built_where_the_bundle_has_it():
    board = load_board("orin-nano")
    assert {b.precision for b in builds(board)} == {"int8", "fp16"}
    control = builds(board, ["model.float.onnx", "model.float.fp16.onnx", "plan.json"])
    assert {b.precision for b in control} == {"fp16"}
    assert len(control) == len(board.software)
    assert builds(board, ["model.tflite"]) == []


@pytest.mark.parametrize("name", board_names())
def test_bundles_are_for_every_tensorrt_of_every_board(name, bundle):
    """And the graphs keep the rules of exactly these versions."""
    board = load_board(name)
    planned = builds(board, INT8)
    assert len(planned) == len(board.software)
    held = hold(bundle, board, planned)
    assert held.versions == board.tensorrt and held.to_json()["errors"] == 0


def test_a_broken_rule_is_an_error_for_the_versions_that_build_the_file(bundle):
    model = onnx.load(bundle / INT8[0])
    for constant in model.graph.initializer:
        if constant.name == "input_zero_point":
            constant.CopyFrom(numpy_helper.from_array(np.int8(3), constant.name))
    onnx.save(model, bundle / INT8[0])
    board = load_board("orin-nano")
    with pytest.raises(VerificationError, match=r"TensorRT 8\.5, 8\.6, 10\.3 does not take model\.qdq\.onnx"):
        hold(bundle, board, builds(board, INT8))
    thor = load_board("thor")  # builds the other file
    assert hold(bundle, thor, builds(thor, INT8)).versions == ("10.13", "10.16", "11.4")


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_a_graph_that_cannot_be_read(damage, bundle):
    if damage == "missing":
        (bundle / INT8[0]).unlink()
    else:
        (bundle / INT8[0]).write_bytes(b"\xff" * 100)
    board = load_board("xavier-nx")
    with pytest.raises(BundleError, match="cannot be read"):
        hold(bundle, board, builds(board, INT8))


def test_a_board_with_a_tensorrt_that_nothing_is_built_for():
    board = load_board("orin-nano")
    old = replace(board, software=(replace(board.software[0], tensorrt="8.2"),))
    with pytest.raises(OptionError, match=r"TensorRT 8\.2"):
        builds(old)
