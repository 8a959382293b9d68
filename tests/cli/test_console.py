"""What is said of long work where there is no terminal to draw a bar on."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.table import Table

from edgeeff import cli
from edgeeff.cli import console


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(console, "time", found)
    return found


def test_how_long_a_stage_will_take_is_told_soon_and_each_minute(clock, capsys):
    with console.ConsoleProgress() as progress:
        progress.stage("learning", 300, "steps")
        clock.now = 7.0  # the first step also warms up
        progress.advance(50)  # and 49 were found done
        for _ in range(100):
            clock.now += 2.0
            progress.advance()
    said = capsys.readouterr().err.splitlines()
    later = [f"  {done} of 300, about {left} s more" for done, left in ((85, 430), (115, 370), (145, 310))]
    assert said == ["• learning (300 steps)", "  about 490 s more", *later]


def test_the_count_stays_on_a_narrow_line(monkeypatch):
    """What is being done gives way to it, brackets and all."""
    for width in (80, 120):
        stream = io.StringIO()
        terminal = console._Console(file=stream, force_terminal=True, width=width, markup=False)
        monkeypatch.setattr(console, "err", terminal)
        with console.ConsoleProgress(still=True) as progress:
            progress.stage("judging [bold]" + "a-bundle-of-a-long-name-" * 5, 12000)
            progress.advance(11999)
        assert "11999/12000" in stream.getvalue() and "[bold]a-b" in stream.getvalue()


def test_what_is_over_or_cannot_be_told_is_not_estimated(clock, capsys):
    with console.ConsoleProgress() as progress:
        progress.stage("calibrating", 3)
        for _ in range(3):
            clock.now += 9.0  # at the end 18 have passed since the first, and nothing is left to wait for
            progress.advance()
        progress.stage("downloading", 10**6, "bytes")
        progress.stage("packing")
        clock.now += 60
        progress.advance()
    assert capsys.readouterr().err.splitlines() == ["• calibrating (3 images)", "• downloading", "• packing"]


#: Clears the screen; sets its title; the same by one character of C1; turns the writing; ends the line.
STEERING = [
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u2028",
    "\r",
    "\b",
    "\x7f",
    "\udcff",
]
SAFE = "größer 日本 👩\u200d🔬 سلام 100 %"


@pytest.mark.parametrize("steering", STEERING)
def test_nothing_foreign_steers_the_terminal(steering, capsys):
    text = f"{SAFE} a{steering}b"
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    console.plain(text)
    console.table(table)
    for said in (console.note, console.warn):
        said(text)
    console.fail(text, text)
    with console.ConsoleProgress() as progress:
        progress.stage(text, 3)
        progress.tell(text)
        progress.warn(text)
    shown = "".join(capsys.readouterr())
    assert shown.count("größer") >= 10 and steering not in shown
    assert not any(c in shown for c in "\x1b\x07\x9b\r\b\x7f\u202e\u2028\udcff")


@pytest.mark.parametrize("steering", STEERING)
def test_json_tells_it_without_obeying_it(steering, capsys):
    data = {f"a{steering}": [f"{SAFE}{steering}b\n"]}
    console.as_json(data)
    console.json_line(data)
    console.json_item(data, first=True)
    console.json_end(empty=False)
    out = capsys.readouterr().out
    assert steering not in out and SAFE in out
    whole, line, items = out.split("\n}\n")[0] + "\n}", out.split("\n}\n")[1], out.partition("\n[\n")[2]
    assert json.loads(whole) == data == json.loads(line.split("\n")[0]) == json.loads("[" + items)[0]
    console.fail_as_json("x", steering, steering, 2, [steering])
    err = capsys.readouterr().err
    assert steering not in err and json.loads(err)["warnings"] == [steering]


def test_labels_names_and_paths_of_a_bundle(edgeeff, lite0_bundles, flat_image, tmp_path):
    """A manifest is not sealed: anybody may have written its labels."""
    evil = "x\x1b[2J\x9b31m\u202ey"
    bundle = tmp_path / "b"
    shutil.copytree(lite0_bundles / "lite0-cpu-int8", bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest |= {"name": evil, "labels": [evil + str(i) for i in range(manifest["classes"])], "origin": evil}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    photo = tmp_path / f"{evil}.png"
    shutil.copy(flat_image, photo)
    for arguments in (["run", bundle, photo], ["inspect", bundle], ["run", bundle, tmp_path / f"{evil}.jpg"]):
        for json_option in ([], ["--json"]):
            result = edgeeff(*arguments, *json_option)
            said = result.out + result.err
            assert "Traceback" not in said and "x" in said
            assert not any(c in said for c in "\x1b\x9b\u202e"), arguments


PRINTS = re.compile(
    r"print|(typer|click)\.s?echo|(rich\.)?(print|Console)|sys\.(stdout|stderr)\.(buffer\.)?write|stream\.write"
)
#: What writes to a standard stream by itself, and what.
WRITERS = {
    "cli/__init__.py": "the version",
    "cli/_screen.py": "pictures, and cleaned text below them",
    "cli/console.py": "everything",
    "cli/gating.py": "annotations of GitHub, escaped as tests/gate/test_formats.py says",
    "cli/history/export.py": "cleaned text",
    "devices/lab/keeper.py": "to a process of ours",
}


def test_what_is_printed_passes_the_console():
    """A verb whose author forgot it would let labels, names and messages steer the terminal."""
    found = set()
    for path in Path(cli.__file__).parents[1].rglob("*.py"):
        name = path.relative_to(Path(cli.__file__).parents[1]).as_posix()
        if not name.startswith(("onboard/", "backends/tensorrt/device/")):  # run on boards
            calls = [n.func for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
            if any(PRINTS.fullmatch(ast.unparse(called)) for called in calls):
                found.add(name)
    assert found == {*WRITERS}
