"""Checkpoint files, one module for each format, found by listing the folder; none runs what is in a file.

A format is a module with two functions: ``claims(path, start) -> bool``, told by the file's first bytes
before its name, and ``read(path) -> WeightsFile``. Modules that begin with an underscore are their parts.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from edgeeff import regular
from edgeeff.detection import Geometry
from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.heads import Layer
from edgeeff.zoo.segmentation.conventions import SegmenterConventions

BRING = "bring the file again, and compare its size and checksum with the source's"
#: What lies in a folder that the Hugging Face hub filled, the best first.
HUB_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")

_START = 64
_TENSORFLOW = re.compile(r"\.(?:index|meta|data-\d+-of-\d+)$")
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class WeightsFile:
    """What a checkpoint holds.

    Args:
        tensors: By the names they have in the file, in torch's layout (convolutions OIHW, linear
            [out, in]), on the CPU, in the file's precision.
        labels: The names of the classes, if it says.
        said: The architecture's name as the file or its folder gives it.
        preprocess: What it says of preprocessing, only the keys it gives, of: ``size`` (height, width),
            ``mean`` and ``std`` (three floats on pixels of 0…255, RGB), ``crop`` (0…1), ``interpolation``,
            ``squash``, ``exif``, ``white``, ``letterbox``.
        head: The layers of its head in computing order, where the file itself says them (a Keras config);
            their tensors are not among ``tensors``. None: their names must say it.
        ordered: Whether ``tensors`` are in the order in which the network's layers were made.
        counts: How many classes it says there are: where it says so → the number.
        lines: What was chosen of it; a sentence each.
        warnings: What it says and was not taken, and why; what of it may well be wrong.
        ends_in: What stands after the logits, where the file says it: ``softmax``, ``sigmoid``.
        epsilon: Of the network's batch normalisation, where the file says it.
        static: The size (height, width) of the images that SAME's zeros were counted for, where the file
            keeps them as they were counted; None: they follow the images' size.
        conventions: Padding and epsilon, where the file says all of them; of a segmenter its encoder's,
            or its own.
        geometry: A detector's anchors, where the file says them.
        model: Which network it is of, where the file says it for certain; its tensors are held against that.
        network: The arguments that its network was made with, where it says them in the words of
            segmentation_models_pytorch.
        unsettled: Other values of ``--padding`` that may be meant, where the file says that it does not know.
    """

    tensors: dict[str, Tensor]
    labels: tuple[str, ...] | None = None
    said: str | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    head: tuple[Layer, ...] | None = None
    ordered: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ends_in: Literal["", "softmax", "sigmoid"] = ""
    epsilon: float | None = None
    static: tuple[int, int] | None = None
    conventions: Conventions | DetectorConventions | SegmenterConventions | None = None
    geometry: Geometry | None = None
    model: str | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    unsettled: tuple[str, ...] = ()


def names() -> list[str]:
    """The formats, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def read(path: Path) -> WeightsFile:
    """Read a checkpoint: a file, or a folder as the Hugging Face hub lays it out.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        CheckpointError: Empty, truncated, no checkpoint at all, or unsafe to load.
        MissingRuntimeError: The format needs a library that is not installed.
    """
    if regular.is_folder(path):
        path = _in_folder(path)
    start = beginning(path)
    for name in names():
        module = import_module(f"{__name__}.{name}")
        if module.claims(path, start):
            return _printable(path, module)
    if _TENSORFLOW.search(path.name):
        raise _tensorflow(path)
    raise CheckpointError(
        f"{path} is no checkpoint: it is neither a torch file, nor safetensors, nor Keras'",
        mend="pass a state_dict saved by torch.save (.pt, .pth), safetensors, or a Keras .h5 or .keras file",
    )


def beginning(path: Path) -> bytes:
    """The first bytes of a file, which has some and is no stand-in for another.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        CheckpointError: Empty, or a Git LFS pointer.
    """
    try:
        with regular.opened(path) as file:
            start = file.read(_START)
    except OSError as error:
        raise MissingFileError(
            f"checkpoint {path} cannot be read: {error.strerror}",
            mend="pass the path of a readable file",
        ) from None
    if not start:
        raise CheckpointError(f"{path} is empty", mend=BRING)
    if start.startswith(_LFS):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights", mend="run git lfs pull")
    return start


def _printable(path: Path, module: Any) -> WeightsFile:
    """Read the file; no name in it may steer the terminal that a message is printed to."""
    try:
        found: WeightsFile = module.read(path)
    except CheckpointError as error:
        what = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in error.what)
        raise CheckpointError(what, mend=error.mend) from None
    if not all(key.isprintable() for key in found.tensors):
        raise CheckpointError(f"{path} is damaged: it has tensors of unprintable names", mend=BRING)
    shown, lines = (tuple(filter(str.isprintable, texts)) for texts in (found.warnings, found.lines))
    said = found.said if found.said is None or found.said.isprintable() else None
    return replace(found, said=said, warnings=shown, lines=lines)


def _in_folder(folder: Path) -> Path:
    for name in HUB_FILES:
        if (folder / name).is_file():
            return folder / name
    if (folder / "saved_model.pb").is_file():
        raise CheckpointError(
            f"{folder} is a TensorFlow SavedModel, which is not read",
            mend='load it in Keras and save the model with model.save("model.keras")',
        )
    if any(_TENSORFLOW.search(file.name) for file in folder.iterdir()):
        raise _tensorflow(folder)
    raise CheckpointError(
        f"{folder} is a folder without a checkpoint: it holds none of {', '.join(HUB_FILES)}",
        mend="pass the checkpoint file itself, or the folder of a whole repository",
    )


def _tensorflow(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a TensorFlow checkpoint (.index and .data), which is not read",
        mend='restore it in TensorFlow with its moving average, and save that with model.save_weights("x.h5")'
        " (google/automl publishes a .h5 beside each of its checkpoints)",
    )
