"""A folder of models that NVIDIA's Triton Inference Server starts as it is, from a bundle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgeeff import regular
from edgeeff.backends.triton import Served
from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError, OutputError
from edgeeff.files import refuse_unwritable, refuse_within, scratch_folder, writing

CONFIG = "config.pbtxt"


@dataclass(frozen=True)
class Written:
    """A model in a repository.

    Args:
        folder: The model's.
        backend: Of Triton's, which loads it.
        warnings: What of the bundle the server cannot be told, a sentence each.
    """

    folder: Path
    backend: str
    warnings: tuple[str, ...]


def triton(bundle: Bundle, models: Path, backend: str | None = None) -> Written:
    """Put a bundle into a model repository, which ``tritonserver --model-repository=MODELS`` then starts.

    Args:
        bundle: Its files are copied, and it stays as it is.
        models: The repository; it is made, and may hold other models. One of the bundle's name is replaced if
            it was written from that bundle.
        backend: Of Triton's: ``tensorrt`` (its engine has to be built before), ``openvino``, ``onnxruntime``;
            None: the one of the bundle's runtime.

    Raises:
        OptionError: Triton has no such backend for this bundle.
        BundleError: It was altered, or was built before bundles could be served.
        MissingFileError: Its engine is not built.
        OutputError: The folder cannot be written, is in the bundle, or holds another model of that name.
    """
    runtime = bundle.runtime
    if not runtime.offers("serve"):
        raise OptionError(
            f"Triton has no backend for bundles of {runtime.name}",
            mend="build for a target of OpenVINO (cpu-int8) or TensorRT (gpu-int8), and serve that bundle",
        )
    part = runtime.part("serve")
    known = tuple(part.backends())
    chosen = known[0] if backend is None else backend
    if chosen not in known:
        raise OptionError(
            f"--triton-backend {chosen}: Triton serves bundles of {runtime.name} by {' or '.join(known)}",
            mend=f"take {known[-1]}, or leave the option out",
        )
    refuse_within(models, bundle.folder)
    bundle.refuse_altered()
    served: Served = part.files(bundle.folder, bundle.manifest, chosen)
    folder = models / bundle.name
    _refuse_others(folder, bundle.name, served)
    refuse_unwritable(models)
    _put(folder, served)
    return Written(folder, chosen, served.warnings)


def _put(folder: Path, served: Served) -> None:
    """Write a model's folder whole or not at all, in the place of one that is there."""
    with scratch_folder(folder.parent) as scratch, writing(folder):
        made = scratch / "new"
        for name, content in served.files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copyfile(content, path)
        if folder.is_dir():
            folder.rename(scratch / "old")
        made.rename(folder)


def _refuse_others(folder: Path, name: str, served: Served) -> None:
    """Refuse to replace what was not written from this bundle.

    Raises:
        OutputError: It would be.
    """
    if "/" in name or name in (".", "..") or name.startswith("."):
        raise OutputError(f"a model of Triton cannot be called {name!r}", mend="build with another --name")
    if not folder.is_symlink() and not regular.exists(folder):
        return
    config = folder / CONFIG
    if folder.is_symlink() or not regular.is_file(config) or _first(config) != _first(served.files[CONFIG]):
        raise OutputError(
            f"{folder} is there already, and was not written from this bundle",
            mend="take it away, or name another folder",
        )


def _first(config: Path | bytes) -> bytes:
    """The first line of a configuration: the bundle's title."""
    if isinstance(config, bytes):
        return config.split(b"\n", 1)[0]
    with config.open("rb") as file:
        return file.readline(4096).rstrip(b"\n")
