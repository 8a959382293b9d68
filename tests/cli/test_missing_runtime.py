"""Targets and bundles whose runtime is not installed."""

from __future__ import annotations

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
