"""Reading an HDF5 file that is not trusted: what it links to outside itself is refused, not followed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeeff import apart, unpacking
from edgeeff.errors import CheckpointError, EdgeeffError, MissingRuntimeError
from edgeeff.zoo.formats import BRING

# The largest EfficientNet in Keras has about 800 layers; a file whose groups hold each other has no end.
_MOST_OBJECTS, _DEEPEST = 50_000, 24
# Trained weights hardly compress. What unpacks to more than this many times its size was made to.
_EXPANSION, _SMALL = 100, 4096
#: Seconds of CPU time in which a file's groups and attributes are read: those of the largest take one.
_PATIENCE = 10
_MEND = "save the weights again, plainly: model.save_weights(FILE) or model.save(FILE)"


@dataclass(frozen=True)
class Hdf5:
    """The groups and datasets of a file that is open, by path, each found to be the file's own."""

    origin: str
    groups: Mapping[str, Any]
    datasets: Mapping[str, Any]

    def attribute(self, group: str, name: str) -> Any:
        """The value of a group's attribute, None if it has none."""
        attributes = self.groups[group].attrs
        if name not in attributes:
            return None
        held = attributes.get_id(name)
        claimed = math.prod(held.shape) * held.dtype.itemsize
        if claimed > _SMALL and claimed > _EXPANSION * held.get_storage_size():
            raise _refusal(
                self.origin, f"the attribute {name} of {group or '/'} claims a shape it cannot hold"
            )
        value = attributes[name]
        return value.decode() if isinstance(value, bytes) else value

    def strings(self, group: str, name: str) -> list[str] | None:
        """A list of strings, which Keras splits over ``name0``, ``name1``, … where it is long."""
        parts = [self.attribute(group, name)]
        if parts[0] is None:
            parts = []
            while (part := self.attribute(group, f"{name}{len(parts)}")) is not None:
                parts.append(part)
            if not parts:
                return None
        return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in np.ravel(part)]

    def tensor(self, path: str) -> Tensor:
        """A dataset's values, as they are."""
        dataset = self.datasets[path]
        if dataset.attrs.get("dtype") == "bfloat16" and dataset.dtype.itemsize == 2:  # Keras' own mark
            words = np.ascontiguousarray(dataset[()]).view(np.uint16)
            return torch.from_numpy(words).view(torch.bfloat16)
        if dataset.dtype.kind not in "fiub":
            raise _refusal(self.origin, f"{path} holds no numbers, but {dataset.dtype}")
        return torch.from_numpy(np.array(dataset[()], order="C"))


@contextlib.contextmanager
def opened(source: Path | BytesIO, origin: str, size: int) -> Iterator[Hdf5]:
    """Open a file, whole on disk or in memory; ``origin`` names it in messages.

    ``size``: bytes of the file on disk. All that is read of it together is measured by them, since an
    archive and what lies in it may both be packed.

    Raises:
        CheckpointError: Truncated or corrupt, or it leads outside itself, or claims absurd shapes.
        MissingRuntimeError: h5py is not installed.
    """
    try:
        h5py: Any = import_module("h5py")
    except ImportError:
        raise MissingRuntimeError(
            f"{origin} is an HDF5 file, and h5py is missing", mend="pip install h5py"
        ) from None
    if not apart.ends(lambda: _look(h5py, source, origin, size), _PATIENCE):
        raise CheckpointError(f"{origin} is damaged: HDF5's library hangs or crashes over it", mend=BRING)
    try:
        with h5py.File(source, "r") as file:
            yield _content(h5py, file, origin, size)
    except EdgeeffError:
        raise
    except Exception:  # on damaged bytes h5py raises anything from OSError to RuntimeError
        raise CheckpointError(f"{origin} is truncated or corrupt", mend=BRING) from None


def _content(h5py: Any, file: Any, origin: str, size: int) -> Hdf5:
    """Its groups and datasets, once they were looked at."""
    groups: dict[str, Any] = {"": file}
    datasets: dict[str, Any] = {}
    for path, item in _items(h5py, file, origin):
        (datasets if isinstance(item, h5py.Dataset) else groups)[path] = item
    _check_sizes(origin, datasets, size)
    return Hdf5(origin, groups, datasets)


def _look(h5py: Any, source: Path | BytesIO, origin: str, size: int) -> None:
    """Read all that a file says of itself, and no weights."""
    with h5py.File(source, "r") as file:
        content = _content(h5py, file, origin, size)
        for path, group in content.groups.items():
            for name in group.attrs:
                with contextlib.suppress(Exception):
                    content.attribute(path, name)
        for dataset in content.datasets.values():
            with contextlib.suppress(Exception):
                dataset.attrs.get("dtype")


def _items(h5py: Any, group: Any, origin: str) -> Iterator[tuple[str, Any]]:
    """Each group and dataset below, with its path; optimizers' are left out."""
    waiting = [("", group, 0)]
    count = 0
    while waiting:
        prefix, group, depth = waiting.pop()
        for name in group:
            path = f"{prefix}{name}"
            if path in ("optimizer", "optimizer_weights"):
                continue
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
                raise _refusal(origin, f"{path} is a link ({type(link).__name__}), perhaps out of the file")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise _refusal(origin, f"the values of {path} lie in other files")
            elif not isinstance(item, h5py.Group):
                continue
            else:
                waiting.append((f"{path}/", item, depth + 1))
            count += 1
            if count > _MOST_OBJECTS or depth > _DEEPEST:
                raise _refusal(origin, "its groups are nested without end")
            yield path, item


def _check_sizes(origin: str, datasets: Mapping[str, Any], size: int) -> None:
    """Before anything is read: no dataset may claim what it does not store."""
    stored: dict[int, int] = {}
    total = 0
    for path, dataset in datasets.items():
        # A chunk is unpacked whole, however little of it the shape takes.
        values = max(math.prod(dataset.shape), math.prod(dataset.chunks or ()) if dataset.size else 0)
        claimed = values * dataset.dtype.itemsize
        total += claimed
        held = dataset.id.get_storage_size()
        if claimed > max(_SMALL, _EXPANSION * held):
            shape = "×".join(map(str, dataset.shape))
            raise _refusal(origin, f"{path} claims a shape of {shape}, but stores {held} bytes")
        if dataset.id.get_offset() is not None and dataset.id.get_offset() in stored and held > _SMALL:
            raise _refusal(origin, f"{path} claims values that are already another's")
        stored[dataset.id.get_offset()] = held
    if unpacking.absurd(total, size):
        raise _refusal(origin, f"it would unpack to {total} bytes from {size}")


def _refusal(origin: str, why: str) -> CheckpointError:
    return CheckpointError(f"{origin} is refused: {why}", mend=_MEND)
