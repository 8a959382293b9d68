"""samples/microcontroller: the firmware's part compiles, and the answers are those of edgeeff."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff import backends, c_header
from edgeeff.backends import Emission
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target
from edgeeff.tasks import Output

if missing := backends.runtime("tflite_micro").missing_to_run():
    pytest.skip(f"not installed: {missing}", allow_module_level=True)

#: tflite-micro with a library that was built in it, as the sample's README says.
BUILT = os.environ.get("EDGEEFF_TFLITE_MICRO", "")
STUBS = Path(__file__).parent / "tflite_micro"
LABELS = ('a "quoted" one', "two\nlines", "café 猫")


def quantised() -> onnx.ModelProto:
    """A convolution of stride 8 with ReLU6, a depthwise one, the mean and a classifier; random weights."""
    random, nodes, constants = np.random.default_rng(5), [], []

    def constant(value) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), f"c{len(constants)}"))
        return constants[-1].name

    def node(operator: str, *inputs: str, **attributes) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"n{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def kept(value: str, scale: float, zero_point: int) -> str:
        how = constant(np.float32(scale)), constant(np.int8(zero_point))
        return node("DequantizeLinear", node("QuantizeLinear", value, *how), *how)

    def weights(*shape: int) -> str:
        codes = constant(random.integers(-127, 128, shape).astype(np.int8))
        scales = np.full(shape[0], 2 / 127 / np.sqrt(np.prod(shape[1:])), np.float32)
        return node(
            "DequantizeLinear", codes, constant(scales), constant(np.zeros(shape[0], np.int8)), axis=0
        )

    def convolution(value: str, inputs: int, side: int, groups: int = 1) -> str:
        made = node("Conv", value, weights(8, inputs, side, side), constant(np.zeros(8, np.float32)),
                    strides=[side, side], group=groups)  # fmt: skip
        return kept(node("Clip", made, constant(np.float32(0)), constant(np.float32(6))), 6 / 255, -128)

    stem = convolution(kept("input", 1 / 128, -1), 3, 8)
    pooled = kept(node("GlobalAveragePool", convolution(stem, 1, 2, 8)), 6 / 255, -128)
    flat = node("Flatten", pooled, axis=1)
    gemm = node("Gemm", flat, weights(3, 8), constant(np.float32([0, 0.3, -0.2])), transB=1)
    kept(gemm, 0.03, 4)
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes,
        "hub",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 96])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    target = load_target("mcu-int8")
    preprocess = Preprocess(size=(64, 96), mean=(127.0,) * 3, std=(128.0,) * 3)
    outputs = (Output("logits", (1, 3), "scores"),)
    emission = Emission("tiny-mcu-int8", target, preprocess, LABELS, outputs=outputs)
    files = backends.runtime("tflite_micro").part("emit").emit(quantised(), emission)
    manifest = Manifest(
        *(emission.name, "tiny", target.name, target.runtime, "int8", "int8", False, "avx2"),
        preprocess,
        LABELS,
        len(LABELS),
        *({}, {}, {}, {}),
        outputs=outputs,
    )
    return write_bundle(tmp_path_factory.mktemp("a bundle") / emission.name, manifest, files)


@pytest.fixture(scope="module")
def headers(bundle, tmp_path_factory) -> list[str]:
    """Where the sample finds bundle.h and model_data.h."""
    folder = tmp_path_factory.mktemp("header")
    c_header.write(bundle, folder / "bundle.h")
    return [f"-I{folder}", f"-I{bundle.folder / 'firmware'}"]


def test_it_compiles(needs, samples, headers):
    """Against the declarations of tflite-micro; without warnings."""
    needs("g++", headers=["jpeglib.h"])
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *headers, f"-I{STUBS}"]
    source = samples / "microcontroller" / "run.cpp"
    done = subprocess.run(
        [*command, f"-I{samples / 'common'}", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_python_without_edgeeff(bundle, samples, photo_files, tmp_path):
    """The wheel's interpreter on photos, by what the bundle says of itself."""
    script = samples / "microcontroller" / "run.py"
    assert "import edgeeff" not in script.read_text("utf-8")
    done = subprocess.run(
        [sys.executable, script, bundle.folder, *photo_files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with bundle.open() as predict:
        wanted = [(str(photo), named) for photo in photo_files for named in predict(photo).named]
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(line[0], int(line[1])) for line in lines] == [(photo, named.index) for photo, named in wanted]
    np.testing.assert_allclose(
        [float(line[3]) for line in lines], [named.probability for _, named in wanted], atol=2e-6
    )
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("no JSON")
    for folder, said in ((bundle.folder, "none.jpg"), (damaged, "Expecting value")):
        done = subprocess.run(
            [sys.executable, script, folder, "none.jpg"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not BUILT, reason="EDGEEFF_TFLITE_MICRO names no checkout of tflite-micro that was built")
def test_photos_get_edgeeffs_outputs_bit_for_bit(
    bundle, headers, compiled, samples, photo_files, answered, same_answers, tmp_path
):
    """The firmware's part, linked with tflite-micro's reference kernels."""
    downloads = Path(BUILT) / "tensorflow/lite/micro/tools/make/downloads"
    include = [
        f"-isystem{place}" for place in (BUILT, downloads / "flatbuffers/include", downloads / "gemmlowp")
    ]
    library = next(Path(BUILT).rglob("libtensorflow-microlite.a"))
    sources = bundle.folder / "firmware" / "model_data.cc"
    flags = [*headers, *include, "-DTF_LITE_STATIC_MEMORY", str(sources), str(library)]
    program = compiled(samples / "microcontroller" / "run.cpp", *flags, bundle=bundle)
    lines, _ = answered(program, bundle.folder, *photo_files, "--save", tmp_path / "all.f32")
    same_answers(bundle, photo_files, lines, np.fromfile(tmp_path / "all.f32", np.float32))
