"""The recipes for a product's CI: their shell lines are run, as their runners run them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
import yaml
from junitparser import JUnitXml
from PIL import Image

from edgeeff.cli import application
from edgeeff.written import tomllib

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "ci"
GITHUB = yaml.safe_load((FOLDER / ".github/workflows/edgeeff.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((FOLDER / ".gitlab-ci.yml").read_text(encoding="utf-8"))
STEPS = GITHUB["jobs"]["gate"]["steps"]
JOB = GITLAB["edgeeff"]


def runs(step):
    """Whether a step is a shell line, and installs nothing."""
    return "run" in step and not step["name"].startswith("Install")


def shell(kind):
    """The shell lines of a recipe, without those that install."""
    if kind == "github":
        return "\n".join(
            step["run"] for step in STEPS if "run" in step and not step["name"].startswith("Install")
        )
    return "\n".join(JOB["script"])


def commands(kind):
    lines = shell(kind).replace("\\\n", " ").splitlines()
    found = [line.strip() for line in lines if re.match(r"\s*(if .*then )?edgeeff ", line)]
    return [shlex.split(re.split(r" > | \|\| |; fi", line)[0].partition("edgeeff ")[2]) for line in found]


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_the_command_lines_parse(kind):
    verbs = typer.main.get_command(application()).commands
    assert {verb for verb, *_ in commands(kind)} == {"build", "gate", "report"}
    for verb, *arguments in commands(kind):
        verbs[verb].make_context(verb, arguments)  # raises on an unknown option


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_what_is_published_is_written(kind):
    text = shell(kind)
    if kind == "github":
        (published,) = [step["with"]["path"].split() for step in STEPS if step.get("name") == "Publish"]
    else:
        published = [*JOB["artifacts"]["paths"], *JOB["artifacts"]["reports"].values()]
    for name in published:
        assert re.search(rf"(> |-o |--junit |--markdown |--gitlab ){re.escape(name)}", text), name


def test_nothing_foreign_is_put_into_the_shell():
    """An expression in a shell line is a way for a branch's name to be run."""
    assert "${{" not in shell("github")


def test_the_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [step["run"] for step in STEPS if step.get("name", "").startswith("Install")]
    for line in [*lines, *JOB["before_script"]]:
        named = re.search(r"\[(.+)\]", line)[1].split(",")
        assert set(named) <= set(project["optional-dependencies"]) and "gate" in named


@pytest.fixture
def product(tmp_path, make_module, make_images):
    """``product(seed)``: a repository with a checkpoint, photos and the two TOML files, at a commit."""
    for name in ("edgeeff.toml", "gate.toml"):
        shutil.copy(FOLDER / name, tmp_path / name)
    gate = (tmp_path / "gate.toml").read_text(encoding="utf-8")
    # Decided by the first launches: what is tested is the recipe.
    (tmp_path / "gate.toml").write_text(gate.replace('"3 %"', '"60 %"'), encoding="utf-8")
    with (tmp_path / "edgeeff.toml").open("a", encoding="utf-8") as file:
        file.write('size = 64\nlabels = "labels.txt"\n')
    (tmp_path / "labels.txt").write_text("cat\ndog\nhen\n", encoding="utf-8")
    for number, image in enumerate(make_images(24, 80, 3)):
        folder = (
            tmp_path / "validation" / ("cat", "dog", "hen")[number % 3]
            if number % 2
            else tmp_path / "calibration"
        )
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "edgeeff"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m edgeeff "$@"\n', encoding="utf-8")
    program.chmod(0o755)

    def commit(seed):
        (tmp_path / "model").mkdir(exist_ok=True)
        state = make_module("lite0", classes=3, seed=seed).state_dict()
        torch.save({"state_dict": state}, tmp_path / "model" / "best.pt")
        return tmp_path

    return commit


def run(text, folder, **variables):
    """As the runners do: bash that stops at the first command that fails, also within a pipe."""
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "EDGEEFF_CACHE_DIR": str(folder / "cache"),
        "EDGEEFF_HISTORY": str(folder / "history" / "history.sqlite"),
        "EDGEEFF_LOCK": str(folder / "measuring.lock"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **variables,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


def job(kind, folder, branch):
    """One job, all its steps in order; those for main are left out elsewhere. Its exit status."""
    if kind == "gitlab":
        done = run(shell(kind), folder, CI_COMMIT_BRANCH=branch, CI_DEFAULT_BRANCH="main")
        return done.returncode, done.stdout + done.stderr
    status, said = 0, ""
    for step in STEPS:
        condition = step.get("if", "")
        left_out = ("push" in condition and branch != "main") or (status and "always()" not in condition)
        if runs(step) and not left_out:
            done = run(step["run"], folder)
            status, said = status or done.returncode, said + done.stdout + done.stderr
    return status, said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_the_recipe_gates_a_product(kind, product):
    folder = product(0)
    status, said = job(kind, folder, "main")
    assert status == 0, said
    assert "nothing to hold these against" in said
    assert (folder / "report.html").stat().st_size > 1000
    assert len(list((folder / "old").glob("*/manifest.json"))) == 2

    status, said = job(kind, folder, "unchanged")
    assert status == 0, said
    xml = JUnitXml.fromfile(str(folder / "gate.xml"))
    assert {case.name.partition(":")[0] for case in next(iter(xml))} == {
        "lite0-cpu-int8",
        "lite0-mobile-int8",
    }
    assert all(case.is_passed for case in next(iter(xml)))

    kept = (folder / "old" / "lite0-cpu-int8" / "manifest.json").read_bytes()
    status, said = job(kind, product(1), "other-network")
    data = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    assert data["record"]["kind"] == "gate", said
    expected = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 0 if kind == "github" else 3}
    assert status == expected[data["status"]], said
    assert data["status"] in ("pass", "fail", "inconclusive"), said
    failures = sum(verdict["status"] == "fail" for verdict in data["verdicts"])
    assert next(iter(JUnitXml.fromfile(str(folder / "gate.xml")))).failures == failures
    assert (folder / "old" / "lite0-cpu-int8" / "manifest.json").read_bytes() == kept
    if kind == "github":
        assert "edgeeff gate: camera" in (folder / "summary.md").read_text(encoding="utf-8")
    else:
        issues = json.loads((folder / "gate-codequality.json").read_text(encoding="utf-8"))
        assert len(issues) == sum(verdict["status"] != "pass" for verdict in data["verdicts"])

    # A gate that is stopped as a whole is exit status 2, and what was built has its report all the same.
    (folder / "gate.toml").write_text("schema = 99\n", encoding="utf-8")
    (folder / "report.html").unlink()
    status, said = job(kind, folder, "stopped")
    assert status == 2 and "schema 99" in said
    assert (folder / "report.html").stat().st_size > 1000, said
