"""samples/deepstream: the configuration agrees with the bundle's own; the parser reads what engines give."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

#: Of NVIDIA's nvdsinfer.h and nvdsinfer_custom_impl.h what a parser has use for, in our words.
HEADER = """
#include <vector>
enum NvDsInferDataType { FLOAT = 0, HALF = 1, INT8 = 2, INT32 = 3 };
struct NvDsInferDims { unsigned numDims; unsigned d[8]; unsigned numElements; };
struct NvDsInferLayerInfo {
    NvDsInferDataType dataType; NvDsInferDims inferDims; int bindingIndex;
    const char* layerName; void* buffer; int isInput;
};
struct NvDsInferNetworkInfo { unsigned width, height, channels; };
struct NvDsInferObjectDetectionInfo {
    unsigned classId; float left, top, width, height, detectionConfidence, rotation_angle;
};
struct NvDsInferParseDetectionParams {
    unsigned numClassesConfigured; std::vector<float> perClassPreclusterThreshold;
};
"""
PROGRAM = """
#include "parser.cpp"
#include <cstdio>
int main() {
    int count = 6;
    float nan = std::nanf("");
    float boxes[] = {1, 2, 30, 40, -5, -6, 500, 600, 0, 0, 9, 9, 0, 0, 9, 9, 7, 7, 7, 7, nan, 0, 9, 9};
    float scores[] = {0.9f, 0.8f, 0.1f, 0.7f, 0.6f, 0.5f}, classes[] = {1, 0, 0, 5, 0, 0};
    std::vector<NvDsInferLayerInfo> layers{
        {FLOAT, {2, {6, 4}, 24}, 0, "detection_boxes", boxes, 0},
        {INT32, {1, {1}, 1}, 0, "num_detections", &count, 0},
        {FLOAT, {1, {6}, 6}, 0, "detection_scores", scores, 0},
        {FLOAT, {1, {6}, 6}, 0, "detection_classes", classes, 0}};
    std::vector<NvDsInferObjectDetectionInfo> found;
    NvDsInferParseDetectionParams parameters{2, {0.5f, 0.3f}};
    bool right = NvDsInferParseEdgeeff(layers, {96, 64, 3}, parameters, found);
    for (auto& o : found)
        std::printf(
            "%u %g %g %g %g %g\\n", o.classId, o.left, o.top, o.width, o.height, o.detectionConfidence);
    layers[3].dataType = INT32;
    std::printf("%d %d\\n", right, NvDsInferParseEdgeeff(layers, {96, 64, 3}, parameters, found));
}
"""


@pytest.fixture
def configure(samples):
    """``configure(bundle, *arguments)``: the script, ended."""

    def run(bundle, *arguments):
        command = [sys.executable, samples / "deepstream" / "configure.py", bundle.folder, *arguments]
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)

    return run


def read(text):
    """A file of DeepStream's, as GKeyFile reads it."""
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_the_configuration_agrees_with_the_bundles_own(task, tiny_bundle, configure):
    letterbox = {"crop": 1.0, "letterbox": (0.0, 0.0, 0.0)} if task == "detection" else {}
    bundle = tiny_bundle("jetson-fp16", task, "runtime", **letterbox)
    uri = "rtsp://me:secret@10.0.0.7:554/live?channel=1"
    done = configure(bundle, uri, "--port", "9000", "--software")
    assert done.returncode == 0, done.stderr
    assert "trtexec --onnx=" in done.stderr  # its engine is not built yet
    app = read(done.stdout)
    infer = Path(app["primary-gie"]["config-file"])
    assert infer.is_absolute() and infer.samefile(
        bundle.folder / "deploy/deepstream/config_infer_primary.txt"
    )
    own = read(infer.read_text())["property"]
    assert app["primary-gie"]["gie-unique-id"] == own["gie-unique-id"]
    assert app["streammux"]["batch-size"] == own["batch-size"] == "1"
    assert (app["source0"]["uri"], app["source0"]["type"]) == (uri, "4")
    assert (app["sink0"]["type"], app["sink0"]["rtsp-port"], app["sink0"]["enc-type"]) == ("4", "9000", "1")


def test_what_deepstream_cannot_draw_is_refused(tiny_bundle, configure):
    bundle = tiny_bundle("jetson-fp16")
    for where in ("http://camera/live", "rtsp://camera/a b", "rtsp://camera/\nuri=x"):
        assert configure(bundle, where).returncode == 2
    for other, why in (
        (tiny_bundle("jetson-fp16", "features"), "draws nothing"),
        (tiny_bundle("jetson-fp16", batch=4), "4 frames in a run"),
        (tiny_bundle("cpu-fp32"), "not of TensorRT"),
    ):
        refused = configure(other, "rtsp://camera/live")
        assert refused.returncode == 2 and why in refused.stderr and not refused.stdout
        assert refused.stderr.count("\n") == 1


def test_the_parser_keeps_what_is_a_box(samples, needs, tmp_path):
    needs("g++")
    (tmp_path / "nvdsinfer_custom_impl.h").write_text(HEADER)
    (tmp_path / "main.cpp").write_text(PROGRAM)
    flags = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-I", tmp_path, "-I", samples / "deepstream"]
    subprocess.run(["g++", *flags, tmp_path / "main.cpp", "-o", tmp_path / "run"], check=True)
    said = subprocess.run([tmp_path / "run"], check=True, capture_output=True, text=True).stdout.splitlines()
    # Under its class's threshold, of an unknown class, empty, and no number: four that are left out.
    assert said == ["1 2 1 38 29 0.9", "0 0 0 96 64 0.8", "1 0"]
