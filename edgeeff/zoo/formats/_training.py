"""Where trainers put a network in their checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# The moving average first, for it is what they evaluate. Optimizers' averages are not under these keys.
AVERAGES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema_weights", "ema", "averaged_model",
    "average_model_state", "swa_state_dict", "swa_model",
)  # fmt: skip
NETWORKS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "shadow",
)  # fmt: skip
WRAPPERS = AVERAGES + NETWORKS

# What wrappers of modules put before a tensor's name; here only to tell the same tensor in two copies.
_PREFIX = re.compile(
    r"^(?:(?:module|model|_orig_mod|net|network|ema|ema_model|model_ema|averaged_model|student|teacher)\.)+"
)
# What trainers keep beside a network that holds matrices and is none.
_NO_NETWORK = re.compile(r"optim|sched|scaler|rng|random|callback|loops|momentum|history|(^|_)amp($|_)")
_READ = ("mean", "std", "size", "input_size", "img_size", "image_size")  # by _settings
_DEEPEST = 3  # a pickle may hold itself


@dataclass(frozen=True)
class Held:
    """A checkpoint's tensors by names that say where each lay, what was chosen, and what was not read."""

    tensors: dict[str, Tensor]
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def networks(content: Any, depth: int = _DEEPEST) -> Held | None:
    """The network's tensors under the usual keys, and with them all others that may be of a network.

    Where several keys hold tensors of layers (``{"model": …, "head": …}``, ``{"student": …, "teacher": …}``)
    all of them come, each with its key before its name: which are meant is not decided here.
    """
    if not isinstance(content, Mapping) or depth == 0:
        return None
    main, key = state_dict(content), next((k for k in WRAPPERS if _held(content.get(k))), None)
    if main is not None and key is None and not _callbacks(content):
        return Held(main)  # a state_dict itself
    plain = next((k for k in NETWORKS if _held(content.get(k))), None)
    averaged = _is_averaged(content, main)
    lines: tuple[str, ...] = ()
    inner = None if averaged or plain is None else networks(content[plain], depth - 1)
    if averaged:
        lines = ("the moving average of the weights is taken, for it is what trainers evaluate",)
    elif inner is not None:
        main, lines = inner.tensors, inner.lines
    unread = [k for k in AVERAGES if not _held(content.get(k)) and _holds_matrix(content.get(k), _DEEPEST)]
    warnings = tuple(f"{k} holds a moving average in a form that is not read: it is left out" for k in unread)
    warnings += inner.warnings if inner else ()
    others = _others(content, plain, main, depth - 1)
    if main is None and len(others) == 1:
        return networks(content[next(iter(others))], depth - 1) or Held(next(iter(others.values())))
    alone = [name for name, value in content.items() if isinstance(value, Tensor) and value.dim() == 1]
    if key is not None and (vectors := [str(n) for n in alone if n not in _READ]):
        lines += (f"left out, vectors beside the state_dict: {', '.join(vectors)}",)
    if not others:
        return None if main is None else Held(main, lines, warnings)
    parts = others if main is None else {str(plain or key): main, **others}
    return Held(_flat(parts), lines, warnings)


def _held(value: Any) -> bool:
    return state_dict(value, _DEEPEST - 1) is not None


def _is_averaged(content: Mapping[Any, Any], main: Mapping[str, Tensor] | None) -> bool:
    """Whether what is taken is an average, and the network as it was trained last is there too."""
    trained = _first(content, NETWORKS, _DEEPEST)
    if main is None or trained is None:
        return False
    return any(main.get(key) is not value for key, value in trained.items())


def _holds_matrix(value: Any, depth: int) -> bool:
    if isinstance(value, Tensor):
        return _is_matrix(value)
    if depth == 0 or not isinstance(value, Mapping | list | tuple):
        return False
    return any(_holds_matrix(v, depth - 1) for v in (value.values() if isinstance(value, Mapping) else value))


def _others(
    content: Mapping[Any, Any], key: str | None, main: dict[str, Tensor] | None, depth: int
) -> dict[str, dict[str, Tensor]]:
    """What else in a checkpoint may be layers: state_dicts with a matrix, and matrices that lie alone."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in content.items():
        if not isinstance(name, str) or name == key or name in AVERAGES or _NO_NETWORK.search(name.lower()):
            continue
        if isinstance(value, Tensor):
            if _is_matrix(value):
                found[name] = {"": value}
            continue
        held = networks(value, depth)
        if held and any(map(_is_matrix, held.tensors.values())) and not _same(held.tensors, main):
            found[name] = held.tensors
    return found


def _flat(parts: Mapping[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{part}.{name}" if name else part: value
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.dim() >= 2 and tensor.is_floating_point()


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor] | None) -> bool:
    """Whether it is the same state_dict once more, as some trainers save it under two keys."""
    if other is None or one.keys() != other.keys():
        return False
    return all(
        value.dtype == other[key].dtype and torch.equal(value, other[key]) for key, value in one.items()
    )


def state_dict(content: Any, depth: int = _DEEPEST) -> dict[str, Tensor] | None:
    """The network's tensors under the usual keys; their moving average where there is one.

    An average may lack what the trainer does not average (batch statistics): that is the network's own.
    """
    if not isinstance(content, Mapping) or depth == 0:
        return None
    network = _first(content, NETWORKS, depth)
    if network is None:
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        network = tensors if tensors and all(isinstance(key, str) for key in tensors) else None
    averages = [content, *_callbacks(content)]
    for holder in averages:
        average = _first(holder, AVERAGES, depth)
        if average is not None:
            return average if network is None else _averaged(network, average)
    return network


def _first(content: Mapping[Any, Any], keys: tuple[str, ...], depth: int) -> dict[str, Tensor] | None:
    for key in keys:
        found = state_dict(content.get(key), depth - 1)
        if found is not None:
            return found
    return None


def _callbacks(content: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """Lightning's callbacks' states; an average over no step yet is none."""
    states = content.get("callbacks")
    if not isinstance(states, Mapping):
        return []
    return [s for s in states.values() if isinstance(s, Mapping) and s.get("n_averaged", 1) != 0]


def _averaged(network: dict[str, Tensor], average: dict[str, Tensor]) -> dict[str, Tensor]:
    of = {_PREFIX.sub("", key): value for key, value in average.items()}
    plain = {key: _PREFIX.sub("", key) for key in network}
    common = [key for key, name in plain.items() if name in of and of[name].shape == network[key].shape]
    if not common:  # a whole copy under names of its own, or a mere counter called "ema"
        return average if 2 * len(average) > len(network) else network
    if len(common) == len(network):
        return average
    return network | {key: of[plain[key]] for key in common}
