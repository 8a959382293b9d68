"""Trained weights: where they come from, and a network filled with them.

Only :func:`load` imports torch; :func:`resolve` and :func:`digest` are cheap enough to ask whether a
build is up to date.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.zoo.catalog import ModelSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Loaded:
    """A network with its trained weights.

    Args:
        module: In eval mode, float32, on the CPU.
        classes: The classifier's outputs.
        labels: Their names, if the checkpoint has them.
        digest: SHA-256 of the checkpoint file, hexadecimal.
        naming: Whose names the file's tensors had (a file of ``namings/``).
    """

    module: nn.Module
    classes: int
    labels: tuple[str, ...] | None
    digest: str
    naming: str


def resolve(spec: ModelSpec, path: Path | None) -> Path:
    """The checkpoint file: ``path``, or what an installed wheel carries for the network.

    Raises:
        MissingFileError: There is no such file, or none was named and no wheel carries one.
    """
    if path is None:
        return _from_wheel(spec)
    path = path.expanduser()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise MissingFileError(
            f"checkpoint {path} {what}", mend="pass the path of a .pt, .pth or .safetensors file"
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise MissingFileError(
            f"checkpoint {path} cannot be read: {error.strerror}", mend="mend the file's permissions"
        ) from None
    return path


def digest(path: Path) -> str:
    """SHA-256 of the file, hexadecimal."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def load(spec: ModelSpec, path: Path | None, size: tuple[int, int] | None = None) -> Loaded:
    """The network of ``spec`` with trained weights, for inputs of ``size`` (height, width) or its own.

    Args:
        spec: The network; the number of classes is the checkpoint's.
        path: A .pt, .pth or .safetensors file: a state_dict, alone or under a usual key, in any naming
            of ``namings/``. Of a network and its moving average the average is taken. None takes the
            weights that an installed wheel carries.
        size: Of the images; padding depends on it, weights do not.

    Raises:
        MissingFileError: There is no such file.
        CheckpointError: It is damaged, unsafe to load, or of another architecture.
    """
    from edgeeff.zoo import efficientnet, fitting, weights_file

    path = resolve(spec, path)
    file = weights_file.read(path)
    fitted = fitting.fit(file.tensors, spec, path)
    classes = fitted.tensors["classifier.weight"].shape[0]
    if file.labels is not None and len(file.labels) != classes:
        raise CheckpointError(
            f"{path} names {len(file.labels)} classes, but its classifier has {classes} outputs",
            mend="correct the list of classes in the checkpoint, or save the state_dict without it",
        )
    module = efficientnet.trained(spec, fitted.tensors, size or (spec.size, spec.size))
    return Loaded(
        module=module, classes=classes, labels=file.labels, digest=digest(path), naming=fitted.naming
    )


def _from_wheel(spec: ModelSpec) -> Path:
    package = spec.weights_package
    if package is None:
        raise MissingFileError(
            f"no weights for {spec.name}: no package carries them",
            mend=f"pass --checkpoint FILE, a state_dict of EfficientNet-{spec.name.title()} "
            "(.pt, .pth or .safetensors)",
        )
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        files = sorted(Path(folder).glob("models/*.pth"))
        if files:
            return files[0]
    raise MissingFileError(
        f"no weights for {spec.name}: the package that carries them is not installed",
        mend=f"pip install {package.replace('_', '-')}, or pass --checkpoint FILE",
    )
