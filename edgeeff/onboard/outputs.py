"""Where an artifact has each of a bundle's outputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from edgeeff.onboard.refusal import Refused


def places(held: Sequence[Collection[str]], wanted: Sequence[str], artifact: Path) -> dict[str, int]:
    """By their names, never by their order.

    Args:
        held: The names of each output of the artifact.
        wanted: The manifest's outputs; none of a bundle of schema 1, which has one output.
        artifact: The file, for the message.

    Raises:
        Refused: One is not there, or the artifact has several and the manifest names none.
    """
    if not wanted and len(held) == 1:
        return {min(held[0], default="output"): 0}
    found = {name: i for name in wanted for i, names in enumerate(held) if name in names}
    if not wanted or len(found) < len(wanted):
        has = ", ".join(min(names, default="one without a name") for names in held)
        raise Refused(
            "BundleError",
            f"{artifact} has the outputs {has}; the manifest names {', '.join(wanted) or 'none'}",
            "copy the whole bundle, or build it again",
        )
    return found
