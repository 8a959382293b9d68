"""What an interrupted training goes on from: all that its next step depends on, and nothing else.

Batches, augmentation and dropout are drawn anew from the seed and the number of the step, so that no state of
a random generator has to be kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeeff.cache import Bookmark

_ARRAYS, _POSITION = "arrays.npz", "position.json"


@dataclass
class Position:
    """How far a course came.

    Args:
        taken: Steps behind it.
        epochs: The course's, where it was found out by the clock; 0: not yet.
        best: The epoch whose state is the best so far, counted from 1; 0: none.
        history: What each epoch came to.
        sums: Loss and images of the epoch that is not over yet.
        seconds: That it took so far.
        over: Whether it has come to its end.
    """

    taken: int = 0
    epochs: int = 0
    best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    seconds: float = 0.0
    over: bool = False


def keep(bookmark: Bookmark | None, position: Position, tensors: Mapping[str, Tensor]) -> None:
    """Keep a position, and the tensors that belong to it."""
    if bookmark is None:
        return
    buffer = io.BytesIO()
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    bookmark.keep({_ARRAYS: buffer.getvalue(), _POSITION: json.dumps(asdict(position)).encode()})


def restore(bookmark: Bookmark | None) -> tuple[Position, dict[str, Tensor]] | None:
    """What was kept last; None: nothing."""
    parts = bookmark.read() if bookmark else None
    if parts is None:
        return None
    with np.load(io.BytesIO(parts[_ARRAYS]), allow_pickle=False) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return Position(**json.loads(parts[_POSITION])), tensors
