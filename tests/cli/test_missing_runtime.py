"""Targets and bundles whose runtime is not installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def without(tmp_path_factory):
    """``without(module)``: an environment in whose processes the module is really not there to import.

    Python runs sitecustomize at its start; the finder it puts first knows nothing of the module and ends
    the search for it, as it would end on a machine without it.
    """

    def hide(*modules: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("site")
        (folder / "sitecustomize.py").write_text(
            "import importlib.util, sys\n"
            "from importlib.machinery import PathFinder\n"
            f"hidden = {modules!r}\n"
            "seek = PathFinder.find_spec.__func__\n"
            "PathFinder.find_spec = classmethod(lambda cls, name, path=None, target=None: "
            "None if name.partition('.')[0] in hidden else seek(cls, name, path, target))\n"
        )
        return {"PYTHONPATH": str(folder)}

    return hide


@pytest.mark.parametrize(
    ("module", "target", "install"),
    [
        ("openvino", "cpu-int8", "pip install '<checkout or wheel>[openvino]'"),
        ("ai_edge_litert", "mobile-int8", "pip install '<checkout or wheel>[tflite]'"),
        ("tensorrt_rtx", "rtx-int8", "pip install '<checkout or wheel>[tensorrt-rtx]'"),
        ("torch", "jetson-int8", "pip install '<checkout or wheel>[build]'"),
        ("onnxruntime", "jetson-int8", "pip install '<checkout or wheel>[build]'"),
    ],
)
def test_a_runtime_that_is_not_installed(module, target, install, refused, without, process, ten_photos):
    """Its install line is told, and the other targets of the build are not built either."""
    targets = {"cpu-int8", "mobile-int8", "jetson-int8"} - {target}
    error = refused(
        *("build", "--model=lite0", "--size=64", f"--calibration={ten_photos}", "--output=out"),
        *(f"--target={name}" for name in [*sorted(targets), target]),
        by=process,
        env=without(module),
    )
    assert module in error and install in error


def test_a_bundle_whose_runtime_is_not_installed(refused, without, process, lite0_bundles, flat_image):
    bundle = lite0_bundles / "lite0-cpu-int8"
    error = refused("run", bundle, flat_image, by=process, env=without("openvino"))
    assert "openvino" in error and "pip install '<checkout or wheel>[openvino]'" in error
    for verb in (["inspect", bundle], ["doctor"], ["targets"], ["models"]):
        assert process(*verb, env=without("openvino", "torch", "onnx", "onnxruntime")).status == 0


@pytest.mark.slow
def test_a_microcontroller_s_bundle_is_written_without_its_interpreter(
    without, process, ten_photos, flat_image, tmp_path
):
    """Nothing is measured or verified then, and both are said; what cannot fit at all is refused still."""
    build = ("build", "--model=lite0", "--size=64", "--effort=fast", f"--calibration={ten_photos}")
    build = (*build, f"--output={tmp_path}", "--target=mcu-int8")
    done = process(*build, "--json", env=without("tflite_micro"))
    (built,) = json.loads(done.out)
    assert done.status == 0
    assert any("arena is not measured" in text and "[mcu]" in text for text in built["warnings"])
    measured = json.loads((Path(built["bundle"]) / "measured" / "verification.json").read_text("utf-8"))
    assert "tflite-micro is not installed" in measured["not_run"]
    assert json.loads((Path(built["bundle"]) / "arena.json").read_text("utf-8"))["size"] is None
    assert "NOT MEASURED" in (Path(built["bundle"]) / "firmware" / "model_data.h").read_text("utf-8")
    ran = process("run", built["bundle"], flat_image, env=without("tflite_micro"))
    assert ran.status == 2 and "pip install '<checkout or wheel>[mcu]'" in ran.err
    refused = process(*build, "--arena=16K", env=without("tflite_micro"))
    assert refused.status == 2 and "by their shapes alone" in refused.err
