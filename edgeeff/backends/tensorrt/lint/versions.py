"""The TensorRT versions that a graph is held against."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgeeff.errors import OptionError


class Version(NamedTuple):
    """A TensorRT version, as far as its parser depends on it: ``Version(10, 3)`` is "10.3"."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


#: One for each JetPack since 5.1, where Orin begins: 5.1, 6.0, 6.1, 7.0, 7.2, 7.2.2.
VERSIONS = (
    Version(8, 5),
    Version(8, 6),
    Version(10, 3),
    Version(10, 13),
    Version(10, 16),
    Version(11, 4),
)
OLDEST, BEYOND = Version(8, 5), Version(12, 0)


def parse_version(text: str) -> Version:
    """Read "10.3", or a full version such as "10.3.0.30".

    Raises:
        OptionError: It is no version, or one that the rules were not written for.
    """
    match = re.fullmatch(r"v?(\d{1,4})\.(\d{1,4})(\.\w{1,20})*", text.strip(), re.ASCII)
    if match is None:
        raise OptionError(f"{text!r} is no TensorRT version", mend='write it as "10.3"')
    version = Version(int(match[1]), int(match[2]))
    if not OLDEST <= version < BEYOND:
        raise OptionError(
            f"no rules are known for TensorRT {version}",
            mend=f"ask about a version from {OLDEST} to before {BEYOND}",
        )
    return version
