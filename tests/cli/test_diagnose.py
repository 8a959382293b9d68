"""edgeeff diagnose: what it finds in the real Lite0, and how it says so."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from edgeeff.cli.diagnose import command as diagnose
from edgeeff.diagnosis.findings import DEFINITIONS

VOID = ("meta", "br", "rect", "line", "circle")


class Balanced(HTMLParser):
    """Raises where an element is not closed by its own end, and remembers what a page asks for."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.asked += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def arguments(ten_photos):
    return ("diagnose", "--model=lite0", "--size=64", f"--calibration={ten_photos}", "--effort=fast")


@pytest.fixture(scope="module")
def found(edgeeff, arguments, folder_of, photos, tmp_path_factory):
    """The JSON and the page of Lite0 for TensorRT, whose stem has but 127 codes."""
    page = tmp_path_factory.mktemp("page") / "diagnosis.html"
    result = edgeeff(
        *(*arguments, f"--validation={folder_of(photos[10:])}", "--target=jetson-int8", "--images=3"),
        *("--json", f"--html={page}", "--io=nv12", "--resize-in-model=160x120"),
    )
    assert result.status == 0, result.err
    assert "WARNING only" not in result.err  # as many as were asked for
    assert any("a camera's frames" in warning for warning in result.data["warnings"])
    return result.data, page.read_text(encoding="utf-8")


def test_it_finds_the_stem_of_lite0(found):
    data, _ = found
    tensors = [f for f in data["findings"] if f["kind"] == "tensor"]
    worst = max(tensors, key=lambda f: f["alone"])
    assert (worst["name"], worst["what"]) == ("stem.clip", "the stem's output")
    assert worst["share"] > 0.15 and worst["advice"]
    assert data["groups"][0]["name"] in ("stem's output", "residual stream", "weights")
    assert any("stem's output" in sentence for sentence in data["advice"])
    float_layers = [r["layers"] for r in data["reliefs"]]
    assert ["blocks.0.depthwise.conv"] in float_layers


def test_every_tensor_and_layer_is_there(found):
    data, _ = found
    kinds = [f["kind"] for f in data["findings"]]
    assert kinds == sorted(kinds) and kinds.count("weights") == 50 and kinds.count("tensor") == 50
    assert data["findings"][0]["name"] == "input" and data["images"] == 3
    assert data["definitions"] == DEFINITIONS and data["sqnr_db"] > 10
    for f in data["findings"]:
        low, high = f["codes"]
        assert low < high and 0 <= f["outside"] <= 1
        assert f["kind"] == "weights" or 0 <= f["clipping"] <= 1
    clip = next(f for f in data["findings"] if f["name"] == "stem.clip")
    assert clip["seen"] == [0.0, 6.0] and clip["outside"] == 0 and 0 < clip["use"] < 0.6
    assert len(clip["histogram"]["counts"]) == 64


def test_the_page_stands_alone(found):
    _, page = found
    parser = Balanced()
    parser.feed(page)
    assert not parser.open and all(asked.startswith("#") for asked in parser.asked)  # nothing is loaded
    assert not re.search(r'"[^"]*(nan|inf)[^"]*"', "".join(re.findall("<(?:rect|line)[^>]*>", page)))
    assert page.count("<svg") == 2 + 24 and "stem.clip (the stem&#39;s output)" in page
    numbers = [float(n) for n in re.findall(r' (?:width|height)="(-?[\d.]+)"', page)]
    assert numbers and min(numbers) >= 0


@pytest.mark.slow
def test_a_table_with_kernels(edgeeff, arguments):
    result = edgeeff(*arguments, "--target=cpu-int8", "--images=1", "--top=3", "--kernels")
    assert result.status == 0, result.err
    assert "part of the network" in result.out and "residual stream" in result.out
    assert "… and 97 more (--all)" in result.out
    assert "50 of 50 planned layers run in INT8" in result.out
    assert "only 1 images" not in result.err


def test_it_takes_what_a_build_takes():
    """Options of the same name mean the same, and have the same defaults."""
    from inspect import signature

    from edgeeff.cli.build import command as build

    of_build, ours = signature(build).parameters, signature(diagnose).parameters
    shared = {name for name in of_build if name in ours} - {"target", "json"}
    assert {"checkpoint", "calibration", "validation", "size", "effort", "ranges", "mean", "count"} <= shared
    for name in shared:
        assert ours[name].default == of_build[name].default, name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--target=cpu-fp32",), "float target"),
        (("--target=cpu-int8", "--io=nv12", "--yuv=bt2020"), "bt2020"),
        (("--target=cpu-int8", "--html=."), "is a folder"),
    ],
)
def test_refused(refused, arguments, wrong, said):
    assert said in refused(*arguments, *wrong)
