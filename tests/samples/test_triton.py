"""samples/triton: the folder of models and the client give what edgeeff gives.

Triton itself is no package. In its place stands a module that knows of the model what lies in the folder: it
reads config.pbtxt, and runs model.xml by OpenVINO.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from PIL import Image

from edgeeff import serving

SERVER = """
import os, re
import numpy as np
import openvino

class InferenceServerException(Exception):
    pass

class InferInput:
    def __init__(self, name, shape, datatype):
        self.name, self.shape, self.datatype = name, shape, datatype
    def set_data_from_numpy(self, array):
        assert list(array.shape) == self.shape
        assert array.dtype == {"UINT8": np.uint8, "FP32": np.float32}[self.datatype]
        self.array = array

class InferenceServerClient:
    def __init__(self, url):
        self.folder = os.environ["MODELS"]
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def is_model_ready(self, name):
        return os.path.isdir(os.path.join(self.folder, name))
    def get_model_metadata(self, name):
        text = open(os.path.join(self.folder, name, "config.pbtxt")).read()
        entry = r'name: "([^"]*)"\\s*data_type: TYPE_(\\w+)\\s*dims: \\[ ([-\\d, ]*) \\]'
        inputs, outputs = text.split("output [")
        found = [
            [dict(name=n, datatype=t, shape=[*map(int, d.split(","))]) for n, t, d in re.findall(entry, part)]
            for part in (inputs, outputs)
        ]
        return {"inputs": found[0], "outputs": found[1]}
    def infer(self, name, inputs):
        model = openvino.Core().compile_model(
            os.path.join(self.folder, name, "1", "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"},
        )
        found = model({each.name: each.array for each in inputs})
        return type("Result", (), {"as_numpy": lambda self, name: found[name]})()
"""


@pytest.fixture
def ask(samples, tmp_path):
    """``ask(bundle, photo)``: the client, ended."""
    (tmp_path / "stand-in" / "tritonclient").mkdir(parents=True)
    (tmp_path / "stand-in" / "tritonclient" / "__init__.py").touch()
    (tmp_path / "stand-in" / "tritonclient" / "http.py").write_text(SERVER)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "stand-in"), "MODELS": str(tmp_path / "models")}

    def start(bundle, photo):
        command = [sys.executable, samples / "triton" / "client.py", bundle.folder, "127.0.0.1:8000", photo]
        return subprocess.run(
            [*map(str, command)], env=environment, capture_output=True, text=True, timeout=240
        )

    return start


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_answers_are_those_of_edgeeff(task, tiny_bundle, same_answers, ask, tmp_path):
    photo = tmp_path / "a photo.png"
    Image.effect_noise((9, 7), 90).convert("RGB").resize((151, 101)).save(photo)
    letterbox = {"crop": 1.0, "letterbox": (9.0, 8.0, 7.0)} if task == "detection" else {}
    bundle = tiny_bundle("cpu-fp32", task, "runtime", **letterbox)
    absent = ask(bundle, photo)
    assert absent.returncode == 2 and "has no model tiny-cpu-fp32" in absent.stderr
    serving.triton(bundle, tmp_path / "models")
    done = ask(bundle, photo)
    assert done.returncode == 0, done.stderr
    same_answers(bundle, [photo], [line.split("\t") for line in done.stdout.splitlines()], None)
    refused = ask(bundle, __file__)
    assert refused.returncode == 2 and "is no photo" in refused.stderr and refused.stderr.count("\n") == 1
