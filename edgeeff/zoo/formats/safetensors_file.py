"""safetensors: one file, or shards that a model.safetensors.index.json lists.

The library holds the header against the file's size before it allocates anything, so that a tensor of an
absurd shape is refused there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from edgeeff import regular, text
from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import BRING, WeightsFile, _hub_config, _settings, beginning

_INDEX = ".safetensors.index.json"
_OTHERS = (b"PK\x03\x04", b"\x80\x02", b"\x89HDF")  # torch's zip and pickle, Keras' HDF5
_SHOWN = 3  # tensors named in a message


def claims(path: Path, start: bytes) -> bool:
    """The JSON header that follows eight bytes of its length; by name, if it is not plainly another's."""
    named = path.name.endswith((".safetensors", _INDEX))
    return start[8:9] == b"{" or (named and not start.startswith(_OTHERS))


def read(path: Path) -> WeightsFile:
    """Read one file or an index with its shards, and a config.json if they lie in a repository.

    Raises:
        CheckpointError: Truncated or corrupt, or an index that leads outside its folder or to what is
            not there.
    """
    tensors = _sharded(path) if path.name.endswith(_INDEX) else _one(path)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors", mend=BRING)
    config, said = _hub_config.beside(path), _settings.read(_metadata(path))
    return WeightsFile(
        tensors=tensors,
        labels=said.labels or config.labels,
        said=said.said or config.said,
        preprocess={**config.preprocess, **said.preprocess},
        network=said.network or config.network,
        counts=said.counts,
        ordered=False,
        warnings=said.warnings,
    )


def _metadata(path: Path) -> dict[str, Any]:
    """What the header holds beside the tensors: strings, read as JSON where they are."""
    if path.name.endswith(_INDEX):
        return {}
    with safetensors.safe_open(path, "pt") as file:
        return {key: _value(value) for key, value in (file.metadata() or {}).items()}


def _value(value: str) -> Any:
    try:
        return text.parse_json(value, "", CheckpointError)
    except CheckpointError:
        return value


def _one(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise CheckpointError(f"{path} is truncated or corrupt: {error}", mend=BRING) from None
    return tensors


def _sharded(index: Path) -> dict[str, Tensor]:
    places = _hub_config.read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise CheckpointError(f"{index} holds no weight_map of tensors to files", mend=BRING)
    shards = sorted(set(places.values()))
    for shard in shards:
        _check_place(index, shard)
    absent = [shard for shard in shards if not regular.is_file(index.with_name(shard))]
    if absent:
        raise CheckpointError(
            f"{index} names files that are not there: {_some(absent)}",
            mend="bring all shards into the folder of the index",
        )
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        beginning(index.with_name(shard))
        held = _one(index.with_name(shard))
        named = [key for key, place in places.items() if place == shard]
        lacking = [key for key in named if key not in held]
        if lacking:
            raise CheckpointError(
                f"{index.with_name(shard)} lacks tensors that the index places there: {_some(lacking)}",
                mend="bring the index and the shards of one and the same version",
            )
        tensors |= {key: held[key] for key in named}
    return tensors


def _check_place(index: Path, shard: str) -> None:
    """Shards lie in the index's folder; of symbolic links only the hub cache's own are followed.

    The cache keeps ``snapshots/<commit>/<file>`` as a link to ``../../blobs/<digest>``.
    """
    if "\0" in shard or shard != Path(shard.replace("\\", "/")).name or not shard.endswith(".safetensors"):
        what = "is not the plain name of a .safetensors file"
    else:
        folder = index.parent.resolve()
        homes = {folder}
        if folder.parent.name == "snapshots":
            homes.add(folder.parent.parent / "blobs")
        target = Path(os.path.realpath(folder / shard))  # which, unlike resolve(), bears links in a circle
        if target.parent in homes:
            return
        what = f"leads outside the folder, to {target}"
    raise CheckpointError(
        f"{index} is refused: the shard {shard!r:.80} {what}",
        mend="use an index whose shards lie beside it, as save_pretrained writes it",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
