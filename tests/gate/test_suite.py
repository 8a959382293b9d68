"""Suites: what they name is resolved, and what is wrong in one is refused with its line."""

from pathlib import Path

import pytest

from edgeeff.bundle import Manifest, write_bundle
from edgeeff.errors import ReportError
from edgeeff.gate import suite
from edgeeff.gate.limits import DEFAULTS
from edgeeff.preprocess import Preprocess


@pytest.fixture
def bundle(tmp_path):
    """``bundle(folder, name, target)``: a bundle that holds nothing to run."""

    def make(folder, name, target="cpu-int8", content=b""):
        runtime = "openvino" if target.startswith("cpu") else "tflite"
        facts = {"name": name, "model": "b0", "target": target, "runtime": runtime, "precision": "int8"}
        facts |= {"input": "uint8", "softmax": False, "cpu_class": "avx2", "labels": ("a",), "classes": 1}
        facts |= {"preprocess": Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1))}
        facts |= {"runtime_properties": {}, "digests": {}, "tools": {}, "files": {}}
        return write_bundle(tmp_path / folder, Manifest(**facts), {"model.bin": content})

    return make


@pytest.fixture
def write(tmp_path, bundle):
    """``write(text)``: a suite beside two new bundles, of which one has an old one."""
    bundle("dist/b0-cpu-int8", "b0-cpu-int8")
    bundle("dist/b0-mobile-int8", "b0-mobile-int8", "mobile-int8")
    bundle("old/last", "b0-cpu-int8")
    (tmp_path / "dist" / "notes").mkdir()
    (tmp_path / "photos").mkdir()

    def make(text) -> Path:
        path = tmp_path / "gate.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_a_suite_is_resolved(write, tmp_path):
    read = suite.load(
        write(
            'schema = 1\nname = "camera"\nold = "old"\nimages = "photos"\n'
            '[limits]\nlatency = "5 %"\nload_time = "off"\n'
            '[[case]]\nbundles = "dist/*"\ntargets = "cpu-int8"\n'
            '[[case]]\nbundles = ["dist/b0-mobile-int8"]\nthreads = 2\nlimits.latency = "10%"\n'
        )
    )
    first, second = read.cases
    assert (read.name, read.baselines) == ("camera", tmp_path / "baselines")
    assert (first.name, first.threads, first.images) == ("b0-cpu-int8", 1, tmp_path / "photos")
    assert first.old.folder == tmp_path / "old" / "last" and second.old is None
    assert first.limits["latency"] == 5.0 and second.limits["latency"] == 10.0 and second.threads == 2
    assert set(first.limits) == set(DEFAULTS) - {"load_time"}


def test_the_command_line_is_over_the_file(write, tmp_path, bundle):
    bundle("released/b0-mobile-int8", "b0-mobile-int8", "mobile-int8")
    said = 'schema = 1\nold = "nowhere"\nimages = "photos"\nroot = "released"\n'
    path = write(f'{said}[[case]]\nbundles = "dist/*"\nlimits.size = "9 %"\n')
    read = suite.load(path, suite.Instead(tmp_path / "released", tmp_path / "photos", {"size": 2.0}))
    assert {case.root for case in read.cases} == {None}  # that of the file is of its own images
    kept = suite.load(path, suite.Instead(tmp_path / "released")).cases
    assert {case.root for case in kept} == {tmp_path / "released"}
    assert [case.old is None for case in read.cases] == [True, False]
    assert all(case.images == tmp_path / "photos" and case.limits["size"] == 2.0 for case in read.cases)


def test_a_limit_of_the_command_line_wants_what_it_is_held_against(write, tmp_path):
    path = write('schema = 1\n[[case]]\nbundles = "dist/*"\n')
    for limits, images, said in (
        ({"top_1": 1.0}, None, "limits.top_1: there are no images"),
        ({"sqnr_centred": 1.0}, tmp_path / "photos", "limits.sqnr_centred: there is no float bundle"),
    ):
        with pytest.raises(ReportError, match=said):
            suite.load(path, suite.Instead(images=images, limits=limits))
    assert suite.load(path, suite.Instead(limits={"top_1": None, "sqnr_centred": None})).cases


CASE = '[[case]]\nbundles = "dist/*"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CASE, "gate.toml: the file does not say which schema"),
        ("schema = 2\n" + CASE, "line 1: schema 2, and this version of edgeeff reads up to 1"),
        ('schema = "1"\n' + CASE, "does not say which schema"),
        ("schema = 1\n", "case is missing"),
        ("schema = 1\ncase = []\n", "line 2: case: List should have at least 1 item"),
        (
            f"schema = 1\nimage = 'photos'\n{CASE}",
            "line 2: there is no key 'image'\n  → did you mean images?",
        ),
        (
            f"schema = 1\n{CASE}\n# x\nlimit = {{}}",
            "line 6: there is no key 'limit' in case 1\n  → did you mean limits?",
        ),
        (f"schema = 1\n{CASE}[[case]]\ntargets = 'x'\n", "line 4: case 2: bundles is missing"),
        (f"schema = 1\n{CASE}threads = 0\n", "line 4: case 1: threads: Input should be greater"),
        (f"schema = 1\n[limits]\nlatency = 0.03\n{CASE}", 'latency = 0.03; write latency = "3 %", or "off"'),
        (f"schema = 1\n[limits]\ntop_1 = '1 %'\n{CASE}", 'write top_1 = "1 points"'),
        (
            f"schema = 1\n[limits]\nlatncy = '1 %'\n{CASE}",
            "there is no metric 'latncy'; the metrics are latency",
        ),
        (f"schema = 1\n{CASE}devices = 'orin1'", "devices: no device is called 'orin1'"),
        (f"schema = 1\n{CASE}targets = 'jetson-int8'", "no bundle of target 'jetson-int8'"),
        (f"schema = 1\n{CASE}{CASE}", "two cases are called 'b0-cpu-int8'"),
        ("schema = 1\n[[case]]\nbundles = 'dist/b1-*'\n", "no bundle is at"),
        (f"schema = 1\nimages = 'missing'\n{CASE}", "images: there is no"),
        (f"schema = 1\nimages = '{300 * 'x'}'\n{CASE}", "images: there is no"),
        (f"schema = 1\nold = '{300 * 'x'}'\n{CASE}", "old: there is no folder"),
        (f'schema = 1\nbaselines = "a\\u0000"\n{CASE}', "line 2: baselines: no file can have a name"),
        (f"schema = 1\nold = 'photos'\n{CASE}", "old: no bundle is in"),
        (f"schema = 1\nold = 'dist'\n{CASE}", "dist/b0-cpu-int8 would be held against itself"),
        (f"schema = 1\n{CASE}limits.top_1 = '1 points'", "case 1: limits.top_1: there are no images"),
        (f"schema = 1\n[limits]\nagreement = '1 points'\n{CASE}", "limits.agreement: there are no images"),
        (f"schema = 1\nreference = 'dist/b0-cpu-int8'\n{CASE}", "reference: there are no images"),
        (f"schema = 1\n{CASE}reference = 'dist/b0-cpu-int8'\n", "case 1: reference: there are no images"),
        (
            f"schema = 1\nimages = 'photos'\n[limits]\nsqnr_centred = '1 dB'\n{CASE}",
            "gate.toml: limits.sqnr_centred: there is no float bundle",
        ),
        (
            f"schema = 1\nimages = 'photos'\n{CASE}limits.sqnr_centred = '1 dB'\n",
            "case 1: limits.sqnr_centred: there is no float bundle",
        ),
        (
            f"schema = 1\n{CASE}[case.limits]\n"
            + "".join(f"{name} = 'off'\n" for name in ("latency", "size", "memory", "load_time")),
            "case 1: no metric is left to measure",
        ),
        ("schema = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(write, text, said):
    with pytest.raises(ReportError) as caught:
        suite.load(write(text))
    assert said in str(caught.value)


def test_a_value_of_several_lines_has_the_line_where_it_begins(write):
    with pytest.raises(ReportError, match=r"line 6: case 1: bundles 2: Input should be a valid string"):
        suite.load(
            write('schema = 1\nname = """\nbundles = \n"""\n[[case]]\nbundles = [\n"dist/*",\n1,\n]\n')
        )


def test_two_old_bundles_of_one_name_are_refused(write, bundle):
    bundle("old/other", "b0-cpu-int8", content=b"2")
    with pytest.raises(ReportError, match="are both b0-cpu-int8"):
        suite.load(write(f"schema = 1\nold = 'old'\n{CASE}"))
