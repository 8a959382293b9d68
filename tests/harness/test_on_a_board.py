"""Verbs on a board: an agent in a process of its own, on one processor and with a store of its own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import PIL
import pytest
from PIL import Image

from edgeeff import cli, devices, report
from edgeeff.bundle import Bundle
from edgeeff.devices import connection
from edgeeff.diagnosis import on_board
from edgeeff.errors import DeviceError, OptionError
from edgeeff.gate import running, suite
from edgeeff.gate.formats import junit
from edgeeff.harness import device_class, resuming, where
from edgeeff.harness.accuracy import evaluate
from edgeeff.harness.latency import benchmark
from edgeeff.harness.profile import profile
from edgeeff.history.reports import read
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.request import BuildRequest
from edgeeff.progress import Recorder, Silent
from edgeeff.target import load_target
from tests.devices.local import Local

NAME = "ssh://pi@board-7"


@dataclass
class Pinned(Local):
    """A board of one processor."""

    def command(self, argv: Sequence[str]) -> list[str]:
        return ["taskset", "-c", "0", *super().command(argv)]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    home = tmp_path_factory.mktemp("board") / "home"
    with closing(connection.connect(NAME, Pinned(home), sys.executable)) as opened:
        yield opened


def borrowed(board) -> SimpleNamespace:
    """The same board for what closes it."""
    names = ("name", "environment", "temperatures", "session", "launch", "lock", "doubts")
    return SimpleNamespace(**{name: getattr(board, name) for name in names}, close=lambda: None)


@pytest.fixture
def images(colours, tmp_path):
    pixels, labels = colours
    np.savez(tmp_path / "colours.npz", images=pixels, labels=labels)
    return tmp_path / "colours.npz"


@pytest.fixture
def verb(monkeypatch, tmp_path, board):
    """``verb(*arguments)``: exit status, standard output and standard error; the board is ``NAME``."""
    lent = borrowed(board)
    monkeypatch.setattr(devices, "open_device", lambda address, **_: lent if address == NAME else None)
    monkeypatch.setenv("EDGEEFF_HISTORY", "off")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            cli.main([str(one) for one in arguments])
        return int(end.value.code or 0), out.getvalue(), err.getvalue()

    return run


def test_what_is_judged_on_a_board_is_what_is_judged_here(make_bundle, images, board, verb):
    bundle, floating = make_bundle("tested", classifier=np.eye(3) + 0.4), make_bundle("floating")
    here = evaluate(bundle, images, reference=floating, progress=Silent()).to_json()
    status, out, err = verb(
        *("eval", bundle.folder, f"--images={images}", f"--reference={floating.folder}"),
        *("--json", f"--device={NAME}"),
    )
    (there,) = json.loads(out)
    assert status == 0, err
    said = f"floating, the reference, ran on this machine, tested on {NAME}"
    assert there.pop("notes") == [*here.pop("notes"), said] and said in err
    record, own = there.pop("record"), here.pop("record")
    there.pop("history", None)
    assert there == here and here["scores"]
    assert record["device"] == NAME and record["host"] == own["environment"]
    assert record["environment"]["usable_cores"] == 1
    assert "device" not in own and "host" not in own


def test_a_bundle_answers_photos_and_frames_there(make_bundle, board, verb, tmp_path):
    folder = make_bundle("answers").folder
    for number, colour in enumerate(((200, 20, 30), (10, 180, 40))):
        Image.new("RGB", (20, 16), colour).save(tmp_path / f"{number}.png")
    for source in (tmp_path / "0.png", tmp_path / "1.png"):
        here = verb("run", folder, source, "--json")
        there = verb("run", folder, source, "--json", f"--device={NAME}")
        assert there[:2] == here[:2] and there[0] == 0
        assert f"on {NAME}" in there[2]


def test_a_latency_is_of_the_board_and_nothing_of_this_machine(make_bundle, board, verb, tmp_path):
    bundle = make_bundle("timed")
    status, out, err = verb(
        *("bench", bundle.folder, "--launches=1", "--seconds=0.05", "--threads=2"),
        *("--json", f"--device={NAME}"),
    )
    data = json.loads(out)
    assert status == 0 and data["entries"][0]["timing"], err
    facts = dict(board.environment())
    assert {name: data["machine"][name] for name in facts} == facts
    assert data["machine"]["load_average"] is None
    assert data["record"]["environment"] == facts and facts["usable_cores"] == 1
    assert "2 threads share 1 processors, and wait for one another" in data["warnings"]
    assert read(data).environment == facts
    (tmp_path / "bench.json").write_text(out)
    page, _ = report.of_paths([tmp_path / "bench.json"])
    assert NAME in page and "asked by" in page
    assert (
        f"{NAME}:\n" in verb("bench", bundle.folder, "--launches=1", "--seconds=0.05", f"--device={NAME}")[1]
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bench", "B", "--tools"], "--tools looks at this machine alone"),
        (["bench", "B", "--profile"], "--profile looks at this machine alone"),
        (["eval", "B", "--images=I", "--via=onnxruntime"], "--via onnxruntime with --device"),
        (["diagnose", "--target=cpu-int8", "--model=lite0", "--kernels"], "--kernels with --device"),
        (["bench", "B", "--wait=-1"], "--wait -1"),
    ],
)
def test_what_a_board_does_not_do_is_refused_by_its_name(arguments, says, make_bundle, images, verb):
    named = {"B": str(make_bundle("refused").folder), "--images=I": f"--images={images}"}
    status, out, err = verb(*(named.get(one, one) for one in arguments), f"--device={NAME}")
    assert status == 2 and out == "" and says in err, err


def test_a_wait_without_a_board_and_bundles_in_two_places_are_refused(make_bundle, board, verb):
    bundle = make_bundle("placed")
    status, _, err = verb("run", bundle.folder, bundle.folder, "--wait=3")
    assert status == 2 and "--wait without --device" in err
    with pytest.raises(OptionError, match=f"{NAME}, this machine cannot|this machine, {NAME} cannot"):
        benchmark([bundle, make_bundle("other").on(board)])
    with pytest.raises(OptionError, match="a profile on the device"):
        profile([bundle.on(board)])


def test_what_the_way_to_a_board_doubts_is_in_the_report(make_bundle, board, monkeypatch):
    """A place of a lab that was taken away meanwhile: others may have used the board."""
    monkeypatch.setattr(board._transport, "doubts", lambda: ["the place p was lost"], raising=False)
    report = benchmark([make_bundle().on(board)], launches=1, seconds=0.02)
    assert "the place p was lost" in report.warnings


def of_class(cpu_class: str) -> SimpleNamespace:
    """A board that says of itself what the class of its processor is made of."""
    flags = {"avx2": ["avx2"], "vnni": ["avx2", "avx512_vnni"]}[cpu_class]
    facts = {"architecture": "x86_64", "flags": flags}
    return SimpleNamespace(name=f"a {cpu_class} board", environment=lambda: facts)


@pytest.mark.parametrize(("planned", "there", "warns"), [("vnni", "avx2", 1), ("avx2", "vnni", 0)])
def test_weights_of_eight_bits_are_warned_of_where_they_saturate(planned, there, warns, make_bundle):
    bundle = make_bundle("planned", "cpu-fp32")
    manifest = replace(bundle.manifest, precision="int8", cpu_class=planned)
    found = where.class_warnings([replace(bundle, manifest=manifest).on(of_class(there))])
    assert len(found) == warns and all("a avx2 board is of the class avx2" in text for text in found)


@pytest.mark.parametrize(
    ("version", "architecture", "warns"),
    [
        ("2026.0.0", "aarch64", 1),
        ("2025.1.0", "aarch64", 0),
        ("2026.4.1", "aarch64", 0),
        ("2026.0.0", "x86_64", 0),
    ],
)
def test_versions_of_openvino_that_are_wrong_on_arm_are_warned_of(version, architecture, warns, make_bundle):
    bundle = make_bundle("planned", "cpu-fp32")
    manifest = replace(bundle.manifest, precision="int8", cpu_class="avx2")
    facts = {"architecture": architecture, "versions": {"openvino": version}}
    there = SimpleNamespace(name="a board", environment=lambda: facts)
    found = where.class_warnings([replace(bundle, manifest=manifest).on(there)])
    assert len(found) == warns and all(f"OpenVINO {version} on a board" in text for text in found)
    assert not where.class_warnings([bundle.on(there)]), "float is right everywhere"


@pytest.mark.parametrize(("built", "warns"), [("12.3.0", 1), (PIL.__version__, 0), ("99.0", 0), ("", 0)])
def test_a_pillow_that_resizes_in_another_order_is_warned_of(built, warns, make_bundle):
    bundle = make_bundle("prepared", "cpu-fp32")
    manifest = replace(bundle.manifest, tools={**bundle.manifest.tools, "pillow": built})
    found = where.class_warnings([replace(bundle, manifest=manifest)])
    assert len(found) == warns and all("pip install 'pillow<13'" in text for text in found)


def test_another_distribution_of_a_runtime_makes_another_class_of_board(make_bundle):
    runtime = make_bundle("old").runtime
    classes = set()
    for versions in ({"ai-edge-litert": "2.3.0"}, {"tflite-runtime": "2.14.0"}, {"tflite-runtime": "2.11.0"}):
        environment = {"versions": versions}
        facts = device_class.facts(environment, device_class.distributions(runtime, environment))
        assert facts["runtimes"] == versions
        classes.add(device_class.digest(facts))
    assert len(classes) == 3


SUITE = """
schema = 1
devices = ["ssh://one", "ssh://gone", "ssh://breaks"]
images = "colours.npz"
old = "old"
[limits]
latency = "off"
memory = "off"
load_time = "off"
[[case]]
bundles = "tested*"
"""


class Breaking:
    """A board that is lost when something is first asked of it."""

    name = "ssh://breaks"
    asked = 0

    def __init__(self, board):
        self.lock, self.environment = board.lock, board.environment

    def session(self, bundle, *, threads):
        Breaking.asked += 1
        raise DeviceError("breaks: the connection was lost", mend="look at its power")

    def close(self):
        pass


def test_a_board_that_is_gone_or_lost_is_an_error_of_its_cases_alone(make_bundle, images, board, tmp_path):
    (tmp_path / "old").mkdir()
    make_bundle("tested", classifier=np.eye(3) + 0.3).folder.rename(tmp_path / "old" / "tested")
    bundle = make_bundle("tested", classifier=np.eye(3) + 0.4)
    (tmp_path / "suite.toml").write_text(SUITE.replace("tested*", "tested"))
    opened: list[str] = []

    def open_board(name, wait, tell):
        opened.append(name)
        if name == "ssh://gone":
            raise DeviceError("gone cannot be reached", mend="switch it on")
        return Breaking(board) if name == "ssh://breaks" else borrowed(board)

    read_in = suite.load(tmp_path / "suite.toml")
    assert [(case.name, case.device) for case in read_in.cases] == [
        ("tested", "ssh://one"),
        ("tested", "ssh://gone"),
        ("tested", "ssh://breaks"),
    ]
    made = running.run(read_in, open_board=open_board, progress=Silent())
    found = {(v.device, v.metric): v.status for v in made.verdicts}
    assert found[NAME, "size"] == "pass" and found[NAME, "top_1"] in ("pass", "inconclusive")
    assert (
        found["ssh://gone", "size"]
        == found["ssh://gone", "top_1"]
        == found["ssh://breaks", "top_1"]
        == "error"
    )
    assert made.exit_status == 2 and opened.count("ssh://gone") == 1 and Breaking.asked
    suites = ElementTree.fromstring(junit.text(made, "s"))
    errors = [case.get("name") for case in suites.iter("testcase") if case.find("error") is not None]
    assert "tested on ssh://gone: size" in errors and not list(suites.iter("failure"))
    parts = made.by_place()
    assert [part.record and part.record.device for part in parts] == [NAME, "ssh://breaks", None]
    assert parts[0].record.environment["usable_cores"] == 1 and "tested" in parts[0].record.bundles
    assert {v.device for v in parts[2].verdicts} == {"ssh://gone"}
    for part in parts[:2]:
        assert read(part.to_json()).environment == part.record.environment
    assert bundle.digest() in parts[0].record.bundles.values()


def test_a_diagnosis_tells_what_the_board_made_of_the_artifact(make_bundle, network, board, monkeypatch):
    right = make_bundle("right")
    wrong = make_bundle("wrong", graph=network.graph(np.eye(3)[::-1]))  # its golden outputs are another's
    heard: list[str] = []
    listener = SimpleNamespace(**{name: getattr(Silent(), name) for name in ("stage", "advance", "tell")})
    listener.warn = heard.append
    for bundle in (right, wrong):
        monkeypatch.setattr(on_board, "build", lambda *_, bundle=bundle, **__: [Built(bundle)])
        context = Context.of(None, Recorder(listener))
        found = on_board.run(load_target("mobile-fp32"), BuildRequest(), 4, board, context)
        assert found.device == NAME and found.environment["usable_cores"] == 1
        assert NAME in found.line and found.to_json()["golden"]["images"] == 4
    assert len(heard) == 1 and heard[0].startswith(f"on {NAME} the artifact is not what the hub graph says")


@dataclass
class Built:
    """What a build gives, as far as it is used."""

    bundle: Bundle
    warnings: tuple[str, ...] = ()


class Tiring:
    """A board that is lost after so many runs."""

    def __init__(self, board, runs):
        self.name, self.environment, self._board, self.left = board.name, board.environment, board, runs

    def session(self, bundle, *, threads):
        session = self._board.session(bundle, threads=threads)

        def infer(pixels):
            self.left -= 1
            if self.left < 0:
                raise DeviceError("the connection was lost", mend="look at its power")
            return session.infer(pixels)

        return SimpleNamespace(infer=infer)


def test_an_evaluation_goes_on_where_the_board_was_lost(make_bundle, images, board, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "EVERY", 0.0)
    monkeypatch.setattr(resuming, "TIMES", 0.0)
    bundle, told = make_bundle("long", classifier=np.eye(3) + 0.4), []
    listener = SimpleNamespace(**{name: getattr(Silent(), name) for name in ("stage", "advance", "warn")})
    listener.tell = told.append
    keywords = {"resume": tmp_path / "states", "progress": listener}
    with pytest.raises(DeviceError):
        evaluate(bundle.on(Tiring(board, 2)), images, **keywords)
    assert told == ["the board was lost: the same command goes on from the images that were done"]
    rest = Tiring(board, 1000)
    found = evaluate(bundle.on(rest), images, **keywords)
    assert "goes on from image 16 of 60" in told[-1] and rest.left > 1000 - 7
    (scores, here) = (one.to_json()["scores"] for one in (found, evaluate(bundle, images, progress=Silent())))
    assert scores == here and found.images == 60
