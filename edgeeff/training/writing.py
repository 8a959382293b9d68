"""The tables of options in docs/training.md, written from their declarations by ``make options``."""

from __future__ import annotations

from pathlib import Path

from edgeeff.pipeline.request import writing
from edgeeff.pipeline.request.declaring import Option, declared
from edgeeff.pipeline.request.parts import Preprocessing, Source
from edgeeff.training.request import PARTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def own() -> list[Option]:
    """The options of ``edgeeff finetune`` that a build has not."""
    return [one for part in PARTS if part not in (Source, Preprocessing) for one in declared(part)]


def documented(text: str) -> str:
    """The document with its tables; the middle column is of Python alone."""
    found = writing.documented(text, own())
    return found.replace("| command line | `edgeeff.toml`, Python |", "| command line | Python |")


def main() -> None:
    """Write them in the checkout that this file is of."""
    DOCUMENT.write_text(documented(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
