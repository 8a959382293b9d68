"""Which network of a checkpoint is meant, where it holds copies: one twice, its average, or two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import namings
from edgeeff.zoo.accounting import ignorable

UNCOUNTED = "num_batches_tracked"
_AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|avg|averag\w*|mean_teacher)(?:$|[._])")
_STEM = ("stem.conv.weight", "backbone.stem.conv.weight")


@dataclass
class Aside:
    """Keys that are left out with whole copies of the network, and what is said of it."""

    keys: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)


def network(
    tensors: Mapping[str, Tensor], path: object, *, detectors: bool = True
) -> tuple[str, str, dict[str, str], Aside]:
    """The one network of a file; of a detector its backbone without ``detectors``.

    Returns:
        Its naming; the prefix of its names; its trunk, key → key without the prefix; what its copies hold.

    Raises:
        CheckpointError: None in a known naming, several, or a state of other than plain weights.
    """
    keys = tuple(key for key in tensors if not key.endswith(UNCOUNTED))
    other = ignorable.not_weights(tensors)
    if other is not None:
        key, what, mend = other
        raise CheckpointError(f"{path} is {what}: it holds {key}", mend=mend)
    naming = namings.detect(keys, detectors=detectors)
    if naming is None:
        raise CheckpointError(
            f"{path} is no EfficientNet in a naming that is known: its tensors are {', '.join(keys[:3])}"
            + "".join(f"; {disabled}" for disabled in namings.warnings()),
            mend=f"rename the tensors to one of the namings {', '.join(namings.names())}, "
            "or export the network to ONNX and pass that",
        )
    found = {
        prefix: {key: tail for key, tail in tails.items() if not is_head(namings.ours_of(naming, tail))}
        for prefix, tails in namings.networks(naming, keys).items()
    }
    most = max(len(tails) for tails in found.values())
    whole = {
        prefix: tails
        for prefix, tails in found.items()
        if len(tails) == most
        or (4 * len(tails) > most and any(namings.ours_of(naming, t) in _STEM for t in tails.values()))
    }
    aside = Aside()
    _drop_aliases(whole, tensors)
    prefix = next(iter(whole)) if len(whole) == 1 else _average(list(whole), path)
    if len(whole) > 1:
        aside.lines.append(f"the moving average under {prefix} is the network, not its copies beside it")
        for copy in whole:
            if copy != prefix:
                aside.keys |= _twins(tensors, prefix, copy)
    return naming, prefix, whole[prefix], aside


def _drop_aliases(whole: dict[str, dict[str, str]], tensors: Mapping[str, Tensor]) -> None:
    """Of one network under two names, as ``self.net = self.model`` makes it, keep one: that with a head."""
    held = {prefix: sum(key.startswith(prefix) for key in tensors) for prefix in whole}
    for prefix in sorted(whole, key=lambda p: held[p]):
        mine = {tail: key for key, tail in whole[prefix].items()}
        for other, tails in whole.items():
            if other != prefix and all(
                tail in mine and place_of(tensors[key]) == place_of(tensors[mine[tail]])
                for key, tail in tails.items()
            ):
                del whole[prefix]
                break


def place_of(tensor: Tensor) -> object:
    """Where in memory it is: a module that is registered twice is saved once, under two names."""
    if tensor.layout != torch.strided or tensor.numel() == 0:
        return id(tensor)
    return tensor.data_ptr(), tuple(tensor.shape)


def _average(prefixes: list[str], path: object) -> str:
    """Of several whole copies the moving average, for it is what trainers evaluate and publish."""
    averages = [prefix for prefix in prefixes if _AVERAGE.search(prefix)]
    if len(averages) == 1:
        return averages[0]
    shown = [prefix or "(no prefix)" for prefix in prefixes]
    example = next(prefix for prefix in prefixes if prefix)
    raise CheckpointError(
        f"{path} holds {len(prefixes)} whole networks, under {', '.join(shown)}",
        mend=f'say which is meant, such as --prefix "{example}"',
    )


def _twins(tensors: Mapping[str, Tensor], kept: str, copy: str) -> set[str]:
    """The keys of a copy that have a twin of the same shape under the prefix that is kept."""
    parts, others = kept.split("."), copy.split(".")
    while len(parts) > 1 and len(others) > 1 and parts[-2] == others[-2]:
        del parts[-2], others[-2]
    mine, theirs = ".".join(parts), ".".join(others)
    found = set()
    for key in tensors:
        if key.startswith(theirs) and not key.startswith(mine):
            twin = tensors.get(mine + key[len(theirs) :])
            if twin is not None and twin.shape == tensors[key].shape:
                found.add(key)
    return found


def is_head(ours: str | None) -> bool:
    """Whether a tensor by our name is of the library's own head."""
    return ours is not None and ours.startswith(("classifier.", "hidden."))
