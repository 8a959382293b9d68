"""A script that a bundle carries, run on a board by a child of the agent."""

from __future__ import annotations

from collections.abc import Sequence

from edgeeff.onboard.children import run_script


def main(arguments: Sequence[str]) -> int:
    """Become the script.

    Args:
        arguments: Its path, and its own arguments.
    """
    return run_script(arguments)
