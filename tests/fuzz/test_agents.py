"""Mutations of what a board's agent says: frames, every answer's header, what a program printed there."""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeeff import digests
from edgeeff.cli import devices as verb
from edgeeff.devices import benchmark_model, connection
from edgeeff.devices.connection import Connection
from edgeeff.devices.file import Named
from edgeeff.devices.link import BrokenError, Link
from edgeeff.devices.looking import Seen, lacks
from edgeeff.devices.parcel import MARK
from edgeeff.errors import DeviceError, EdgeeffError
from edgeeff.harness import machine
from edgeeff.onboard import arrays, frames
from edgeeff.onboard.frames import Frame, FrameError
from tests.fuzz.test_parsers import MANIFEST

FACTS: dict[str, Any] = {
    "machine": machine.describe().to_json(),
    "now": {
        **{"utc": 1.8e9, "l4t": "36.4.3", "power_mode": "15W", "temperatures_c": {"gpu-thermal": 48.5}},
        **{"memory_bytes": 8 << 30, "memory_free_bytes": 4 << 30, "disk_bytes": 1 << 40},
        **{"disk_free_bytes": 1 << 30, "uptime_s": 12.5, "limit_mhz": 1500.0},
    },
}
#: What an agent answers, by what it was asked for.
ANSWERS: dict[str, Any] = {
    "facts": FACTS,
    "temperatures": {"temperatures_c": {"cpu-thermal": 41.0, "gpu-thermal": 39.5}},
    "has": {"has": True},
    "open": {"session": 4711, "batch": [1, False]},
    "infer": {"arrays": [{"name": "logits", "type": "float32", "shape": [1, 2]}]},
    "launch": {"returncode": 0},
    "script": {"returncode": 1},
    "fetch": {},
    "lock": {},
    "close": {},
    "unlock": {},
}
PAYLOADS = {"infer": [bytearray(8)], "launch": [bytearray(b"{}\n"), bytearray()], "fetch": [bytearray(b"{}")]}
PAYLOADS["script"] = PAYLOADS["launch"]


class Liar:
    """A link whose agent answers as a file says."""

    alive = True

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers, self._asked = answers, list[str]()

    def ask(self, header: Mapping[str, Any], payloads: Sequence[Any] = (), *, within: float) -> Frame:
        return self.answer(self.say(header, payloads), within)

    def say(self, header: Mapping[str, Any], payloads: Sequence[Any] = ()) -> int:
        self._asked.append(str(header["op"]))
        return len(self._asked) - 1

    def answer(self, number: int, within: float) -> Frame:
        said = self._answers.get(self._asked[number])
        return Frame(said if isinstance(said, dict) else {}, PAYLOADS.get(self._asked[number], []))

    def kill(self) -> None:
        pass


class Nowhere:
    """A transport that nothing is sent by."""

    def command(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        raise AssertionError(returncode, stderr)

    def close(self) -> None:
        pass


BUNDLE = {**MANIFEST, "schema_version": 2, "files": {"model.xml": digests.of_bytes(b"-")}}
BUNDLE["outputs"] = [{"name": "logits", "shape": [1, 2], "meaning": "scores"}]
#: Whatever is asked of a board; a step may fail, and those behind it are tried too.
STEPS: tuple[Callable[[Connection, Path], object], ...] = (
    lambda board, _: _shown(board.facts()),
    lambda board, _: json.dumps([board.environment(), board.temperatures()], allow_nan=False),
    lambda board, bundle: board.session(bundle, threads=1).infer(np.zeros((1, 8, 8, 3), np.uint8)),
    lambda board, bundle: _launched(board, bundle),
    lambda board, bundle: board.script(bundle, "verify.py", [], 1.0),
    lambda board, bundle: board.fetch(bundle, "verify.json"),
)


@pytest.fixture
def used(monkeypatch, tmp_path) -> Callable[[Path], object]:
    """``used(path)``: use a board whose answers stand in that file."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text(json.dumps(BUNDLE))
    (bundle / "model.xml").write_text("-")
    monkeypatch.setattr(connection, "PAUSES", ())

    def use(path: Path) -> object:
        answers = json.loads(path.read_bytes())
        monkeypatch.setattr(connection, "Link", lambda *_: Liar(answers if isinstance(answers, dict) else {}))
        failed: list[Exception] = []
        for step in STEPS:
            try:
                step(Connection("board", Nowhere()), bundle)
            except Exception as error:
                failed.append(error)
        if failed:  # one that is none of ours says most
            raise min(failed, key=lambda error: isinstance(error, EdgeeffError))
        return None

    return use


def _launched(board: Connection, bundle: Path) -> object:
    with board.lock(1.0):
        return board.launch("launch", [bundle], [1], threads=1, seconds=1.0, seed=0, patience=1.0)


def _shown(facts: Mapping[str, Any]) -> object:
    named = Named("board", "ssh://b", Path())
    seen = Seen(named.name, named.address, reachable=True, facts=facts, lacks=tuple(lacks(facts)))
    return verb.lines(seen), json.dumps(seen.to_json())


def test_an_agent_that_is_right_is_used(used, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(ANSWERS))
    used(tmp_path / "a.json")


def test_what_an_agent_answers(used, fuzz, types_changed, tmp_path):
    fuzz(types_changed, used, tmp_path / "a.json", json.dumps(ANSWERS).encode(), 3)


#: What was found, and is refused since.
LIES = {
    "a batch of none": {"open": {"session": 1, "batch": [0, False]}},
    "outputs of another name": {"infer": {"arrays": [{"name": "x", "type": "float32", "shape": [1, 2]}]}},
    "outputs of another shape": {
        "infer": {"arrays": [{"name": "logits", "type": "float32", "shape": [1, 1, 2]}]}
    },
    "a shape without end": {
        "infer": {"arrays": [{"name": "logits", "type": "float32", "shape": [1e999, 2]}]}
    },
    "no status": {"launch": {}},
    "heat that is a word": {"temperatures": {"temperatures_c": {"cpu": "hot"}}},
    "versions that are a list": {"facts": {**FACTS, "machine": {**FACTS["machine"], "versions": []}}},
    "free space that is a word": {"facts": {**FACTS, "now": {**FACTS["now"], "disk_free_bytes": "much"}}},
    "a clock without end": {"facts": {**FACTS, "now": {**FACTS["now"], "utc": 1e999}}},
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(lie, used, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({**ANSWERS, **LIES[lie]}))
    with pytest.raises(DeviceError, match="board answers wrongly"):
        used(tmp_path / "a.json")


def _received(path: Path) -> object:
    """Frames until there are no more, as host and agent read them."""
    source, out = os.pipe()
    content = path.read_bytes()
    writer = threading.Thread(target=lambda: (os.write(out, content), os.close(out)))
    writer.start()
    found = []
    try:
        while (frame := frames.read(source)) is not None:
            found.append(arrays.unpack(frame.header.get("arrays"), frame.payloads))
    except FrameError:
        return None
    finally:
        writer.join()
        os.close(source)
    return found


def _frame(header: bytes, payload: bytes) -> bytes:
    """A frame whose sum is right, whatever its header says."""
    return struct.pack(">II", len(header), zlib.crc32(header)) + header + payload


HEADER = {**ANSWERS["infer"], "id": 1, "payloads": [[8, ""]]}


def test_bytes_of_frames(fuzz, bytes_changed, tmp_path):
    fuzz(bytes_changed, _received, tmp_path / "f", 2 * _frame(json.dumps(HEADER).encode(), bytes(8)))


def test_headers_of_frames(fuzz, types_changed, bytes_changed, tmp_path):
    for change in (types_changed, bytes_changed):
        fuzz(
            lambda content, number, change=change: _frame(change(content, number), bytes(8)),
            *(_received, tmp_path / "f", json.dumps(HEADER).encode()),
        )


PRINTED = (
    "INFO: Inference timings in us: Init: 1234, First inference: 5678, "
    "Warmup (avg): 1234.5, Inference (avg): 1.2e3\n"
    "count=50 first=1 curr=1 min=1000 max=2e3 avg=1234.5 std=12\n"
)


def _times(path: Path) -> object:
    return json.dumps(benchmark_model.read(path.read_text("utf-8", "replace")), allow_nan=False)


def test_what_a_program_printed(fuzz, bytes_changed, tried, tmp_path):
    tried(_times, tmp_path / "p", PRINTED.encode())
    fuzz(bytes_changed, _times, tmp_path / "p", PRINTED.encode())
    for digits in ("9" * 5000, "1e999", "1e9999"):
        tried(_times, tmp_path / "p", PRINTED.replace("50 ", f"{digits} ").replace("1000", digits).encode())


class Scripted(Nowhere):
    """Whatever is to be started there is this script, which has the frames at hand."""

    def __init__(self, script: str) -> None:
        self._script = (
            f"import os\nfrom edgeeff.onboard import frames\nos.write(1, {MARK.encode()!r} + b'ready\\n')\n"
        )
        self._script += f"def say(**header): frames.write(1, header)\n{script}\nos.read(0, 1 << 20)"

    def command(self, argv: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", self._script]


@pytest.mark.parametrize(
    "script",
    [
        "say(op='ready')\nsay(id=99)",
        "say(op='ready')\nsay(id=1.0)",
        "say(op='ready')\nfor _ in range(9): say(warning='x')",
        "say(op='hello')\nraise SystemExit",
    ],
)
def test_what_was_not_asked_for_is_not_kept(script):
    """It ends the connection: an agent that talks on and on would fill the memory."""
    with pytest.raises(BrokenError, match=r"answers what was not asked|neither that it is ready"):
        Link("board", Scripted(script), ["python3"]).ask({"op": "lock"}, within=20.0)
