"""A bundle's README: the lines for a product, run as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.batch import ONE, Batch
from edgeeff.graph.batch import with_batch
from edgeeff.graph.model import expand_functions
from edgeeff.quantization import quantize, recipe
from edgeeff.readme import readme
from edgeeff.target import load_target
from edgeeff.tasks import only

LABELS = tuple(f"class {i}" for i in range(10))
OPENVINO = Path(ov.__file__).parent


@pytest.fixture(scope="module")
def hub(lite0):
    """Lite0 in OpenVINO's scheme."""
    scheme = load_target("cpu-int8").scheme
    return quantize.write(
        recipe.load("fast")(quantize.begin(lite0.graph, lite0.statistics, lite0.preprocess, scheme))
    )


@pytest.fixture
def bundle(tmp_path, lite0, hub, monkeypatch):
    """``bundle(target, input)``: the files of a bundle in the working folder; returns what was emitted."""

    def make(target: str, batch: Batch = ONE, **changes) -> Emission:
        wanted = replace(load_target(target), **changes)
        emission = Emission(f"lite0-{target}", wanted, lite0.preprocess, LABELS, batch=batch)
        graph = with_batch(hub if wanted.precision == "int8" else expand_functions(lite0.graph), batch)
        for name, content in backends.runtime(wanted.runtime).part("emit").emit(graph, emission).items():
            (tmp_path / name).write_bytes(content)
        monkeypatch.chdir(tmp_path)
        return emission

    return make


def block(emission, language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", readme(emission), re.DOTALL | re.MULTILINE)
    return text


def expected(emission, pixels):
    target = emission.target
    part = backends.runtime(target.runtime).part("run")
    session = part.load(
        Path(),
        preprocess=emission.preprocess,
        input_type=target.input,
        properties=target.runtime_properties,
    )
    return only(session.infer(pixels))


@pytest.mark.parametrize(
    ("target", "input_type"),
    [(t, i) for t in ("cpu-int8", "cpu-fp32") for i in ("uint8", "int8", "float32")]
    + [("mobile-fp32", "float32")],
)
def test_the_python_lines_run_as_they_stand(target, input_type, bundle):
    emission = bundle(target, input=input_type)
    found: dict = {}
    exec(block(emission, "python"), found)
    black = np.zeros((1, *emission.preprocess.size, 3), np.uint8)
    np.testing.assert_allclose(found["logits"], expected(emission, black), rtol=1e-4, atol=1e-4)
    if target.startswith("cpu"):
        assert found["properties"] == emission.target.runtime_properties


@pytest.mark.parametrize("target", ["cpu-int8", "mobile-fp32"])
@pytest.mark.parametrize(
    ("batch", "said"), [(Batch(3), "3 images, no more"), (Batch(6, True), "1 to 6 images")]
)
def test_the_lines_for_several_images_run_as_they_stand(target, batch, said, bundle):
    emission = bundle(target, batch)
    found: dict = {}
    exec(block(emission, "python"), found)
    count = batch.example
    assert found["logits"].shape == (count, len(LABELS)) and said in readme(emission)
    black = np.zeros((count, *emission.preprocess.size, 3), np.uint8)
    np.testing.assert_allclose(found["logits"], expected(emission, black), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("input_type", ["uint8", "int8", "float32"])
def test_a_photo_goes_through_those_lines(input_type, bundle, lite0):
    emission = bundle("cpu-fp32", input=input_type)
    lines = re.sub(r"np\.zeros\(.*, np\.uint8\)", "photo", block(emission, "python"))
    found = {"photo": lite0.images[:1]}
    exec(lines, found)
    np.testing.assert_allclose(found["logits"], expected(emission, lite0.images[:1]), rtol=1e-3, atol=1e-4)


def test_the_compiled_model_has_the_properties(bundle):
    emission = bundle("cpu-bf16")
    found: dict = {}
    exec(block(emission, "python").partition("\n\nimage")[0].partition("\npixels")[0], found)
    plain = ov.Core().compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    hint = "INFERENCE_PRECISION_HINT"
    assert found["model"].get_property(hint) == plain.get_property(hint)


def test_a_mobile_network_with_a_mean_per_channel_takes_pixels(bundle, b0):
    emission = bundle("mobile-fp32", input="float32")
    emission = replace(emission, preprocess=replace(emission.preprocess, mean=b0.preprocess.mean))
    lines = block(emission, "python")
    assert "pixels.astype(np.float32)" in lines and "mean" not in lines


@pytest.mark.parametrize(
    ("language", "batch"),
    [("c", ONE), ("cpp", ONE), pytest.param("cpp", Batch(6, True), marks=pytest.mark.slow)],
)
def test_the_lines_in_c_compile_and_run(language, batch, bundle, tmp_path):
    compiler = shutil.which({"c": "gcc", "cpp": "g++"}[language])
    library = next(
        (OPENVINO / "libs").glob({"c": "libopenvino_c.so*", "cpp": "libopenvino.so*"}[language]), None
    )
    if compiler is None or library is None or not (OPENVINO / "include").is_dir():
        pytest.skip("needs a compiler, and OpenVINO's headers")
    emission = bundle("cpu-int8", batch)
    lines = block(emission, language).splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    told = 'for (int i = 0; i < 10; i++) printf("%.6g ", ((const float*)logits)[i]);'
    body = [line for line in lines if line not in includes]
    source = tmp_path / f"main.{language}"
    source.write_text(
        "\n".join([*includes, "#include <stdio.h>", "int main(void) {", *body, told, "return 0; }"]),
        encoding="utf-8",
    )
    program = tmp_path / "program"
    command = [compiler, "-Wall", "-Wextra", "-Werror", *(["-std=c++17"] if language == "cpp" else [])]
    command += [str(source), f"-isystem{OPENVINO / 'include'}", str(library), f"-Wl,-rpath,{library.parent}"]
    subprocess.run([*command, "-o", str(program)], check=True, cwd=tmp_path)
    printed = subprocess.run([program], check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    black = np.zeros((1, *emission.preprocess.size, 3), np.uint8)
    found = np.array([float(value) for value in printed.split()])
    np.testing.assert_allclose(found, expected(emission, black)[0], rtol=1e-4, atol=1e-4)


def test_what_a_user_wrote_into_a_target_stays_a_string(bundle):
    """Properties come from a TOML file of the user's own."""
    odd = {"MODEL_PRIORITY": "MEDIUM", "CACHE_DIR": 'a "b" \\ c'}
    text = readme(
        replace(bundle("cpu-fp32"), target=replace(load_target("cpu-fp32"), runtime_properties=odd))
    )
    assert text.count(json.dumps(odd["CACHE_DIR"])) == 3


def test_each_hint_says_what_is_lost():
    lost = backends.runtime("openvino").usage().lost
    said = {hint: lost({"INFERENCE_PRECISION_HINT": hint}) for hint in ("f32", "bf16", "f16")}
    assert len({*said.values(), lost({}), lost({"PERFORMANCE_HINT": "LATENCY"})}) == 5
    assert "bf16" in said["f32"] and "f16" in said["f16"]
    assert max(map(len, said.values())) < 140  # `inspect` has one line for it


def test_a_runtime_without_such_lines_has_its_command_alone(lite0):
    emission = Emission("lite0-jetson-int8", load_target("jetson-int8"), lite0.preprocess, LABELS)
    assert backends.runtime("tensorrt").usage() is None and "## In a product" not in readme(emission)
    assert backends.runtime("tensorrt").run in readme(emission)
