"""keras.applications' networks and models around them: .h5, .weights.h5 and .keras, without Keras.

A config is read as data alone: no layer is built from it, so that a Lambda's code stays text.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from edgeeff import regular, text
from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import (
    BRING,
    WeightsFile,
    _hdf5,
    _keras_config,
    _keras_detector,
    _keras_graph,
    _keras_layers,
    _keras_model,
    _keras_weights,
)

_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_LARGEST_CONFIG = 16 << 20  # bytes; V2-L's is 2 MB
_EXPANSION = 100  # Keras stores its members as they are; repacked, weights still hardly shrink


def claims(path: Path, start: bytes) -> bool:
    """HDF5's signature, or a zip archive of Keras' name or members."""
    if not start.startswith(_ZIP) or path.suffix == ".keras":
        return start.startswith((_HDF5, _ZIP))
    try:
        with zipfile.ZipFile(path) as archive:
            return _WEIGHTS in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read(path: Path) -> WeightsFile:
    """Read a model or its weights, named ``<layer>/<variable>`` as Keras 2 did, in torch's layout.

    Depthwise kernels are ``depthwise_kernel`` whatever the version. A network that is a layer of another
    model comes out under the same names as alone. The one Dense of a model is called ``predictions``, the
    one Normalization ``normalization``, whatever they are called; of several each keeps its name.

    Raises:
        CheckpointError: Truncated, corrupt, leading outside itself, or of an absurd size.
        MissingRuntimeError: h5py is not installed.
    """
    with regular.opened(path) as file:
        start = file.read(len(_HDF5))
    if start.startswith(_ZIP):
        config, weights = _archive(path)
        with _hdf5.opened(weights, str(path), path.stat().st_size) as hdf5:
            return _read(hdf5, config)
    with _hdf5.opened(path, str(path), path.stat().st_size) as hdf5:
        written = hdf5.attribute("", "model_config")
        return _read(hdf5, None if written is None else _json(str(written), path))


def _archive(path: Path) -> tuple[Any, BytesIO]:
    """The config and the weights of a .keras archive; nothing is written to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            for name, member in members.items():
                if PurePosixPath(name).is_absolute() or ".." in name.replace("\\", "/").split("/"):
                    raise CheckpointError(
                        f"{path} is refused: its member {name!r:.80} would lie outside the archive",
                        mend="take the model from a source that you trust",
                    )
                if member.file_size > max(_EXPANSION * member.compress_size, 1 << 16):
                    raise CheckpointError(
                        f"{path} is refused: {name} would unpack to {member.file_size} bytes from "
                        f"{member.compress_size}",
                        mend='save the model again: model.save("model.keras")',
                    )
            if _WEIGHTS not in members:
                raise CheckpointError(
                    f"{path} holds no {_WEIGHTS}, but {', '.join(sorted(members)[:4]) or 'nothing'}",
                    mend='save the model whole and in one piece: model.save("model.keras")',
                )
            known = _CONFIG in members and members[_CONFIG].file_size <= _LARGEST_CONFIG
            config = _json(archive.read(_CONFIG), path) if known else None
            return config, BytesIO(archive.read(_WEIGHTS))
    except (
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        MemoryError,
    ):
        raise CheckpointError(f"{path} is truncated or corrupt", mend=BRING) from None


def _json(config: str | bytes, path: Path) -> Any:
    try:
        content = config if isinstance(config, str) else text.decode(config, path, CheckpointError)
        return text.parse_json(content, path, CheckpointError)
    except CheckpointError:
        raise CheckpointError(f"{path}: its model config is damaged", mend=BRING) from None


def _read(hdf5: _hdf5.Hdf5, config: Any) -> WeightsFile:
    if _keras_detector.is_one(hdf5):
        return _keras_detector.read(hdf5)
    try:
        graph = _keras_graph.of(config, hdf5.origin)
        places, layers, complete = _keras_layers.variables(hdf5, config)
        if not places:
            raise CheckpointError(
                f"{hdf5.origin} holds no weights of Keras layers",
                mend="save them by model.save_weights(FILE) or model.save(FILE)",
            )
        tensors = {name: _keras_layers.torch_layout(name, hdf5.tensor(at)) for name, at in places.items()}
        if graph is not None:
            return replace(_keras_model.read(graph, tensors, hdf5.origin), said=_keras_config.said(config))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise CheckpointError(f"{hdf5.origin}: its model config is damaged", mend=BRING) from None
    nested = [layer for layer in layers if "efficientnet" in layer.lower()]
    said = _keras_config.said(config) or (nested[0] if nested else None)
    return _keras_weights.read(tensors, layers, complete, said, hdf5.origin)
