"""From a checkpoint file to named tensors, without ever running what is in it."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from edgeeff.errors import CheckpointError

# Where trainers put the network's tensors; the moving average first, for it is what they evaluate.
WRAPPERS = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema",
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights",
)  # fmt: skip
LABELS = ("classes", "labels", "class_names")

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_BRING = "bring the file again, and compare its size and checksum with the source's"
_SAVE_STATE_DICT = (
    "save the state_dict alone: torch.save(model.state_dict(), FILE), or safetensors.torch.save_file"
)


@dataclass(frozen=True)
class WeightsFile:
    """What a checkpoint file holds: tensors by the names they have in it, and labels if it names them."""

    tensors: dict[str, Tensor]
    labels: tuple[str, ...] | None


def read(path: Path) -> WeightsFile:
    """Read a .pt, .pth or .safetensors file; its first bytes tell which it is, not its name.

    Raises:
        CheckpointError: Empty, truncated, no checkpoint at all, or unsafe to load.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise CheckpointError(f"{path} is empty", mend=_BRING)
    if start.startswith(_ZIP) or start.startswith(_PICKLE):
        content = _read_torch(path, zipped=start.startswith(_ZIP))
    elif path.suffix == ".safetensors" or start[8:9] == b"{":
        content = _read_safetensors(path)
    elif start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights", mend="run git lfs pull")
    else:
        raise CheckpointError(
            f"{path} is no checkpoint: it is neither a torch file nor safetensors",
            mend="pass a state_dict saved by torch.save (.pt, .pth) or by safetensors",
        )
    tensors = _state_dict(content)
    if tensors is None:
        raise CheckpointError(
            f"{path} holds no state_dict: {_held(content)}",
            mend=f"{_SAVE_STATE_DICT}, alone or under one of the keys {', '.join(WRAPPERS)}",
        )
    return WeightsFile(tensors=tensors, labels=_labels(content))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or corrupt: {error}", mend=_BRING) from None
    return tensors


def _read_torch(path: Path, *, zipped: bool) -> Any:
    if zipped:
        _check_archive(path)
    try:
        # Many trainers save their command line beside the weights; a Namespace is plain data.
        with torch.serialization.safe_globals([Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except Exception:  # on damaged bytes torch raises anything from KeyError to struct.error
        raise CheckpointError(f"{path} is truncated or corrupt", mend=_BRING) from None


def _refusal(path: Path, error: str) -> CheckpointError:
    """What torch's weights-only unpickler declined, from its message."""
    refused = re.search(r"GLOBAL (\S+)|Trying to (?:call|instantiate)[^<\w]*(\S+)", error)
    if refused is not None:
        name = next(filter(None, refused.groups())).rstrip(".,")
        return CheckpointError(
            f"{path} is refused: it holds {name}, and loading that would execute code; nothing of it was run",
            mend=_SAVE_STATE_DICT,
        )
    if "Unsupported operand" in error:
        return CheckpointError(
            f"{path} is refused: its pickle holds instructions that could execute code, or is damaged; "
            "nothing of it was run",
            mend=_SAVE_STATE_DICT,
        )
    return CheckpointError(f"{path} is truncated or corrupt", mend=_BRING)


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.rpartition("/")[2] for name in archive.namelist()}
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError):
        raise CheckpointError(f"{path} is truncated or corrupt", mend=_BRING) from None
    if "constants.pkl" in members:
        raise CheckpointError(
            f"{path} is a TorchScript archive, which carries code and is not loaded", mend=_SAVE_STATE_DICT
        )
    if "data.pkl" not in members:
        raise CheckpointError(f"{path} is a zip archive but no torch checkpoint", mend=_SAVE_STATE_DICT)
    if damaged:
        raise CheckpointError(f"{path} is corrupt: {damaged} fails its checksum", mend=_BRING)


def _state_dict(content: Any, depth: int = 3) -> dict[str, Tensor] | None:
    """The first state_dict under the usual keys, at most ``depth`` deep (a pickle may hold itself)."""
    if not isinstance(content, Mapping) or depth == 0:
        return None
    for wrapper in WRAPPERS:
        found = _state_dict(content.get(wrapper), depth - 1)
        if found is not None:
            return found
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    return tensors if tensors and all(isinstance(key, str) for key in tensors) else None


def _held(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"it holds {', '.join(map(str, list(content)[:6])) or 'nothing'}"
    return f"it holds one {type(content).__name__}"


def _labels(content: Any) -> tuple[str, ...] | None:
    if not isinstance(content, Mapping):
        return None
    for key in LABELS:
        value = content.get(key)
        if isinstance(value, list | tuple) and value and all(isinstance(label, str) for label in value):
            return tuple(value)
    return None
