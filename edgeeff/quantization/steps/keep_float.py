"""Keep layers of some roles in float, where their share of the error is far above that of the time."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.errors import OptionError
from edgeeff.quantization.draft import Draft
from edgeeff.quantization.roles import roles
from edgeeff.target import Role


def apply(draft: Draft, *, layers: list[Role]) -> Draft:
    """Add layers to those that stay float.

    Args:
        draft: In which nothing is decided.
        layers: Their roles.

    Raises:
        OptionError: Ranges are chosen already.
    """
    if draft.activations:
        raise OptionError("step keep_float comes after the ranges", mend="put it before the step ranges")
    kept = {str(node.name) for node in draft.model.graph if roles(node) & {*layers}}
    if not kept:
        return draft
    return replace(draft, floating=draft.floating | kept, notes=(*draft.notes, f"float: {', '.join(layers)}"))
