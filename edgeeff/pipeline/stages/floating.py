"""a budget and the images of its search ─▶ the layers that must stay float."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgeeff.batch import Batch
from edgeeff.calibration.selection import bad_from_json, bad_to_json
from edgeeff.harness import machine
from edgeeff.images import ImageSet
from edgeeff.pipeline import held_out
from edgeeff.pipeline.stages import hub
from edgeeff.pipeline.stages.stage import Stage
from edgeeff.quantization.budget import Budget, Choice

VERSION = 2
TOOLS = ("edgeeff", "torch", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True)
class Searched:
    """What a search found, and the images of it that could not be decoded, by name."""

    choice: Choice
    skipped: Mapping[str, str]


def stage(
    facts: Mapping[str, Any],
    named: frozenset[str],
    budget: Budget,
    images: ImageSet,
    batch: Batch,
    choose: Callable[[], Choice],
) -> Stage[Searched]:
    """The layers that a budget takes.

    Args:
        facts: What the target's hub graph depends on.
        named: Layers that the user keeps float.
        budget: What must be met.
        images: Those of the search, with their classes where top-1 is asked for.
        batch: Images in a run, where latency is asked for.
        choose: Searches.
    """
    return Stage(
        "floating",
        VERSION,
        TOOLS,
        facts={
            "hub": [hub.VERSION, dict(facts)],
            "named": sorted(named),
            "budget": vars(budget),
            "images": images.digest(),
            "labels": held_out.known_digest(images),
            "machine": machine.describe().cpu if budget.max_cost is not None else None,
            "batch": batch.to_json() if budget.max_cost is not None else None,
        },
        make=partial(_search, images, choose),
        encode=partial(_encode, images),
        decode=partial(_decode, images),
    )


def _search(images: ImageSet, choose: Callable[[], Choice]) -> Searched:
    choice = choose()
    return Searched(choice, dict(images.bad))


def _encode(images: ImageSet, found: Searched) -> dict[str, bytes]:
    return {
        "choice.json": json.dumps(found.choice.to_json()).encode(),
        "bad.json": bad_to_json(images).encode(),
    }


def _decode(images: ImageSet, parts: Mapping[str, bytes]) -> Searched:
    choice = Choice.from_json(json.loads(parts["choice.json"]))
    return Searched(choice, bad_from_json(images, parts["bad.json"].decode()))
