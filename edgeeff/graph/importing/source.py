"""From a file to an ONNX model with its weights in it."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_tensor

from edgeeff import regular
from edgeeff.errors import GraphError, MissingFileError
from edgeeff.graph.importing.tensors import byte_size, every_tensor, label

_ORT_FORMAT = b"ORTM"  # at byte 4 of onnxruntime's own format, as of every FlatBuffer's identifier
_LARGEST = 2**31 - 1  # protobuf reads no message beyond


def load(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, and the weights that lie beside it.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        GraphError: It is truncated or no ONNX model, or names weights that are not in its folder.
    """
    model = _parse(path)
    try:
        _load_side_files(model, path.parent)
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None
    return model


def files(path: Path) -> list[Path]:
    """All files that an ONNX model is in: its own, and those that its weights lie in.

    Raises:
        MissingFileError, GraphError: As :func:`load`.
    """
    try:
        beside = {
            _side_file(
                {e.key: str(e.value) for e in tensor.external_data}.get("location", ""),
                path.parent,
                label(tensor),
            )
            for tensor in every_tensor(_parse(path))
            if tensor.data_location == onnx.TensorProto.EXTERNAL
        }
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None
    return [path, *sorted(beside)]


def _parse(path: Path) -> onnx.ModelProto:
    if not regular.is_file(path):
        raise MissingFileError(f"no file {path}", mend="pass the path of an ONNX file")
    if path.stat().st_size > _LARGEST:
        raise GraphError(
            f"{path} is larger than 2 GiB", mend="export it again with its weights as external data"
        )
    data = regular.read(path, MissingFileError, _LARGEST, "check the file's permissions")
    if data[4:8] == _ORT_FORMAT:
        raise GraphError(
            f"{path} is in onnxruntime's own format", mend="pass the .onnx file it was made from"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf's error, which moves between its implementations
        raise GraphError(
            f"{path} is not a valid ONNX model: it is truncated or of another format", mend="export it again"
        ) from None
    return model


def _load_side_files(model: onnx.ModelProto, folder: Path) -> None:
    """Put each tensor's bytes into the model, if they lie in the folder and are as many as it needs."""
    for tensor in every_tensor(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        said = {str(entry.key): str(entry.value) for entry in tensor.external_data}
        path = _side_file(said.get("location", ""), folder, label(tensor))
        needed, there = byte_size(tensor), path.stat().st_size
        try:
            offset = int(said.get("offset", 0))
            length = int(said.get("length", there - offset))
        except ValueError:
            offset = length = -1
        if offset < 0 or length != needed or offset + length > there:
            raise GraphError(
                f"{label(tensor)} needs {needed} bytes; {path.name} has {there}, and not those at {said}",
                mend="the side file is truncated or of another export: copy both files again",
            )
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # the library's own checks and the system's refusals share no class
            raise GraphError(
                f"cannot read {label(tensor)} from {path.name}: {error}", mend="copy both files again"
            ) from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _side_file(location: str, folder: Path, what: str) -> Path:
    mend = "keep the weights in the folder of the .onnx file, and let it name them without a path"
    inside = folder.resolve()
    # Resolved, so that neither ".." nor a symbolic link leads out of the folder.
    try:
        path = (inside / location).resolve()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):
        path, is_file = inside, False
    if Path(location).is_absolute() or not path.is_relative_to(inside):
        raise GraphError(f"{what} is said to lie outside of the file's folder, at {location!r}", mend=mend)
    if not is_file:
        raise GraphError(f"{what} lies in a side file {location!r}, which is not there", mend=mend)
    return path
