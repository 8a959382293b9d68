"""The sections of a page: one file and one template each, found by listing.

A section's module says where it stands (``ORDER``), what it is called (``TITLE``), and in ``content`` what
its template is given: a mapping, or None where the material holds nothing of it. The template has the
module's name. To add a section is to add these two files.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from edgeeff.report.material import Material


def listed() -> list[ModuleType]:
    """The modules of all sections, in the order in which they stand on a page."""
    found = [import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda module: int(module.ORDER))


def filled(material: Material) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The name, the title and the content of each section that has something to show."""
    found = []
    for module in listed():
        content = module.content(material)
        if content is not None:
            found.append((module.__name__.rpartition(".")[2], str(module.TITLE), content))
    return found
