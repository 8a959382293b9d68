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
_SECONDS = 5


def current() -> str | None:
    """The commit that a variable of :data:`VARIABLES` names, else that of the current folder's repository.

    Changes that are not committed are not seen. None: neither is there, or git is not.

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
    command = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    found = done.stdout.strip()
    return found if done.returncode == 0 and re.match(r"^[0-9a-f]{40,64}$", found) else None
