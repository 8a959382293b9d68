"""Standard streams that are closed, full, without a reader, or of an encoding without our characters."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from edgeeff.cli import application
from edgeeff.devices.kinds import ssh
from tests.devices.boards import Sshd, needs_sshd, serving

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
#: How the shell hands over the streams, and the environment.
STREAMS = {
    "as ever": ("", {}),
    "output closed": (">&-", {}),
    "errors closed": ("2>&-", {}),
    "all closed": ("<&- >&- 2>&-", {}),
    "output full": (">/dev/full", {}),
    "errors full": ("2>/dev/full", {}),
    "both full": (">/dev/full 2>&1", {}),
    "a reader of one line": ("| head -n 1", {}),
    "no reader": ("| true", {}),
    "no reader of errors": ("2>&1 >/dev/null | true", {}),
    "ascii": ("", ASCII),
    "latin-1": ("", {"PYTHONIOENCODING": "latin-1"}),
    "a dumb terminal": ("", {"TERM": "dumb", "FORCE_COLOR": "1"}),
    "twenty columns": ("", {"COLUMNS": "20"}),
    "code page": ("", {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}),
}
#: Nothing that is printed gets anywhere, and the user must know.
UNPRINTED = {"output closed", "all closed", "output full", "both full"}


@dataclass(frozen=True)
class Ended:
    """How a process of ours ended, and what arrived of what it said."""

    status: int
    out: bytes
    err: bytes

    def assert_clean(self) -> None:
        for trace in (b"Traceback", b"Exception ignored", b"BrokenPipe", b"Errno"):
            assert trace not in self.out + self.err, self


@pytest.fixture
def through(environment, tmp_path):
    """``through(stream, *arguments, env={})``: run the command line with such streams."""

    def run(stream: str, *arguments: object, env: dict[str, str] | None = None) -> Ended:
        redirected, more = STREAMS[stream]
        status = tmp_path / "status"
        line = shlex.join([sys.executable, "-m", "edgeeff", *map(str, arguments)])
        ended = subprocess.run(
            ["sh", "-c", f"{{ {line}; echo $? > {shlex.quote(str(status))}; }} {redirected}"],
            env={**environment, **more, **(env or {})},
            cwd=Path.cwd(),
            capture_output=True,
            timeout=300,
        )
        return Ended(int(status.read_text()), ended.stdout, ended.stderr)

    return run


@pytest.mark.parametrize("stream", ["output closed", "output full"])
def test_what_cannot_be_printed_is_an_error(stream, through):
    ended = through(stream, "models", "--json")
    ended.assert_clean()
    assert ended.status == 2 and json.loads(ended.err)["error"]["kind"] == "OutputError"
    assert b"standard output" in ended.err


def test_closed_errors_do_not_keep_results_away(through):
    ended = through("errors closed", "targets", "--json")
    assert ended.status == 0 and json.loads(ended.out)


def test_a_reader_that_is_gone_wanted_no_more(through):
    ended = through("no reader", "targets")
    ended.assert_clean()
    assert ended.status == 0 and ended.err == b""


def test_an_error_without_streams_has_its_status(through):
    assert through("all closed", "inspect", "nowhere").status == 2


def test_characters_that_the_console_has_not_are_spelled(through, tmp_path):
    ended = through("ascii", "inspect", tmp_path / "größe")
    ended.assert_clean()
    assert ended.status == 2 and b"\n  -> pass a folder" in ended.err


def test_json_for_a_console_of_ascii_is_json(through):
    ended = through("ascii", "models", "--json")
    assert ended.status == 0 and json.loads(ended.out.decode("ascii"))


def test_a_file_is_whole_whether_its_verb_can_say_so_or_not(through, lite0_bundles, tmp_path):
    """Where the streams are full only the words are lost."""
    pages = []
    for stream in ("both full", "twenty columns"):
        ended = through(stream, "report", lite0_bundles / "lite0-cpu-int8", f"--output={tmp_path / 'r.html'}")
        ended.assert_clean()
        assert ended.status == (2 if stream in UNPRINTED else 0)
        pages += [path.read_bytes() for path in tmp_path.iterdir() if path.name != "status"]
    assert len(pages) == 2 and pages[0] == pages[1]


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_wrong_arguments_are_an_error_as_others_are(json_option, edgeeff):
    result = edgeeff("run", "--n\x1b[2J", *json_option)
    assert result.status == 2 and result.out == "" and "\x1b" not in result.err
    said = json.loads(result.err)["error"] if json_option else result.err
    assert ("UsageError" in said["kind"]) if json_option else said.startswith("error: ")


def test_a_name_with_bytes_that_are_no_text(refused_build):
    assert "--name" in refused_build("--name", os.fsdecode(b"n\xff"))


@pytest.fixture(scope="module")
def verbs(lite0_bundles, ten_photos, tmp_path_factory):
    """Every verb at its cheapest."""
    folder = tmp_path_factory.mktemp("verbs")
    cpu, jetson = lite0_bundles / "lite0-cpu-int8", lite0_bundles / "lite0-jetson-int8"
    lite0 = ["--model=lite0", "--size=64", f"--calibration={ten_photos}", "--target=cpu-int8"]
    quick = ["--launches=1", "--seconds=0.05"]
    reference = f"--reference={lite0_bundles / 'lite0-cpu-fp32'}"
    (folder / "matrix.toml").write_text(
        f'schema = 1\ntargets = ["cpu-int8"]\ncalibration = "{ten_photos}"\nmeasure = []\n'
        '[[model]]\nname = "net"\nmodel = "lite0"\nsize = 64\neffort = "fast"\n'
    )
    photos = sorted(ten_photos.iterdir())
    for number, photo in enumerate(photos):
        learnt = folder / "learnt" / f"kind {number % 2}"
        learnt.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, learnt)
    checkpoint = f"--output={folder / 'best.pt'}"
    return {
        "help": ["--help"],
        "version": ["--version"],
        "wrong": ["run", "--nope"],
        "absent": ["inspect", "nowhere"],
        "models": ["models"],
        "targets": ["targets"],
        "doctor": ["doctor", "--board=orin-nano"],
        "devices": ["devices", "local"],
        "devices of a board": ["devices", "board"],
        "devices that are not there": ["devices", "ssh://nobody@127.0.0.1:1"],
        "run on a board": ["run", cpu, ten_photos, "--device=board"],
        "bench on a board": ["bench", cpu, *quick, "--device=board"],
        "run on no board": ["run", cpu, ten_photos, "--device=ssh://nobody@127.0.0.1:1"],
        "matrix planned": ["matrix", folder / "matrix.toml", "--dry-run"],
        "matrix": ["matrix", folder / "matrix.toml", "--workers=1"],
        "cache": ["cache"],
        "inspect": ["inspect", cpu, "--layers", "--ranges"],
        "run": ["run", cpu, ten_photos],
        "eval": ["eval", cpu, f"--images={ten_photos}", reference],
        "bench": ["bench", cpu, *quick],
        "profile": ["bench", cpu, *quick, "--profile"],
        "lint": ["lint", jetson],
        "emit": ["emit", jetson / "model.qdq.onnx", "--target=cpu-int8", f"--output={folder / 'emit'}"],
        "build": ["build", *lite0, f"--output={folder / 'dist'}"],
        "diagnose": ["diagnose", *lite0],
        "finetune": [
            *("finetune", folder / "learnt", "--model=lite0", "--size=64"),
            *("--epochs=1", "--views=1", "--force", checkpoint),
        ],
        "import-result": ["import-result", folder / "nothing.json"],
        "history": ["history", "list", f"--database={folder / 'history.sqlite'}"],
        "report": ["report", cpu, f"--output={folder / 'report.html'}"],
        "gate": [
            "gate",
            cpu,
            "--against",
            cpu,
            "--launches=2",
            "--seconds=0.05",
            f"--junit={folder / 'g.xml'}",
        ],
    }


INFORMING = ["help", "version", "wrong", "absent", "models", "targets", "doctor", "cache", "inspect", "lint"]
INFORMING += ["devices", "devices that are not there", "history", "report", "matrix planned"]
WORKING = ["matrix", "run on no board"]
ON_A_BOARD = ["devices of a board", "run on a board", "bench on a board"]
WORKING += [
    "run",
    "eval",
    "bench",
    "profile",
    "emit",
    "build",
    "diagnose",
    "finetune",
    "import-result",
    "gate",
]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """An environment in which ``board`` is one, behind a real sshd."""
    needs_sshd()
    folder = tmp_path_factory.mktemp("board")
    (folder / "devices.toml").write_text(
        f'schema = 1\n[device.board]\naddress = "ssh://board"\npython = "{sys.executable}"\n'
    )
    with serving(Sshd(folder / "sshd")) as sshd:
        yield {ssh.CONFIGURATION: str(sshd.config), "EDGEEFF_DEVICES": str(folder / "devices.toml")}


def test_the_streams_of_every_verb_are_tried(verbs):
    assert {*INFORMING, *WORKING, *ON_A_BOARD} == {*verbs}
    tried = {str(arguments[0]) for arguments in verbs.values()} - {"--help", "--version"}
    assert tried == {*typer.main.get_command(application()).commands}


@pytest.mark.slow
@pytest.mark.parametrize("verb", INFORMING + WORKING + ON_A_BOARD)
def test_every_verb_with_every_stream(verb, verbs, through, request):
    env = request.getfixturevalue("board") if verb in ON_A_BOARD else {}
    usual = through("as ever", *verbs[verb], env=env)
    usual.assert_clean()
    for stream in STREAMS:
        ended = through(stream, *verbs[verb], env=env)
        ended.assert_clean()
        # An error that there is anyway is told first.
        expected = 2 if stream in UNPRINTED and usual.out else usual.status
        assert ended.status in {expected, 2 if "closed" in stream else expected}, (stream, ended)


@pytest.mark.slow
def test_a_strict_verb_says_so_without_a_reader(through, lite0_bundles, tmp_path, ten_photos):
    """A gate in a pipe: what it found is its status, whoever reads."""
    reference = lite0_bundles / "lite0-cpu-fp32"
    arguments = ["eval", lite0_bundles / "lite0-cpu-int8", f"--images={ten_photos}", "--strict"]
    usual = through("as ever", *arguments, f"--reference={reference}")
    assert through("no reader", *arguments, f"--reference={reference}").status == usual.status


@pytest.mark.slow
def test_work_without_end_ends_when_nobody_reads(environment, lite0_bundles, flat_image, tmp_path):
    """A list as long as anybody's patience, and a reader of one line."""
    listed = tmp_path / "l.txt"
    listed.write_text(f"{flat_image}\n" * 200_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeeff", "run", str(lite0_bundles / "lite0-cpu-int8"), str(listed)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(timeout=120) == 0
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
