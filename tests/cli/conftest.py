"""The command line as its users run it: in a process of its own, with a cache of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from edgeeff import cli

#: The three runtimes of one build.
TARGETS = ("cpu-int8", "mobile-int8", "jetson-int8")
#: Networks of eight narrow blocks, for tests in which no photo needs a right answer.
SMALL = {family: f"{family}:width=0.3,depth=0.3,size=64" for family in ("b", "lite")}


@dataclass(frozen=True)
class Result:
    """What a process of ours said, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id) -> Path:
    """A folder that all workers of pytest-xdist have in common."""
    base: Path = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def environment(shared) -> dict[str, str]:
    """The environment of a run: a cache that no other user has, one thread, no colours."""
    return {
        **os.environ,
        "EDGEEFF_CACHE_DIR": str(shared / "cache"),
        "HF_HUB_OFFLINE": "1",  # a test neither needs the hub nor disturbs it
        "HF_HOME": str(shared / "hub"),
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="session")
def start(environment) -> Start:
    """``start(*arguments, env={}, **popen)``: a process of the command line, not yet ended."""

    def start(*arguments: object, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "edgeeff", *map(str, arguments)],
            env={**environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def process(start) -> Run:
    """``process(*arguments, env={}, **popen)``: run the command line to its end, in a process of its own."""

    def run(*arguments: object, env: dict[str, str] | None = None, **options: Any) -> Result:
        process = start(*arguments, env=env, **options)
        out, err = process.communicate(timeout=300)
        return Result(process.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def edgeeff(environment) -> Run:
    """``edgeeff(*arguments, env={}, cwd=None)``: run the command line to its end, in this process.

    What is left out is the start of Python, its imports and what a library writes past Python's streams:
    tests/cli/test_streams.py runs every verb as a process.
    """

    def run(*arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Result:
        given = [str(argument) for argument in arguments]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in {**environment, **(env or {})}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["edgeeff", *given])
            if cwd is not None:
                patch.chdir(cwd)
            try:
                cli.main(given)
            except SystemExit as end:
                status = int(end.code or 0)
            except Exception:  # as Python ends a process
                status = 1
                err.write(traceback.format_exc())
        return Result(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory) -> Callable[..., Path]:
    """``folder_of(pictures, broken=())``: a folder of links to photos, some of them cut short.

    ``broken`` are the numbers of those, in the order of their names.
    """

    def make(pictures: Sequence[Any], broken: Sequence[int] = ()) -> Path:
        folder = tmp_path_factory.mktemp("photos")
        for number, picture in enumerate(pictures):
            path = folder / f"{number:02}{picture.path.suffix}"
            if number in broken:
                path.write_bytes(picture.path.read_bytes()[:2000])
            else:
                path.symlink_to(picture.path)
        return folder

    return make


@pytest.fixture(scope="session")
def ten_photos(folder_of, photos) -> Path:
    """A folder of ten of foolbox's photos."""
    folder: Path = folder_of(photos[:10])
    return folder


@pytest.fixture(scope="session")
def corrupt_image(folder_of, photos) -> Path:
    """A photo that ends too early."""
    folder: Path = folder_of(photos[:1], broken=[0])
    return folder / "00.jpg"


@pytest.fixture(scope="session")
def lite0_bundles(process, ten_photos, shared) -> Path:
    """Lite0 with its real weights at 96 pixels, for all three runtimes, and its float control."""
    output: Path = shared / "lite0"
    targets = [f"--target={name}" for name in (*TARGETS, "cpu-fp32")]
    with FileLock(shared / "lite0.lock"):  # the second worker finds the first one's, unchanged
        built = process(
            *("build", "--model=lite0", "--size=96", f"--calibration={ten_photos}", f"--output={output}"),
            *targets,
        )
    assert built.status == 0, built.err
    return output


@pytest.fixture(scope="session")
def b0_checkpoint(make_module, tmp_path_factory) -> Path:
    """A B0 of seven classes."""
    path: Path = tmp_path_factory.mktemp("checkpoints") / "b0.pt"
    torch.save({"state_dict": make_module("b0", classes=7).state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def small(make_module, tmp_path_factory) -> Callable[..., tuple[str, ...]]:
    """``small(family, classes)``: a build's options for one of the small networks, with random weights."""

    @cache
    def options(family: str, classes: int = 7) -> tuple[str, ...]:
        path: Path = tmp_path_factory.mktemp("checkpoints") / f"{family}.pt"
        torch.save({"state_dict": make_module(SMALL[family], classes=classes).state_dict()}, path)
        return (f"--model={SMALL[family]}", f"--checkpoint={path}")

    return options


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory) -> Path:
    """Seven labels."""
    path: Path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("".join(f"Schraube {n}\n" for n in range(7)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def flat_image(tmp_path_factory) -> Path:
    """An image in one colour."""
    path: Path = tmp_path_factory.mktemp("flat") / "flat.png"
    Image.fromarray(np.full((80, 90, 3), 120, np.uint8)).save(path)
    return path


@pytest.fixture
def refused(edgeeff, tmp_path):
    """``refused(*arguments, by=edgeeff)``: the run was refused as it must be; returns its error."""

    def run(*arguments, by: Run = edgeeff, **options) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        result = by(*arguments, cwd=tmp_path, **options)
        assert result.status == 2, (result.out, result.err)
        assert "Traceback" not in result.out + result.err
        assert result.out == ""
        assert result.err.count("error: ") == 1 and result.err.count("\n  → ") == 1, result.err
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        what, _, mend = result.err.partition("error: ")[2].partition("\n  → ")
        assert what.strip() and mend.strip()
        return f"{what} → {mend}"

    return run


@pytest.fixture
def refused_build(refused, ten_photos):
    """``refused_build(*arguments)``: the same for a build of Lite0 that is right but for the arguments."""

    def run(*arguments, calibration: object = ten_photos, model: str = "lite0", **options) -> str:
        return refused(
            *("build", f"--model={model}", "--size=64", f"--calibration={calibration}", "--target=cpu-int8"),
            *("--output=out", *arguments),
            **options,
        )

    return run
