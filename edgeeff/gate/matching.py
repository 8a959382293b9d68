"""Which baseline a bundle is held against, and why one that is there is not its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.errors import ReportError
from edgeeff.gate.baseline import Baseline
from edgeeff.gate.comparable import input_of


def of(bundle: Bundle, baselines: list[Baseline], series: str, facts: Mapping[str, Any]) -> Baseline | None:
    """A bundle's baseline on this device class; None where there is none at all of that name.

    Raises:
        ReportError: There is one, of another target, model, input or device class: the message names
            the difference.
    """
    manifest = bundle.manifest
    named = [one for one in baselines if one.name == bundle.name]
    if not named:
        return None
    exact = [one for one in named if one.target == manifest.target and one.series == series]
    if not exact:
        one = named[0]
        if one.target != manifest.target:
            raise _other(one, f"target {one.target}", manifest.target)
        raise _other(one, "another device class", "; ".join(_differences(one.device, facts)) or "other facts")
    if exact[0].model != manifest.model:
        raise _other(exact[0], f"model {exact[0].model}", manifest.model)
    if exact[0].input not in ("", input_of(manifest)):
        raise _other(exact[0], f"an input of {exact[0].input}", input_of(manifest))
    return exact[0]


def missing(name: str, folder: Path) -> ReportError:
    """There is nothing to hold a bundle against."""
    return ReportError(
        f"there is neither an old bundle of {name} nor a baseline in {folder}",
        mend="write one with --update-baseline and have it reviewed, or name old bundles with --against",
    )


def _other(one: Baseline, theirs: str, ours: str) -> ReportError:
    return ReportError(
        f"{one.path} is a baseline of {theirs}, not of this one: {ours}",
        mend="measure one here with --update-baseline, or name the old bundle with --against",
    )


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """In which facts two device classes differ, such as ``governor performance, here schedutil``."""
    flat: list[dict[str, Any]] = []
    for facts in (theirs, ours):
        tables = {k: v for k, v in facts.items() if isinstance(v, Mapping)}
        inner = {f"{name}": value for table in tables.values() for name, value in table.items()}
        flat.append({**{k: v for k, v in facts.items() if k not in tables}, **inner})
    before, here = flat
    names = sorted({*before, *here})
    # TOML has no null: what is not known is an empty text in the file.
    differing = [n for n in names if (before.get(n) or "") != (here.get(n) or "")]
    return [f"{n} {_shown(before.get(n))}, here {_shown(here.get(n))}" for n in differing]


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return str(value) if value not in (None, "") else "unknown"
