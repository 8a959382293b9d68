"""The features of a network that is code: its own outputs, chosen by their strides or names.

What a program computes inside has no names that a user could know, so only what it returns is put out: one
tensor, or any nest of lists, tuples and dictionaries of them, as timm's ``features_only`` networks and
torchvision's feature extractors return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log2
from typing import Any

import onnx
import torch
from torch import nn

from edgeeff.errors import GraphError, OptionError
from edgeeff.graph.export import dry_run, exported
from edgeeff.tasks import EMBEDDING
from edgeeff.zoo.taps import UNIT


class Flat(nn.Module):
    """A network that returns one tuple of tensors.

    Args:
        module: Returns tensors in any nest.
        names: What each of them is called, in their order.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.training = False
        self.module = module
        self.names = tuple(names)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Its outputs, in their order."""
        return tuple(value for _, value in _each(self.module(x), ""))


def to_onnx(
    module: nn.Module, size: tuple[int, int], name: str, wished: Sequence[str]
) -> tuple[Flat, onnx.ModelProto, tuple[str, ...]]:
    """Export a network with all of its outputs.

    Args:
        module: The network.
        size: Height and width of its images.
        name: Of it, for messages.
        wished: Taps; none: all outputs.

    Returns:
        The network with its outputs as one tuple; its graph; and the graph's outputs that are tapped, as
        :mod:`edgeeff.graph.importing.features` reads them.

    Raises:
        GraphError: It does not run or export, or gives something else than maps and vectors.
        OptionError: A tap that is none of its outputs, or not one of them alone.
    """
    outputs = dry_run(module, size, name)
    found = dict(_each(outputs, ""))
    wrong = [key for key, value in found.items() if value.dim() not in (2, 4) or len(value) != 1]
    if wrong or not found:
        shapes = ", ".join(f"{key} {list(value.shape)}" for key, value in found.items()) or "no tensor"
        raise GraphError(
            f"{name} gives {shapes} for one image",
            mend="wrap it so that it returns maps [N, C, H, W] and vectors [N, C] alone",
        )
    named = {key: _stride(value, size) for key, value in found.items()}
    taps = tuple(_chosen(tap, named, name) for tap in wished)
    flat = Flat(module, [*found])
    # The exporter takes tuples and lists apart itself, and cannot trace a TorchScript module in another one.
    return flat, exported(flat if _has_names(outputs) else module, size, name, list(found)), taps


def _has_names(outputs: Any) -> bool:
    if isinstance(outputs, (list, tuple)):
        return any(map(_has_names, outputs))
    return isinstance(outputs, Mapping)


def _each(outputs: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in a nest, called by where it is: ``output_0``, ``output_p3``."""
    if isinstance(outputs, torch.Tensor):
        yield name or "output", outputs
    elif isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from _each(value, f"{name or 'output'}_{key}")
    elif isinstance(outputs, (list, tuple)):
        for index, value in enumerate(outputs):
            yield from _each(value, f"{name or 'output'}_{index}")


def _stride(value: torch.Tensor, size: tuple[int, int]) -> str:
    """The tap that an output would be of a network of the zoo: ``8``, ``embedding``."""
    return EMBEDDING if value.dim() == 2 else str(2 ** round(log2(size[0] / value.shape[2])))


def _chosen(tap: str, named: Mapping[str, str], name: str) -> str:
    plain = tap if tap in named else tap.removesuffix(UNIT)
    suffix = tap[len(plain) :]
    fitting = [plain] if plain in named else [key for key, kind in named.items() if kind == plain]
    if len(fitting) == 1:
        return fitting[0] + suffix
    listed = ", ".join(f"{key} ({kind})" for key, kind in named.items())
    several = f"{len(fitting)} outputs of it are" if fitting else "no output of it is"
    raise OptionError(
        f"--taps {tap}: {name} is a program, and {several} {plain}",
        mend=f"it returns {listed}: name one of these, or let it return what is wanted; or save its weights "
        "(state_dict) and build from these with --model",
    )
