"""matrix.toml: what is wrong in it is named with its line, before anything is done."""

from __future__ import annotations

import shutil

import pytest

from edgeeff.errors import EdgeeffError, MatrixError, OutputError
from edgeeff.matrix.file import Exclude, load
from edgeeff.matrix.store import Store

GOOD = """schema = 1
targets = ["cpu-fp32", "cpu-int8"]
calibration = "photos"
images = "photos"
reference = "cpu-fp32"
devices = ["local", "ssh://pi@10.0.0.7"]

[bench]
runs = 3

[[model]]
name = "doors"
checkpoint = "doors.pt"
keep-float = ["stem*"]

[[model]]
name = "small"
model = "lite0"
targets = "cpu-fp32"
effort = "fast"

[[exclude]]
model = "small"
device = "ssh:*"
measure = "eval"
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "photos").mkdir()

    def written(content=GOOD):
        path = tmp_path / "matrix.toml"
        path.write_text(content)
        return path

    return written


def test_a_matrix_as_it_is_meant(write, tmp_path):
    found = load(write())
    assert (found.name, found.results, found.bench.runs) == ("matrix", tmp_path / "results", 3)
    doors, small = found.models
    assert doors.options["checkpoint"] == str(tmp_path / "doors.pt")
    assert doors.options["keep_float"] == ["stem*"] and doors.targets == ("cpu-fp32", "cpu-int8")
    assert small.targets == ("cpu-fp32",) and small.images == tmp_path / "photos"
    assert found.excluded("small", "cpu-fp32", "eval", "ssh://pi@10.0.0.7")
    assert not found.excluded("small", "cpu-fp32", "eval") and not found.excluded(
        "small", "cpu-fp32", "build"
    )


def test_an_exclude_without_device_and_measure_leaves_out_the_build():
    one = Exclude("b*", "cpu-*", None, None)
    assert one.holds("b0", "cpu-int8", "build", "local") and one.holds("b0", "cpu-int8", "bench", "local")
    assert not one.holds("lite0", "cpu-int8", "build", "local")


@pytest.mark.parametrize(
    ("wrong", "by", "what"),
    [
        ('reference = "cpu-fp32"', 'refrence = "cpu-fp32"', "line 5: there is no key 'refrence'"),
        ('targets = ["cpu-fp32", "cpu-int8"]', "targets = []", "line 2: targets"),
        ('"cpu-int8"]', '"cpu-int9"]', "line 2: targets 2: no target named 'cpu-int9'"),
        ('"cpu-int8"]', '"cpu-fp32"]', "line 2: targets: cpu-fp32 stands there twice"),
        ('calibration = "photos"', "", "model 1: nothing says which images calibrate"),
        ('images = "photos"', 'images = "fotos"', "line 4: images: there is no"),
        ('calibration = "photos"', 'calibration = "fotos"', "line 3: calibration: there is no"),
        ('reference = "cpu-fp32"', 'reference = "cpu-bf16"', "line 5: reference: cpu-bf16 is no target of"),
        ('"ssh://pi@10.0.0.7"]', '"nonsense"]', "line 6: devices 2: no device is called 'nonsense'"),
        (
            '"ssh://pi@10.0.0.7"]',
            '"ssh://-oProxyCommand=x"]',
            "line 6: devices 2: 'ssh://-oProxyCommand=x' is no",
        ),
        ('"ssh://pi@10.0.0.7"]', '"telnet:pi"]', "line 6: devices 2: no kind of device is called 'telnet'"),
        ("runs = 3", "runs = 0", "line 9: bench.runs"),
        ("runs = 3", "laps = 3", "line 9: there is no key 'laps' in bench"),
        ('name = "small"', 'name = "doors"', "line 17: model 2: name: model 1 is called doors too"),
        ('name = "small"', 'name = "a/b"', "line 17: model 2: name"),
        ('effort = "fast"', 'efort = "fast"', "line 20: model 2: efort: there is no such option"),
        ('effort = "fast"', "size = 3", "line 20: model 2: size: size 3×3"),
        ('effort = "fast"', 'count = "many"', "line 20: model 2: count: 'many'"),
        ('effort = "fast"', 'output = "dist"', "line 20: model 2: output: the matrix says it"),
        ('model = "small"\ndevice', 'model = "smal"\ndevice', "exclude 1: it leaves no cell out"),
        ("[[model]]", "[[modle]]", "there is no key 'modle'"),
        ("schema = 1", "schema = 2", "line 1: schema 2"),
        ("schema = 1", "schema = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write, wrong, by, what):
    assert wrong in GOOD
    with pytest.raises(EdgeeffError) as found:
        load(write(GOOD.replace(wrong, by)))
    assert what in found.value.what and found.value.mend


def test_a_folder_of_results_is_ours_and_one_runs_own(tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    with store.held(), pytest.raises(MatrixError, match="another run"), Store(store.folder).held():
        pass
    with store.making("ab12") as folder:
        (folder / "state.npz").write_bytes(b"12345")
        store.put("ab12", folder, {"name": "x"})
    assert store.read("ab12")["files"] == {"state.npz": 5}
    (store.place("ab12") / "state.npz").write_bytes(b"123")
    assert store.read("ab12") is None  # torn: it is made again, in its place
    with store.making("ab12") as folder:
        store.put("ab12", folder, {"name": "y"})
    assert store.read("ab12")["name"] == "y"
    with pytest.raises(ZeroDivisionError), store.making("cd34"):
        raise ZeroDivisionError
    assert [p.name for p in store.units.iterdir()] == ["ab12"]
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "file").touch()
    with pytest.raises(MatrixError, match="something else"):
        Store(tmp_path / "dist").prepare()
    for name in ("units", "reports", "claims/run.lock"):  # somebody else's folder, which leads elsewhere
        theirs = Store(tmp_path / name.replace("/", "-"))
        theirs.prepare()
        held = theirs.folder / name
        shutil.rmtree(held, ignore_errors=True)
        held.symlink_to(tmp_path / "dist")
        with pytest.raises(OutputError, match="symbolic link"):
            theirs.prepare()
            theirs.held().__enter__()
    (store.folder / "matrix.json").write_text('{"schema": 2}')
    with pytest.raises(MatrixError, match="schema 2"):
        store.prepare()
