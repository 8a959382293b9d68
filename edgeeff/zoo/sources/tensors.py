"""Checkpoints: named tensors, in any naming, that fill a network of the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff.zoo import chosen
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.sources import Asked, Identity
from edgeeff.zoo.sources._content import sha256

if TYPE_CHECKING:
    import onnx_ir as ir

PRECEDENCE = 9  # whatever exists and is nothing else
_WEIGHTS = (".json", ".safetensors", ".bin", ".pt", ".pth", ".h5", ".txt")  # what counts of a folder


def claims(source: str) -> bool:
    """Any file or folder that exists."""
    return Path(source).expanduser().exists()


def digest(asked: Asked, source: str) -> str:
    """SHA-256 over the content of the file, or of all files of the folder with their names."""
    return sha256(_files(Path(source).expanduser()))


def identify(asked: Asked, source: str) -> Identity:
    """Read a checkpoint and find which network it is of, and whose.

    Raises:
        CheckpointError: It is damaged, unsafe to load, or of no network or another one.
    """
    from edgeeff.zoo import checkpoints

    checkpoint = checkpoints.read(
        Path(source).expanduser(), asked.model, chosen.read(asked.prefix, asked.head)
    )
    origin = checkpoint.origin
    own = origin.conventions
    conventions = Conventions(
        padding=asked.padding or own.padding,
        epsilon=asked.epsilon or own.epsilon,
        fused=None if asked.padding else own.fused,
    )
    return Identity(
        kind=__name__.rpartition(".")[2],
        source=source,
        model=checkpoint.spec.name,
        origin=origin.source,
        preprocess=origin.preprocess,
        classes=checkpoint.classes,
        labels=checkpoint.labels,
        conventions=conventions,
        assumed=origin.assumed,
        warnings=origin.warnings,
        said=origin.said,
    )


def graph(asked: Asked, identity: Identity, size: tuple[int, int]) -> ir.Model:
    """The float base graph of the network that the checkpoint fills, for images of ``size``."""
    from edgeeff.graph.export import base_graph
    from edgeeff.zoo import checkpoints

    which = chosen.read(asked.prefix, asked.head)
    checkpoint = checkpoints.read(Path(identity.source).expanduser(), asked.model, which)
    return base_graph(checkpoint.network(size, identity.conventions), size)


def _files(path: Path) -> list[Path]:
    """The file; of a folder or an index of shards, all in the folder that weights can be in."""
    if path.is_file() and not path.name.endswith(".index.json"):
        return [path]
    folder = path if path.is_dir() else path.parent
    return sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in _WEIGHTS)
