"""What a verb loads before it does anything: its own module, and nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

import edgeeff.cli
from edgeeff.cli import application

HEAVY = {"numpy", "PIL", "scipy", "sqlite3", "torch", "onnx", "onnx_ir", "onnxruntime", "openvino"}


@pytest.mark.parametrize("verb", [None, "build", "inspect", "finetune"])
def test_help_imports_no_other_verb_and_nothing_heavy(verb):
    arguments = [verb, "--help"] if verb else ["--help"]
    script = "import json, sys\nfrom edgeeff.cli import main\n"
    script += f"try: main({arguments})\nexcept SystemExit: print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
    named = {name for name in _whole() if f"edgeeff.cli.{name.replace('-', '_')}" in loaded}
    assert named - {"history"} == ({verb} if verb else set())


def _whole():
    return typer.main.get_command(application()).commands


def _helps(verbs):
    return [(name, verb.help) for name, verb in verbs.items()]


def test_help_that_is_read_is_that_of_the_imported_verb():
    assert _helps(typer.main.get_command(application(["--help"])).commands) == _helps(_whole())
    below = typer.main.get_command(application(["history", "--help"])).commands["history"].commands
    assert _helps(below) == _helps(_whole()["history"].commands)


def test_every_verb_of_a_shell_that_completes_has_its_options(monkeypatch, capsys):
    """Its words are in a variable, and the arguments are empty."""
    words = {"_EDGEEFF_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "edgeeff inspect --lay"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        edgeeff.cli.main([])
    assert "--layers" in capsys.readouterr().out
