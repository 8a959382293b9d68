"""torch.save's files (.pt, .pth, .ckpt, .bin), by the weights-only unpickler and never otherwise."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeeff import regular
from edgeeff.errors import CheckpointError
from edgeeff.zoo import archives
from edgeeff.zoo.formats import BRING, WeightsFile, _hub_config, _ours, _pickled, _settings, _training

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"


def claims(_path: Path, start: bytes) -> bool:
    """A zip archive, or a bare pickle as torch wrote until 1.6."""
    return start.startswith((_ZIP, _PICKLE))


def read(path: Path) -> WeightsFile:
    """Read a state_dict, alone or in a training checkpoint, with what the checkpoint says of it.

    Raises:
        CheckpointError: Truncated, corrupt, no state_dict in it, or it would have to run code.
    """
    with regular.opened(path) as file:
        zipped = file.read(len(_ZIP)) == _ZIP
    if zipped:
        _check_archive(path)
    content = _pickled.load(path)
    held = _training.networks(content)
    if held is None:
        if isinstance(content, dict) and {"state", "param_groups"} <= content.keys():
            raise CheckpointError(
                f"{path} holds the state of an optimizer, not a network", mend=_pickled.SAVE_STATE_DICT
            )
        raise CheckpointError(
            f"{path} holds no state_dict: {_held(content)}",
            mend=f"{_pickled.SAVE_STATE_DICT}, or put it under a key of {', '.join(_training.WRAPPERS)}",
        )
    _check_memory(path, held.tensors)
    config, said, ours = _hub_config.beside(path), _settings.read(content), _ours.read(content)
    if ours is not None:
        return WeightsFile(
            tensors={key: value.detach() for key, value in held.tensors.items()},
            labels=_ours.with_negative(said.labels, ours),
            said=said.said,
            preprocess=ours.preprocess,
            counts=said.counts,
            lines=(*held.lines, *ours.lines),
            warnings=(*held.warnings, *ours.warnings),
            ends_in=ours.ends_in,
            conventions=ours.conventions,
            geometry=ours.geometry,
            model=ours.model,
            unsettled=ours.unsettled,
        )
    return WeightsFile(
        tensors={key: value.detach() for key, value in held.tensors.items()},
        labels=said.labels or config.labels,
        said=said.said or config.said,
        preprocess={**config.preprocess, **said.preprocess},
        network=said.network or config.network,
        counts=said.counts,
        lines=held.lines,
        warnings=(*held.warnings, *said.warnings),
    )


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch stores its members as they are. Nothing is unpacked before this is known.
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise CheckpointError(
                    f"{path} is refused: its members would unpack to more than the file itself", mend=BRING
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        raise CheckpointError(f"{path} is truncated or corrupt", mend=BRING) from None
    kind = archives.kind(path)
    if kind is not None:
        raise CheckpointError(
            f"{path} is {kind}, which carries code and is not loaded without trust",
            mend=f"{_pickled.SAVE_STATE_DICT}; or, if you trust where it comes from, pass --trust-checkpoint",
        )
    if "data.pkl" not in {member.filename.rpartition("/")[2] for member in members}:
        raise CheckpointError(
            f"{path} is a zip archive but no torch checkpoint", mend=_pickled.SAVE_STATE_DICT
        )
    if damaged:
        raise CheckpointError(f"{path} is corrupt: {damaged} fails its checksum", mend=BRING)


def _check_memory(path: Path, tensors: dict[str, Tensor]) -> None:
    """Tensors hold what the file holds: a stride of 0 or a fresh allocation could claim any shape."""
    storages: dict[int, int] = {}
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided:
            continue
        if tensor.device.type != "cpu":
            raise CheckpointError(
                f"{path}: {key} is on {tensor.device}, without values", mend=_pickled.SAVE_STATE_DICT
            )
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            raise CheckpointError(
                f"{path} is refused: {key} claims a shape of {tuple(tensor.shape)}, "
                f"but holds {storage.nbytes()} bytes",
                mend="save it as .contiguous(), if that is meant",
            )
    if sum(storages.values()) > path.stat().st_size:
        raise CheckpointError(
            f"{path} is refused: its tensors claim more memory than the file is long", mend=BRING
        )


def _held(content: Any) -> str:
    if isinstance(content, dict):
        return f"it holds {', '.join(str(key)[:80] for key in list(content)[:6]) or 'nothing'}"
    return f"it holds one {type(content).__name__}"
