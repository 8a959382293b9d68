"""From a checkpoint's tensors to those of one network, or to what exactly does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import catalog, namings
from edgeeff.zoo.architecture import Architecture, Shape
from edgeeff.zoo.catalog import ModelSpec

_SHOWN = 3  # tensors named in a message for each kind of misfit


@dataclass(frozen=True)
class Fitted:
    """A network's tensors by our names, float32, and the naming that the file had."""

    tensors: dict[str, Tensor]
    naming: str


def fit(tensors: Mapping[str, Tensor], spec: ModelSpec, path: Path) -> Fitted:
    """Translate a checkpoint's tensors to the network's, all of them and nothing else.

    Args:
        tensors: By the names they have in the file.
        spec: The network they should be of, with any number of classes.
        path: Of the file, for messages.

    Raises:
        CheckpointError: Of another architecture, in an unknown naming, quantised, or not finite.
    """
    keys = [key for key in tensors if not key.endswith("num_batches_tracked")]
    translation = namings.translate(keys, spec.architecture)
    if translation is None:
        raise CheckpointError(
            f"{path} is no EfficientNet in a naming that is known: its tensors are {_some(keys)}",
            mend=f"rename the tensors to one of the namings {', '.join(namings.names())}",
        )
    misfits = _misfits(translation, tensors, spec.architecture)
    if misfits:
        raise CheckpointError(
            f"{path} is not a checkpoint of {spec.name}: {'; '.join(misfits)}",
            mend=_nearest(tensors, keys)
            or f"pass a checkpoint of {spec.name}, whole and with its classifier",
        )
    for key in translation.ours:
        _check_values(tensors[key], key, path)
    # In the network's own order, so that what follows does not depend on the file's.
    keys_of = {ours: key for key, ours in translation.ours.items()}
    ordered = {name: tensors[keys_of[name]] for name in spec.architecture.tensors(0)}
    return Fitted(
        tensors={name: value.detach().to(torch.float32).contiguous() for name, value in ordered.items()},
        naming=translation.naming,
    )


def _misfits(
    translation: namings.Translation, tensors: Mapping[str, Tensor], architecture: Architecture
) -> list[str]:
    """One phrase for each kind of misfit; empty if the tensors are the architecture's."""
    shapes = {ours: tuple(tensors[key].shape) for key, ours in translation.ours.items()}
    head = shapes.get("classifier.weight", ())
    expected = architecture.tensors(classes=head[0] if head else 0)
    missing = [name for name in expected if name not in shapes]
    extra = [
        *translation.unexpected,
        *(key for key, ours in translation.ours.items() if ours not in expected),
    ]
    differing = [
        f"{name} {_dimensions(shapes[name])} instead of {_dimensions(expected[name])}"
        for name in expected
        if name in shapes and shapes[name] != expected[name]
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    return [f"{len(found)} {kind} ({_some(found)})" for kind, found in kinds.items() if found]


def _nearest(tensors: Mapping[str, Tensor], keys: Sequence[str]) -> str | None:
    """The advice to name another network, if the checkpoint fits one."""
    for name in catalog.names():
        architecture = catalog.get(name).architecture
        translation = namings.translate(keys, architecture)
        if translation and not _misfits(translation, tensors, architecture):
            return f"all tensors fit {name}: pass --model {name}"
    return None


def _check_values(tensor: Tensor, key: str, path: Path) -> None:
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        raise CheckpointError(
            f"{path}: {key} is {str(tensor.dtype).removeprefix('torch.')}, not a floating-point tensor",
            mend="pass the float checkpoint from before quantisation or pruning",
        )
    if not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"{path}: {key} holds NaN or infinite values",
            mend="pass a checkpoint from before the training diverged",
        )
    if key.endswith("running_var") and (tensor < 0).any():
        raise CheckpointError(
            f"{path}: {key} holds negative variances", mend="pass a checkpoint that is not damaged"
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown


def _dimensions(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"
