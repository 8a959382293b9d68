"""The functions that a bundle's scripts call by ctypes are there in the real CUDA runtimes."""

from __future__ import annotations

import ast
import ctypes
import re
import subprocess
import sys

import pytest

VERSIONS = ("11.8.89", "12.6.77", "13.0.96")
_CALL = re.compile(r"cuda[A-Z]\w+")


def calls(scripts: dict[str, str]) -> set[str]:
    """Names in strings (``_call("cudaMalloc", …)``) and attributes (``cudart.cudaFree``)."""
    nodes = [node for source in scripts.values() for node in ast.walk(ast.parse(source))]
    names = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names += [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    return {name for name in names if _CALL.fullmatch(name)}


@pytest.fixture(params=VERSIONS)
def library(request, folder):
    found = [*folder.glob(f"cuda-{request.param}/nvidia/*/lib/libcudart.so.*")]
    if not found:
        pytest.skip(f"the runtime of CUDA {request.param} is not installed: make test-bindings")
    return found[0]


def test_every_function_is_there(library, scripts, tell):
    used, cudart = calls(scripts), ctypes.CDLL(str(library))
    assert {"cudaStreamBeginCapture", "cudaGraphLaunch", "cudaFree", "cudaDeviceGetAttribute"} <= used
    assert not [name for name in used if not hasattr(cudart, name)]
    tell(f"{library.name}: {len(used)} functions that the scripts call, none missing")


def test_a_real_runtime_without_a_device_is_refused_in_words(library, device_folder):
    lines = (
        f"import ctypes, sys; sys.path.insert(0, {str(device_folder)!r})\n"
        "from onboard import hardware, sealed\n"
        f"try: hardware.compute_capability(ctypes.CDLL({str(library)!r}))\n"
        "except sealed.RefusedError as refusal: print(refusal)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", lines],
        env={"CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "no CUDA device answers; run this on the device\n", done.stderr
