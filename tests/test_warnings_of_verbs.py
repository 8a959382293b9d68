"""Warnings of the verbs beside build: in the terminal, in JSON, in Python, and as --strict counts them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import edgeeff
from edgeeff import cli, foreign
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffWarning, VerificationError
from edgeeff.foreign import repairing
from edgeeff.graph.export import base_graph
from edgeeff.graph.model import expand_functions
from edgeeff.harness import verify
from edgeeff.progress import Silent
from edgeeff.zoo import catalog

SIZE = 64
#: Seven blocks of a few channels, for larger images than it is built for.
TINY = "lite:width=0.25,depth=0.2,size=224"
NORMALISED = {"mean": (127.0,) * 3, "std": (128.0,) * 3}


def run(*arguments: object) -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue().splitlines()


@pytest.fixture(scope="module")
def made(make_module, make_images, tmp_path_factory) -> Path:
    """A float bundle and a Jetson one of a small network, and images of which two are odd."""
    folder: Path = tmp_path_factory.mktemp("made")
    spec = catalog.scaled(f"lite:width=0.25,depth=0.4,size={SIZE}")
    onnx.save(expand_functions(base_graph(make_module(spec, size=SIZE), (SIZE, SIZE))), folder / "net.onnx")
    images = make_images(6, SIZE, 5)
    (folder / "photos").mkdir()
    for i, image in enumerate(images[:4]):
        Image.fromarray(image).save(folder / "photos" / f"{i}.png")
    Image.fromarray(images[4][:, :, 0].astype(np.uint16) << 4).save(folder / "photos" / "deep.png")
    (folder / "cut.png").write_bytes((folder / "photos" / "0.png").read_bytes()[:900])
    names = ["photos/0.png,1", "photos/1.png,2", "photos/2.png", "photos/deep.png,3", "cut.png,1"]
    (folder / "list.csv").write_text("".join(f"{name}\n" for name in names))
    np.savez(folder / "photos.npz", images=images)
    edgeeff.build(
        checkpoint=folder / "net.onnx",
        targets=["cpu-fp32", "jetson-int8"],
        calibration=folder / "photos.npz",
        effort="fast",
        output=folder,
        cache=Cache(folder / "cache"),
        progress=Silent(),
        **NORMALISED,
    )
    return folder


EVAL = ("16-bit and do not declare", "skipped an image: ", "only 4 images to judge by", "bear no label")


def test_eval(made):
    arguments = ("eval", made / "net-cpu-fp32", f"--images={made / 'list.csv'}")
    assert run(*arguments)[0] == 0
    status, out, err = run(*arguments, "--strict", "--json")
    (data,) = json.loads(out)
    heard = [line for line in err if line.startswith("WARNING ")]
    assert status == 1 and len(heard) == len(data["warnings"])
    with pytest.warns(EdgeeffWarning) as python:
        report = edgeeff.evaluate(made / "net-cpu-fp32", made / "list.csv")
    for text in EVAL:
        for place in (heard, data["warnings"], report.warnings, [str(w.message) for w in python]):
            assert sum(text in one for one in place) == 1, (text, place)


def test_run_and_predict(made):
    _, out, err = run("run", made / "net-cpu-fp32", made / "photos", "--json")
    assert sum("16-bit and do not declare" in line for line in err if line.startswith("WARNING ")) == 1
    for row in json.loads(out):
        assert any("16-bit and do not declare" in text for text in row["warnings"])
    with pytest.warns(EdgeeffWarning, match="16-bit and do not declare"):
        edgeeff.Bundle.load(made / "net-cpu-fp32").predict(made / "photos")


def test_inspect_repeats_those_of_the_build(made):
    told = edgeeff.Bundle.load(made / "net-jetson-int8").read_measured("verification.json")
    assert told is not None and told["warnings"]
    status, out, _ = run("inspect", made / "net-jetson-int8", "--json")
    assert status == 0 and json.loads(out)["warnings"] == told["warnings"]
    _, _, err = run("inspect", made / "net-jetson-int8")
    assert err == [f"WARNING {text}" for text in told["warnings"]]


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ((repairing, "_MOST_VALUES", 1), "the repaired graph was NOT COMPARED with the file"),
        ((verify, "GOLDEN_FLOOR_DB", 400.0), "dB from the file, which is typed FP16"),
    ],
)
def test_emit(patch, says, made, monkeypatch, tmp_path):
    monkeypatch.setattr(*patch)
    half = made / "net-jetson-int8" / "model.qdq.fp16.onnx"
    arguments = ("emit", half, "--target=jetson-int8", "--mean=127", "--std=128", f"--output={tmp_path}")
    status, out, err = run(*arguments, f"--images={made / 'photos'}", "--strict", "--json")
    data = json.loads(out)
    heard = [line for line in err if line.startswith("WARNING ")]
    assert status == 1 and len(heard) == len(data["warnings"])
    for text in (says, "16-bit and do not declare"):
        assert sum(text in one for one in heard) == sum(text in one for one in data["warnings"]) == 1
    with pytest.warns(EdgeeffWarning, match=says):
        foreign.emit(half, target="jetson-int8", output=tmp_path, name="again", **NORMALISED)


def test_an_error_bears_what_was_warned_of_and_begins_with_it(made, monkeypatch, tmp_path):
    """A network at another preprocessing than its own may fail the golden check: that is said first."""
    monkeypatch.setitem(rule.FLOOR, "int8", 500.0)
    monkeypatch.setattr(rule, "INDEPENDENT", -500.0)
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(made / "cache"))
    arguments = ("build", f"--checkpoint={made / 'net.onnx'}", "--target=cpu-fp32", f"--output={tmp_path}")
    arguments = (*arguments, "--mean=127", "--std=128", f"--calibration={made / 'photos.npz'}", "--json")
    status, out, err = run(*arguments)
    data = json.loads(err[-1])
    assert (status, out, list(tmp_path.iterdir())) == (1, "", [])
    assert data["error"]["kind"] == "VerificationError" and data["error"]["exit_status"] == 1
    assert data["error"]["what"].startswith("net-cpu-fp32 does not compute what its hub graph says")
    assert any("images to judge by" in text for text in data["warnings"])


def test_a_failure_after_a_domain_warning_says_that_first(make_module, make_images, monkeypatch, tmp_path):
    import torch

    monkeypatch.setitem(rule.FLOOR, "int8", 500.0)
    monkeypatch.setattr(rule, "INDEPENDENT", -500.0)
    torch.save(make_module(catalog.get(TINY), classes=3).state_dict(), tmp_path / "best.pt")
    np.savez(tmp_path / "photos.npz", images=make_images(6, SIZE, 5))
    with pytest.raises(VerificationError) as error:
        edgeeff.build(
            TINY,
            checkpoint=tmp_path / "best.pt",
            targets=["cpu-int8"],
            calibration=tmp_path / "photos.npz",
            size=SIZE,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            effort="fast",
            output=tmp_path / "out",
            cache=Cache(tmp_path / "cache"),
            progress=Silent(),
        )
    said, _, failed = error.value.what.partition("does not compute what its hub graph says")
    assert "is of 224×224 images and was built for 64×64" in said
    assert "the preprocessing looks wrong" in said and "standard deviations from" in said
    assert failed and error.value.mend.startswith("correct that first")
    assert any("the preprocessing looks wrong" in text for text in error.value.warnings)
