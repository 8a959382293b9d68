"""The verb bench: what its options mean, and what it prints."""

import json

import pytest

from edgeeff.cli import bench, main
from edgeeff.errors import OptionError


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("1.5 %", 0.015), (".5%", 0.005), ("0.02", 0.02)])
def test_a_part(text, value):
    assert bench.part(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "0", "1", "100%", "-1%", "nan", "1%%", "one", "0%"])
def test_no_part(text):
    with pytest.raises(OptionError, match="--until"):
        bench.part(text)


@pytest.mark.parametrize("text", ["", "0", "1,", "1,1", "-1", "1.5", "²", "1 2", "99999"])
def test_no_threads(text, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "nowhere", f"--threads={text}"])
    assert ended.value.code == 2 and "--threads" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--throughput", "--profile"],
        ["--throughput", "--until=1%"],
        ["--profile", "--until=1%"],
        ["--requests=2"],
        ["--throughput", "--tools"],
        ["--profile", "--tools"],
    ],
)
def test_options_of_two_kinds_are_refused(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "nowhere", *options, "--json"])
    error = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert ended.value.code == 2 and error["kind"] == "OptionError"
