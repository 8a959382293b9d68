"""The plug-in of ``tests/plugin``, a distribution of its own: what it adds is used as ours is."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff import backends, cli
from edgeeff.board import load_board
from edgeeff.bundle import Bundle
from edgeeff.cache import Cache
from edgeeff.errors import PluginError
from edgeeff.progress import Silent
from edgeeff.zoo import catalog, namings

NAME = "edgeeff-ortcpu"
MODEL = "lite:width=0.25,depth=0.4,size=64"
RECIPE = """
summary = "Ranges, wider"
[[step]]
use = "ranges"
method = "minmax"
[[step]]
use = "headroom"
factor = {}
[[step]]
use = "round"
"""


@pytest.fixture(scope="module", autouse=True)
def installed() -> str:
    """Its version; ``make test`` installs it (scripts/install)."""
    return metadata.version(NAME)


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def in_its_naming(tensors, spec):
    """A checkpoint as ``ourtrainer`` would have written it."""
    module = sys.modules[namings.naming("ourtrainer").translate.__module__]
    theirs = {ours: key for key, ours in module._LAYERS.items()}
    stages, found = [block.stage for block in spec.architecture.blocks], {}
    for tensor, value in tensors.items():
        place, layer, part = re.fullmatch(r"(?:blocks\.(\d+)\.)?(.+)\.(\w+)", tensor).groups()
        before = "" if place is None else f"stage{stages[int(place)]}."
        if place is not None:
            before += f"{int(place) - stages.index(stages[int(place)])}."
        if part != "num_batches_tracked":
            found[f"{before}{theirs[layer]}.{part}"] = value
    return found


@pytest.fixture(scope="module")
def folder(make_module, make_images, tmp_path_factory) -> Path:
    """A checkpoint in the plug-in's naming, photos in two classes, and recipes with its step."""
    made: Path = tmp_path_factory.mktemp("plugin")
    spec = catalog.scaled(MODEL)
    tensors = make_module(spec, classes=2).state_dict()
    torch.save(in_its_naming(tensors, spec), made / "best.pt")
    for number, image in enumerate(make_images(8, 64, 5)):
        place = made / "photos" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    for factor in (1.0, 1.25):
        (made / f"wider{factor}.toml").write_text(RECIPE.format(factor))
    return made


@pytest.fixture(scope="module")
def build(folder):
    """``build(factor)``: bundles of the plug-in's target; the first by its step, wider."""

    def build(factor, **options):
        (built,) = edgeeff.build(
            checkpoint=folder / "best.pt",
            model=MODEL,
            targets=["ort-int8"],
            **options,
            calibration=folder / "photos",
            effort=str(folder / f"wider{factor}.toml"),
            labels=["cat", "dog"],
            output=folder / "dist",
            name=f"wider{factor}",
            cache=Cache(folder / "cache"),
            progress=Silent(),
        )
        return built

    return build


@pytest.fixture(scope="module")
def built(build):
    return build(1.25, task="confident")


def test_a_bundle_says_what_the_plugin_brought(built, installed):
    manifest = built.bundle.manifest
    assert manifest.runtime == "ort_cpu" and manifest.tools[NAME] == installed
    of = ("target", "scheme", "runtime", "task", "naming", "step headroom")
    assert dict(manifest.plugins) == dict.fromkeys(of, f"{NAME} {installed}")
    assert manifest.origin.startswith("ourtrainer")
    assert Bundle.load(built.bundle.folder).manifest == manifest


def test_its_runtime_computes_what_the_hub_graph_says(built):
    verified, _ = built.bundle.verification()
    assert verified["golden"]["status"] == "ok" and not built.not_run
    done, planned = re.match(
        r"(?:fallback: )?(\d+) of (\d+) planned layers run in INT8", built.check
    ).groups()
    assert int(planned) - 1 <= int(done) <= int(planned)  # it has no INT8 kernel for a classifier with a bias
    assert (done == planned) == (not [w for w in built.warnings if "fell back from INT8" in w])
    session = built.bundle.session()
    assert sorted(session.session.get_providers()) == ["CPUExecutionProvider"]


def test_its_step_and_scheme_decide(build, built):
    raw = build(1.0, io="uint8")  # whose graph takes pixels, and whose other tensors are the same
    assert raw.bundle.verification()[0]["golden"]["status"] == "ok"
    wide, narrow = (json.loads((b.bundle.folder / "plan.json").read_text()) for b in (built, raw))
    assert wide["scheme"] == "ort" and {a["type"] for a in wide["activations"].values()} == {"uint8"}
    ratios = {
        n: a["scale"] / narrow["activations"][n]["scale"]
        for n, a in wide["activations"].items()
        if n != "input"
    }
    assert set(np.round(list(ratios.values()), 6)) == {1.0, 1.25}
    assert ratios["stem.clip"] == 1 and ratios["blocks.0.project.conv"] == pytest.approx(1.25)


def test_every_verb_knows_it(built, folder, installed):
    status, out, err = run("doctor", "--json")
    plugins = [p for p in json.loads(out)["plugins"] if p["distribution"] == NAME]
    assert status == 0 and {p["disabled"] for p in plugins} == {None} and "WARNING" not in err
    kinds = {"runtimes": "ort_cpu", "targets": "ort-int8", "schemes": "ort", "boards": "lab-xavier"}
    kinds |= {"steps": "headroom", "namings": "ourtrainer", "tasks": "confident"}
    assert {p["kind"]: p["name"] for p in plugins} == kinds
    assert f"{NAME} {installed}" in run("doctor")[1]
    (target,) = (t for t in json.loads(run("targets", "--json")[1]) if t["name"] == "ort-int8")
    assert target["runtime"] == "ort_cpu" and target["missing"] == []
    assert load_board("lab-xavier").tensorrt == ("8.5",)
    bundle = built.bundle.folder
    rows = json.loads(run("run", bundle, folder / "photos" / "cat", "--json")[1])
    assert len(rows) == 4 and all(c["probability"] >= 0.5 for row in rows for (c,) in [row["classes"]])
    looked = json.loads(run("inspect", bundle, "--json")[1])
    assert looked["manifest"]["plugins"]["runtime"] == f"{NAME} {installed}" and looked["check"]["counts"]
    report = edgeeff.evaluate(bundle, folder / "photos")
    assert report.images == 8


def test_a_bundle_outlives_its_plugin(built, tmp_path):
    """It is as of one that is not installed: inspected, and refused with the distribution's name."""
    gone = tmp_path / "gone"
    manifest = json.loads((built.bundle.folder / "manifest.json").read_text())
    manifest |= {"runtime": "ncnn", "plugins": {"runtime": "edgeeff-ncnn 2.1"}}
    gone.mkdir()
    for file in built.bundle.folder.rglob("*"):
        if file.is_file():
            place = gone / file.relative_to(built.bundle.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    (gone / "manifest.json").write_text(json.dumps(manifest))
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    status, _, err = run("run", gone, tmp_path / "photo.png")
    assert status == 2 and "its runtime 'ncnn' is of edgeeff-ncnn 2.1, which is not installed" in err
    assert "install edgeeff-ncnn" in err
    status, out, _ = run("inspect", gone)
    assert status == 0 and "edgeeff-ncnn 2.1" in out and "NOT RUN" in out
    manifest |= {"runtime": "openvino"}  # a name that has become one of ours is not taken for it
    (gone / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PluginError, match=r"'openvino' is of edgeeff-ncnn 2\.1"):
        Bundle.load(gone).session()
    manifest["plugins"]["runtime"] = "x; rm -rf"
    (gone / "manifest.json").write_text(json.dumps(manifest))
    assert run("inspect", gone)[0] == 2


def test_nothing_of_it_is_imported_before_it_is_needed():
    script = (
        "import sys, edgeeff, edgeeff.cli\n"
        "from edgeeff import target\n"
        "assert 'edgeeff.plugins' not in sys.modules or not target.TARGETS.plugin('cpu-int8')\n"
        "assert target.load_target('ort-int8').scheme.name == 'ort'\n"
        "print(sorted({'edgeeff_ortcpu', 'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))\n"
        "from edgeeff import backends\n"
        "print(backends.runtime('ort_cpu').offers('emit'))\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["[]", "True", "[]"]


def test_its_facts_are_those_of_its_sources(installed):
    ((name, distribution, version, sources),) = backends.RUNTIMES.facts(["ort_cpu", "openvino"])
    assert (name, distribution, version) == ("ort_cpu", NAME, installed)
    assert re.fullmatch("[0-9a-f]{64}", sources)
