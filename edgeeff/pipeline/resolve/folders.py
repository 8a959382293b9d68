"""Where bundles may be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeeff import text
from edgeeff.bundle import is_ours
from edgeeff.errors import OptionError, OutputError
from edgeeff.files import refuse_links, refuse_unwritable, sweep
from edgeeff.target import Target


def refuse_output(output: Path, name: str | None) -> None:
    """Refuse a place where nothing can be written, and a name that no folder can have.

    Raises:
        OptionError: The name.
        OutputError: The place.
    """
    if name is not None and not _is_name(name):
        raise OptionError(f"--name {name!r} is no folder's name", mend="use letters, digits, - and _")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file", mend="choose a folder with -o")
    refuse_unwritable(output)


def _is_name(name: str) -> bool:
    """Whether a folder may have a name that stands in scripts, documents and command lines as well."""
    return (
        Path(name).name == name != ""
        and name[0] not in ".-"
        and name == name.strip()
        and text.is_text(name)
        and not any(map(text.steers, name))
    )


def resolve_output(output: Path, name: str, targets: Sequence[Target]) -> list[Path]:
    """Where the bundles will stand; a folder there that is not ours is refused before anything is built."""
    folders = [output / f"{name}-{target.name}" for target in targets]
    for folder in folders:
        refuse_links(folder.parent, folder.name)
        if folder.exists() and not (folder.is_dir() and is_ours(folder)):
            raise OutputError(
                f"{folder} is there and is not a bundle of ours",
                mend="move it away, or choose another folder with -o",
            )
    if output.is_dir():
        sweep(output)
    return folders
