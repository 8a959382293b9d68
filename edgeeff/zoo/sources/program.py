"""Networks that are code: TorchScript, torch.export programs, ``module:callable``. Run only when trusted.

A torch module that the program itself holds is one of them, and needs no trust: its code runs already.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff import digests, regular
from edgeeff.errors import GraphError
from edgeeff.zoo import archives, catalog
from edgeeff.zoo.sources import Asked, Identity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir
    import torch
    from torch import nn

    from edgeeff.graph.importing import Imported

PRECEDENCE = 2
_CALLABLE = re.compile(r"(?:[A-Za-z_][\w.]*|.+\.py):[A-Za-z_]\w*")
_SIDE = 224  # what a network is exported at where nobody says


def claims(source: str) -> bool:
    """A TorchScript or torch.export archive, told by its members, or ``module:callable``."""
    path = regular.path_of(source)
    if regular.exists(path):
        return regular.is_file(path) and archives.kind(path) is not None
    return _CALLABLE.fullmatch(source) is not None


def files(source: str) -> list[Path]:
    """The archive, or the Python file that a callable is in; a module's code may lie anywhere."""
    path = regular.path_of(source)
    named = path if regular.is_file(path) else regular.path_of(source.rpartition(":")[0])
    return [named] if regular.is_file(named) else []


def digest(asked: Asked, source: str) -> str:
    """SHA-256 of the archive; of a callable, whose code may lie anywhere, that of the graph it makes."""
    path = regular.path_of(source)
    if asked.module is None and regular.is_file(path):
        return digests.of_file(path)
    from edgeeff.graph.model import to_bytes

    return digests.of_bytes(to_bytes(_imported(asked, source, _size(asked))[1].model))


def identify(asked: Asked, source: str) -> Identity:
    """Load, run and export the network, and find its classes.

    Raises:
        OptionError: A tap that is not one of its outputs.
        CheckpointError: It is not trusted, does not load, or is no classifier.
        GraphError: It holds operators that are not supported.
    """
    from edgeeff.zoo.sources import onnx_file

    if asked.by_pixel:
        raise GraphError(
            f"{source} is code, and --task segmentation takes checkpoints and ONNX files",
            mend="export it with torch.onnx.export at the size of its images, and pass that file",
        )
    _, imported = _imported(asked, source, _size(asked))
    path = Path(source)
    stem, what = (
        (path.stem, path.name) if path.suffix and ":" not in source else (source.rpartition(":")[2], source)
    )
    return onnx_file.described(asked, imported, stem, source, f"program {what}", __name__)


def graph(asked: Asked, identity: Identity, size: tuple[int, int]) -> ir.Model:
    """The exported graph, made ours, and held against the network itself on a few images.

    Raises:
        GraphError: It holds operators that are not supported, or computes something else than the network.
    """
    import numpy as np
    import torch

    from edgeeff.graph import passes
    from edgeeff.graph.importing import comparing
    from edgeeff.zoo.program_features import Flat

    module, imported = _imported(asked, identity.source, size)
    passes.run(imported.model)

    def outputs(x: npt.NDArray[np.float32]) -> list[Any]:
        """What the network gives for each image of the graph's."""
        mean, std = imported.mean, imported.std
        if mean is not None and std is not None:
            x = x * np.array(std, np.float32).reshape(-1, 1, 1) + np.array(mean, np.float32).reshape(-1, 1, 1)
            x = x / np.float32(imported.original.divisor)
        try:
            with torch.no_grad():  # one by one, as it was exported
                return [module(torch.from_numpy(one[None])) for one in x]
        except Exception as error:  # whatever the user's code raises
            raise GraphError(
                f"{identity.source} does not run on an image: {type(error).__name__}: {error}",
                mend="mend the code: it ran on a black image",
            ) from None

    if imported.original.taps:
        assert isinstance(module, Flat)
        names = module.names

        def features(x: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
            columns = zip(*outputs(x), strict=True)
            return {name: torch.cat(column).numpy() for name, column in zip(names, columns, strict=True)}

        comparing.features_with_network(imported, features, identity.preprocess, identity.source)
        return imported.model
    comparing.with_network(
        imported,
        lambda x: np.concatenate([_row(output) for output in outputs(x)]),
        identity.preprocess,
        identity.source,
        ends_in=imported.original.ending.made,
    )
    return imported.model


def _row(output: torch.Tensor) -> npt.NDArray[np.float32]:
    """[1, classes]: networks of one logit often drop the axis of the classes."""
    row: npt.NDArray[np.float32] = output.reshape(1, -1).numpy()
    return row


def _imported(asked: Asked, source: str, size: tuple[int, int]) -> tuple[nn.Module, Imported]:
    from edgeeff.graph import importing
    from edgeeff.graph.export import foreign_to_onnx
    from edgeeff.zoo import programs

    if asked.module is not None:
        module = programs.held(asked.module, source)
    else:
        module = programs.load(source, trust=asked.trust)
    if asked.taps is not None:
        from edgeeff.zoo import program_features

        module, graph, taps = program_features.to_onnx(module, size, source, asked.taps)
        return module, importing.from_proto(graph, source, size, taps)
    return module, importing.from_proto(foreign_to_onnx(module, size, source), source, size)


def _size(asked: Asked) -> tuple[int, int]:
    if asked.size is not None:
        return asked.size
    side = catalog.get(asked.model).size if asked.model else _SIDE
    return side, side
