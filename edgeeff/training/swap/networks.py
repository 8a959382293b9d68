"""Teacher and student: one network, and the same with another activation."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.pipeline.stages.identity import Source
from edgeeff.zoo import sources
from edgeeff.zoo.blocks import ConvNorm, SqueezeExcite
from edgeeff.zoo.efficientnet import ACTIVATIONS, EfficientNet
from edgeeff.zoo.spec import SWAPPED, Activation

#: Values that a part of a batch holds for its gradients, at most: some 400 MB with what goes with them.
_MOST_VALUES, _MOST_IMAGES = 32_000_000, 8


def teacher(source: Source, size: tuple[int, int]) -> EfficientNet:
    """The network of a source as it is, in eval mode; nothing of it learns.

    Raises:
        CheckpointError: The source is no checkpoint of tensors, a detector's, or has hidden layers.
    """
    identity = source.identity
    if identity.kind != "tensors":
        raise CheckpointError(
            f"{identity.source} is a graph or a program, and its activations cannot be replaced",
            mend="pass the checkpoint that it was made from (.pt, .safetensors, .h5, .keras)",
        )
    if identity.geometry is not None:
        raise CheckpointError(
            f"{identity.source} is a detector, and --activation is for classifiers", mend="leave it out"
        )
    network = sources.room("tensors").network(source.asked, identity, size)
    if not isinstance(network, EfficientNet) or len(network.hidden):
        raise CheckpointError(
            f"{identity.source} has hidden layers in its head, which --activation does not know",
            mend="train a head of one layer first: edgeeff finetune without --activation",
        )
    if source.asked.channels == "bgr":  # what is trained takes RGB, as every bundle does
        network.stem.conv.weight = nn.Parameter(network.stem.conv.weight.detach().flip(1))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


def chosen(name: str, network: EfficientNet) -> Activation:
    """The activation of that name, which the network is to have instead of its own.

    Raises:
        OptionError: It is none that a network can be given, or the network's own.
    """
    if name not in SWAPPED:
        raise OptionError(f"--activation {name!r:.40}", mend=f"choose {' or '.join(SWAPPED)} (experimental)")
    activation: Activation = name
    if network.stem.activation is ACTIVATIONS[activation]:
        raise OptionError(
            f"--activation {name}, which the network has already",
            mend="leave it out; a network with Swish is what gains by it",
        )
    return activation


def with_activation(network: EfficientNet, activation: Activation) -> EfficientNet:
    """A copy of a network with another activation, that of squeeze-and-excite included; all of it learns."""
    found = copy.deepcopy(network)
    for module in found.modules():
        if isinstance(module, ConvNorm | SqueezeExcite) and module.activation is not None:
            module.activation = ACTIVATIONS[activation]
    for parameter in found.parameters():
        parameter.requires_grad_(True)
    return found


def rows(network: EfficientNet) -> Iterator[tuple[str, nn.Module]]:
    """What computes one after another until the pooled features: stem, blocks, head."""
    yield "stem", network.stem
    for name, block in network.blocks.named_children():
        yield f"blocks.{name}", block
    yield "head", network.head


def logits(network: EfficientNet, features: Tensor) -> Tensor:
    """Of what the last of :func:`rows` makes, [N, classes]."""
    found: Tensor = network.classifier(torch.flatten(network.pool(features), 1))
    return found


def images_of_a_part(network: EfficientNet, size: tuple[int, int]) -> int:
    """How many images are computed together, so that what their gradients need fits the memory."""
    values = 0

    def count(_: nn.Module, __: object, made: Tensor) -> None:
        nonlocal values
        values += 3 * made.numel()  # convolution, batch normalisation, activation

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, ConvNorm)]
    try:
        with torch.no_grad():
            channels = network.stem.conv.in_channels
            copy.deepcopy(network).to("meta")(torch.zeros(1, channels, *size, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, min(_MOST_IMAGES, _MOST_VALUES // max(1, values)))
