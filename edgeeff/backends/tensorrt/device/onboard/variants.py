"""The variants of a bundle's INT8 graph: which it carries, and which was chosen on this device.

``manifest.json`` names them under ``carrying``, with a ``name`` for people and a ``slug`` for files. What
``build_engine.py --autotune`` chose stands in ``measured/<what an engine belongs to>-chosen.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .sealed import MEASURED, RefusedError, digest, write_json

#: What the bundle's own INT8 graph is called where it has no variant's name, and the control.
PLAIN, CONTROL = "plain", "fp16"


def carried(manifest: dict[str, Any]) -> dict[str, str]:
    """The slugs of the variants by their names, the bundle's own graph first, with an empty slug.

    Raises:
        RefusedError: The bundle carries none.
    """
    said = manifest.get("carrying")
    if not said:
        raise RefusedError("this bundle carries no variants; build it with edgeeff build --autotune")
    return {str(said["own"]): "", **{str(one["name"]): str(one["slug"]) for one in said["variants"]}}


def choice(key: str) -> str:
    """The file that holds what was chosen, below the bundle; ``key`` is of what an engine belongs to."""
    return f"{MEASURED}/{key}-chosen.json"


def chosen(folder: Path, key: str) -> str:
    """The slug of the variant that was chosen here for this very bundle; empty: its own graph.

    Args:
        folder: The bundle.
        key: Of the TensorRT, the device and the JetPack.
    """
    try:
        found = json.loads((folder / choice(key)).read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        slug, known = str(found["variant"]), [*carried(manifest).values()]
        ours = found["manifest_sha256"] == digest(folder / "manifest.json")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RefusedError):
        return ""
    return slug if ours and slug in known else ""


def choose(folder: Path, key: str, slug: str) -> None:
    """Keep a choice; from now on the bundle's INT8 engine is that variant's."""
    seal = digest(folder / "manifest.json")
    write_json(folder / choice(key), {"variant": slug, "manifest_sha256": seal})


def decide(own: str, to_own: dict[str, Any], to_control: dict[str, Any]) -> str:
    """Which of the variants that do what they promise is taken.

    The bundle's own graph, unless another one is certainly faster: then the fastest of those. Where its own
    does not do what it promises, the fastest of the others.

    Args:
        own: What the bundle's own graph is called.
        to_own: Of each faithful variant the ratio of its time to that of the bundle's own graph, with its
            interval; empty where that one is not faithful.
        to_control: Of each faithful variant the ratio to the FP16 control.

    Returns:
        Its name; empty where none is faithful.
    """
    if own in to_own:
        faster = {name: r["value"] for name, r in to_own.items() if name != own and r["high"] < 1}
        return min(faster, key=lambda name: faster[name]) if faster else own
    values = {name: ratio["value"] for name, ratio in to_control.items()}
    return min(values, key=lambda name: values[name]) if values else ""


def control_wins(chosen: str, to_control: dict[str, Any], *, faithful: bool) -> bool:
    """Whether the FP16 control is to be taken: nothing was chosen, or it is certainly faster than that.

    Args:
        chosen: The variant; empty: none.
        to_control: Of each faithful variant the ratio of its time to the control's.
        faithful: Whether the control does what it promises. An overflow of FP16 is no reason to take it.
    """
    return faithful and (not chosen or bool(to_control[chosen]["low"] > 1))
