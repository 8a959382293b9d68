"""--board: what an NVIDIA board brings, told by doctor and held against by build."""

from __future__ import annotations

import pytest

from edgeeff.board import board_names
from edgeeff.bundle import Bundle


def test_doctor_tells_what_a_board_brings(edgeeff):
    result = edgeeff("doctor", "--board=orin-nano")
    assert result.status == 0, result.err
    said = result.out.partition("board orin-nano")[2]
    rows = [line.split() for line in said.splitlines()]
    assert ["6.1,", "6.2", "10.3", "model.qdq.onnx", "model.float.onnx"] in rows
    assert ["7.2", "10.16", "?", "model.qdq.fp16.onnx", "model.float.fp16.onnx"] in rows
    assert ["--int8", "--fp16", "--fp16"] in rows and "strongly typed" in said
    assert "not verified: 8.6 in JetPack 6.0" in said
    assert "DLA is not promised: the Orin Nano has no DLA" in said and "NOT RUN" in said


def test_doctor_as_json(edgeeff):
    found = edgeeff("doctor", "--board=agx-orin", "--json").data
    assert {"machine", "parts", "cache_bytes", "board", "plugins"} == set(found)
    board = found["board"]
    assert board["compute_capability"] == "8.7" and board["dla_cores"] == 2 and "DLA" in board["dla"]
    built = {(b["tensorrt"], b["precision"]): b for b in board["builds"]}
    assert built["10.3", "int8"]["file"] == "model.qdq.onnx"
    assert built["10.3", "int8"]["flags"] == ["--int8", "--fp16"]
    assert built["11.4", "int8"] == {
        **{"jetpack": "7.2.2+", "tensorrt": "11.4", "precision": "int8", "flags": []},
        **{"file": "model.qdq.fp16.onnx", "strongly_typed": True},
    }
    assert "board" not in edgeeff("doctor", "--json").data


@pytest.mark.parametrize(
    "verb",
    [["doctor"], ["build", "--model=lite0", "--target=jetson-int8", "--output=out"]],
    ids=lambda v: v[0],
)
def test_an_unknown_board_is_refused_with_the_names(verb, refused):
    error = refused(*verb, "--board=orin")
    assert "no board named 'orin'" in error and ", ".join(board_names()) in error


def test_a_target_that_does_not_suit_is_refused_before_anything_is_built(refused_build):
    error = refused_build("--board=xavier-nx", "--target=jetson-int8")
    assert "target cpu-int8 (openvino, int8) is not for the board xavier-nx" in error
    assert "jetson-int8 or jetson-fp16" in error


def test_a_build_for_a_board(edgeeff, ten_photos, lite0_bundles):
    """It is the bundle of a build for no board, and what is told of it besides."""
    arguments = (
        *("build", "--model=lite0", "--size=96", f"--calibration={ten_photos}", "--target=jetson-int8"),
        *(f"--output={lite0_bundles}", "--board=thor"),
    )
    result = edgeeff(*arguments)
    assert result.status == 0, result.err
    assert "(unchanged)" in result.out
    said = result.out.partition("board thor")[2]
    assert "lite0-jetson-int8 keeps the rules of TensorRT 10.13, 10.16, 11.4" in said
    assert "model.qdq.fp16.onnx" in said and "model.qdq.onnx" not in said
    assert "DLA is not promised: Jetson Thor has no DLA" in said
    (found,) = edgeeff(*arguments, "--json").data
    assert found["unchanged"] and found["board"]["name"] == "thor"
    assert found["board"]["lint"]["tensorrt"] == ["10.13", "10.16", "11.4"]
    assert found["board"]["lint"]["errors"] == 0
    files = Bundle.load(lite0_bundles / "lite0-jetson-int8").manifest.files
    assert {b["file"] for b in found["board"]["builds"]} <= set(files)
