"""a whole plan and images to train on ─▶ the plan's numbers, learned from the float network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeeff.pipeline.stages.stage import Stage

VERSION = 1
TOOLS = ("edgeeff", "torch", "numpy", "pillow")
_ARRAYS, _COST = "arrays.npz", "cost.json"


@dataclass(frozen=True)
class Outcome:
    """The best state's numbers, and what training took and brought."""

    arrays: Mapping[str, np.ndarray[Any, Any]]
    cost: Mapping[str, Any]


def stage(facts: Mapping[str, Any], make: Callable[[], Outcome]) -> Stage[Outcome]:
    """A training.

    Args:
        facts: All that its outcome depends on. Where the clock ends it, another machine may take other steps:
            what was made here first is what is found again.
        make: Trains.
    """
    return Stage("training", VERSION, TOOLS, facts=facts, make=make, encode=_encode, decode=_decode)


def _encode(made: Outcome) -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **made.arrays)  # type: ignore[arg-type]
    return {_ARRAYS: buffer.getvalue(), _COST: json.dumps(dict(made.cost)).encode()}


def _decode(parts: Mapping[str, bytes]) -> Outcome:
    with np.load(io.BytesIO(parts[_ARRAYS]), allow_pickle=False) as arrays:
        return Outcome({name: arrays[name] for name in arrays.files}, json.loads(parts[_COST]))
