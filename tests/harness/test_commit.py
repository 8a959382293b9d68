"""Which commit a report is of: what the user says, then CI, then the repository around."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from edgeeff.errors import OptionError
from edgeeff.harness import commit


def test_a_range_says_which_end_had_changes_that_were_not_committed():
    one, other = "a" * 40, "b" * 40
    assert commit.between(one, other) == f"came after commit {one[:12]}, by {other[:12]}"
    assert commit.between(one, f"{one}-dirty") == (
        f"came after commit {one[:12]}, by {one[:12]}-dirty; -dirty: with changes that were not committed"
    )
    assert "not the code" in commit.between(one, one)
    assert "not the code" not in commit.between(f"{one}-dirty", f"{one}-dirty")
    assert commit.between(one, None) == commit.between("", one) == "the commits are not known"


def test_where_a_commit_comes_from(tmp_path, monkeypatch):
    for name in commit.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert commit.current() is None
    if shutil.which("git"):
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
        environment = {**os.environ, **who, "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
        for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
            subprocess.run(["git", *arguments], env=environment, check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        assert commit.current() == head
        (tmp_path / "built").touch()  # results lie in the folder, too
        assert commit.current() == head
        subprocess.run(["git", "add", "built"], check=True)
        assert commit.current() == f"{head}-dirty"
        assert commit.short(f"{head}-dirty") == f"{head[:12]}-dirty"
        subprocess.run(["git", "tag", "v1"], check=True)
        assert commit.current() == f"{head}-dirty"
    monkeypatch.setenv("CI_COMMIT_SHA", "b" * 40)
    assert commit.current() == "b" * 40
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)
    assert commit.current() == "a" * 40
    monkeypatch.setenv("EDGEEFF_COMMIT", "v1.2-rc3")
    assert commit.current() == "v1.2-rc3"
    monkeypatch.setenv("EDGEEFF_COMMIT", "not one")
    with pytest.raises(OptionError, match="EDGEEFF_COMMIT is 'not one'"):
        commit.current()
    monkeypatch.delenv("EDGEEFF_COMMIT")
    monkeypatch.setenv("GITHUB_SHA", "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI_COMMIT_SHA")
    assert commit.current() is None  # no git at all
