"""The checkpoint of a training: a plain dict of tensors and data, and a JSON beside it with how it went.

``torch.load(weights_only=True)`` reads it, and ``edgeeff build --checkpoint`` with no other option
(:mod:`edgeeff.zoo.formats._ours`). The same training gives the same bytes: nothing in it hangs on a clock.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeeff import digests, labels
from edgeeff.errors import OutputError
from edgeeff.files import refuse_special, refuse_unwritable, write_file, writing
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.formats import _ours
from edgeeff.zoo.sources import Identity


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Args:
        task: What was learnt.
        identity: The network that it began with.
        arch: Its name, by which it is found again.
        preprocess: From a photo to its input.
        classes: Their names, in the order of the outputs.
        tensors: By our names.
        recipe: How it was trained, plain data that hangs on no clock.
        negative: What a photo is called that has not the only label; empty where nobody says.
    """

    task: str
    identity: Identity
    arch: str
    preprocess: Preprocess
    classes: Sequence[str]
    tensors: Mapping[str, Tensor]
    recipe: Mapping[str, Any]
    negative: str = ""

    def content(self) -> bytes:
        """As the bytes of a torch file."""
        own, conventions = self.preprocess, self.identity.conventions
        known = {"classes": list(self.classes)} if labels.are_known(self.classes) else {}
        content: dict[str, Any] = {
            "task": self.task,
            "arch": self.arch,
            **known,
            "size": list(own.size),
            "mean": list(own.mean),
            "std": list(own.std),
            "recipe": json.dumps(self.recipe, sort_keys=True),
            _ours.KEY: {
                "schema": _ours.SCHEMA,
                "task": self.task,
                "preprocess": _plain(own.to_json()),
                "conventions": _plain(asdict(conventions)) if conventions else None,
                **self._anchors(),
                **({"negative": self.negative} if self.negative else {}),
                "trunk": self.recipe.get("trunk"),
                **({"unsettled": [*self.identity.unsettled]} if self.identity.unsettled else {}),
            },
            "state_dict": dict(self.tensors),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    def _anchors(self) -> dict[str, Any]:
        """A detector's anchors."""
        geometry = self.identity.geometry
        if geometry is None:
            return {}
        return {"geometry": _plain(replace(geometry, size=self.preprocess.size).to_json())}


def beside(path: Path) -> Path:
    """The JSON beside a checkpoint."""
    return path.with_name(f"{path.stem}.training.json")


def refuse_output(path: Path, *, force: bool) -> None:
    """Refuse a checkpoint that cannot be written, before anything is trained.

    Raises:
        OutputError: Something is there already, or the folder cannot be written.
    """
    refuse_special(path)
    if path.exists() and not force:
        raise OutputError(f"{path} is there already", mend="name another file with -o, or pass --force")
    refuse_unwritable(path.parent)


def write(path: Path, trained: Trained, told: Mapping[str, Any]) -> None:
    """Write a checkpoint, and then what is told of its training beside it, with the checkpoint's digest.

    A kill between the two leaves a checkpoint without the other, and never with that of another one.

    Raises:
        OutputError: The disk is full or cannot be written.
    """
    content = trained.content()
    told = {**told, "checkpoint_sha256": digests.of_bytes(content)}
    with writing(path):
        beside(path).unlink(missing_ok=True)  # what is told of an earlier checkpoint
    write_file(path, content)
    write_file(beside(path), (json.dumps(told, indent=2) + "\n").encode())


def _plain(data: Any) -> Any:
    """Lists for tuples."""
    return json.loads(json.dumps(data))


def finite(data: Any) -> Any:
    """Plain data with None for numbers that JSON has not."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
