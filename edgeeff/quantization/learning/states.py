"""The state of unfinished learning: written as arrays, read back to the same bits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeeff.cache import Bookmark

#: Steps between two states that are kept, and the largest such state: that of 80 million weights.
KEPT_EVERY, LARGEST_STATE = 25, 1 << 30
#: What Adam keeps of each parameter.
MOMENTS = ("exp_avg", "exp_avg_sq")

Array = np.ndarray[Any, Any]


def keep(
    bookmark: Bookmark,
    taken: int,
    optimizer: torch.optim.Optimizer,
    more: Mapping[str, Array],
    position: Mapping[str, Any],
) -> bool:
    """Keep all that the next step depends on; returns whether it was not too large.

    Args:
        bookmark: Where.
        taken: Steps so far.
        optimizer: With its parameters.
        more: Further arrays.
        position: Further plain data.
    """
    arrays: dict[str, Array] = {f"more.{name}": array for name, array in more.items()}
    for number, (parameter, state) in enumerate(_states(optimizer)):
        arrays[f"{number}.value"] = parameter.detach().cpu().numpy()
        for name in MOMENTS:
            arrays[f"{number}.{name}"] = state[name].cpu().numpy()
    if sum(array.nbytes for array in arrays.values()) > LARGEST_STATE:
        return False
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    said = json.dumps({**position, "taken": taken})
    bookmark.keep({"arrays.npz": buffer.getvalue(), "state.json": said.encode()})
    return True


def restore(
    bookmark: Bookmark | None, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """Take up a state that was kept: returns its plain data and further arrays; None where there is none."""
    parts = bookmark.read() if bookmark else None
    if parts is None:
        return None
    position: dict[str, Any] = json.loads(parts["state.json"])
    with np.load(io.BytesIO(parts["arrays.npz"]), allow_pickle=False) as arrays, torch.no_grad():
        for number, (parameter, moments) in enumerate(_states(optimizer)):
            parameter.copy_(torch.from_numpy(arrays[f"{number}.value"]))
            moments["step"] = torch.tensor(float(position["taken"]))
            for name in MOMENTS:
                moments[name] = torch.from_numpy(arrays[f"{number}.{name}"]).to(parameter.device)
        more = {name[5:]: arrays[name] for name in arrays.files if name.startswith("more.")}
    return position, more


def _states(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Each parameter, and what Adam knows of it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield parameter, optimizer.state[parameter]
