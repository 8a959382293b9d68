"""The bindings of several versions of TensorRT, made importable by a stub of the libraries they link to.

This tier needs wheels that ``make test-bindings`` fetches, and gcc; without them its tests are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgeeff.backends.tensorrt import device

HERE = Path(__file__).parent
DEVICE = Path(device.__file__).parent
FOLDER = Path(os.environ.get("EDGEEFF_BINDINGS", HERE.parents[1] / ".venv-bindings"))
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

_told: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What each version has not, for whoever reads along."""
    for line in _told:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tell() -> Callable[[str], None]:
    return _told.append


@pytest.fixture(scope="session")
def folder() -> Path:
    """What ``scripts/bindings --install`` filled."""
    return FOLDER


@pytest.fixture(scope="session")
def device_folder() -> Path:
    """What the scripts lie in."""
    return DEVICE


@pytest.fixture(scope="session")
def walk() -> ModuleType:
    """``walk.py``, which lies beside this and is no test."""
    spec = importlib.util.spec_from_file_location("bindings_walk", HERE / "walk.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def scripts() -> dict[str, str]:
    """Every file that a bundle carries."""
    return {name: (DEVICE / name).read_text(encoding="utf-8") for name in device.FILES}


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with libnvinfer.so.10 and its like, in which every factory makes nothing."""
    if shutil.which("gcc") is None:
        pytest.skip("the bindings are imported against a stub, which needs gcc")
    folder = tmp_path_factory.mktemp("stubs")
    for major in (10, 11):
        for library in LIBRARIES:
            name = f"lib{library}.so.{major}"
            subprocess.run(
                ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, HERE / "stub.c"],
                check=True,
            )
    return folder


@pytest.fixture(scope="session")
def bindings(stubs: Path) -> Callable[[str], dict[str, Any]]:
    """``bindings(version)``: what ``probe.py`` says of that version; skips where it is not installed."""
    known: dict[str, dict[str, Any]] = {}

    def read(version: str) -> dict[str, Any]:
        if not (FOLDER / version / "tensorrt_bindings").is_dir():
            pytest.skip(f"the bindings of TensorRT {version} are not installed: make test-bindings")
        if version not in known:
            environment = {
                **os.environ,
                "LD_LIBRARY_PATH": str(stubs),
                "PYTHONPATH": str(FOLDER / version),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            done = subprocess.run(
                [sys.executable, HERE / "probe.py", DEVICE],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            known[version] = json.loads(done.stdout)
        return known[version]

    return read
