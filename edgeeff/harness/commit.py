"""Which commit a report was made at, so that a change of figures can be traced to what was changed."""

from __future__ import annotations

import os
import re
import subprocess

from edgeeff.errors import OptionError

#: Asked in this order: what the user says, then what GitHub's and GitLab's runners say of their job.
VARIABLES = ("EDGEEFF_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA")
#: A hash, or a name that somebody gave.
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,99}$"
#: Behind the hash where files that git tracks had changes that were not committed.
DIRTY = "-dirty"
_SECONDS = 5
#: The hash and nothing else of HEAD, with :data:`DIRTY`; nothing that the repository configures is run.
_ASK = (
    *("git", "-c", "core.fsmonitor=false", "--no-optional-locks", "describe"),
    *("--always", "--exclude=*", "--abbrev=64", f"--dirty={DIRTY}"),
)


def current() -> str | None:
    """The commit that a variable of :data:`VARIABLES` names, else that of the current folder's repository.

    Of a repository whose tracked files have changes that are not committed it ends in :data:`DIRTY`. None:
    neither is there, or git is not.

    Raises:
        OptionError: ``EDGEEFF_COMMIT`` is no name of a commit.
    """
    for name in VARIABLES:
        said = os.environ.get(name, "").strip()
        if re.match(PATTERN, said):
            return said
        if said and name == VARIABLES[0]:
            raise OptionError(
                f"{name} is {said[:60]!r}, no commit", mend="give a hash, or a name without spaces"
            )
    try:
        done = subprocess.run(_ASK, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    found = done.stdout.strip()
    known = re.match(rf"^[0-9a-f]{{40,64}}({DIRTY})?$", found)
    return found if done.returncode == 0 and known else None


def short(commit: str) -> str:
    """Twelve characters of it, and whether there were changes that were not committed."""
    return commit.removesuffix(DIRTY)[:12] + (DIRTY if commit.endswith(DIRTY) else "")


def between(last: str | None, first: str | None) -> str:
    """In words: a change of figures came after the commit ``last``, by the commit ``first``."""
    if not last or not first:
        return "the commits are not known"
    dirty = last.endswith(DIRTY) or first.endswith(DIRTY)
    if last == first and not dirty:
        return f"both sides are of commit {short(first)}: not the code, then, but the machine or the tools"
    if last == first:
        return f"both sides are of commit {short(first)}, with changes that were not committed"
    changed = f"; {DIRTY}: with changes that were not committed" if dirty else ""
    return f"came after commit {short(last)}, by {short(first)}{changed}"
