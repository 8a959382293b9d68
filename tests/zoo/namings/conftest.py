"""What other libraries say of the networks: tests/fixtures/naming, as tests/parity/tables.py writes it."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "fixtures" / "naming"
LIBRARIES = ("timm", "torchvision", "keras")


def tables(library: str) -> list[dict[str, Any]]:
    """A library's networks."""
    return json.loads(lzma.decompress((FOLDER / f"{library}.json.xz").read_bytes()))


def pytest_generate_tests(metafunc: Any) -> None:
    """``network``: each table of tensors; ``variant``: what each name says; ``timm_variant``: timm's."""
    wanted = metafunc.fixturenames
    own = [library for library in LIBRARIES if f"{library}_variant" in wanted]
    networks = [(library, table) for library in own or LIBRARIES for table in tables(library)]
    if "network" in wanted:
        rows = [(library, table, next(iter(table["names"]))) for library, table in networks]
        metafunc.parametrize(("library", "network", "name"), rows, ids=[f"{row[0]}-{row[2]}" for row in rows])
    elif own or "variant" in wanted:
        rows = [(library, name, said) for library, table in networks for name, said in table["names"].items()]
        ids = [f"{library}-{name}" for library, name, _ in rows]
        if own:
            metafunc.parametrize(("name", f"{own[0]}_variant"), [row[1:] for row in rows], ids=ids)
        else:
            metafunc.parametrize(("library", "name", "variant"), rows, ids=ids)
