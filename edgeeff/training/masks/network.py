"""A segmenter on a trained encoder: a classifier's trunk with a new decoder, or a segmenter with its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.pipeline.stages.identity import Source
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.training import trunk
from edgeeff.training.trunk import Moments
from edgeeff.zoo import catalog, segmentation, sources
from edgeeff.zoo.blocks import ConvNorm
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.segmenter import BACKBONE, DECODER, Segmenter
from edgeeff.zoo.segmentation.spec import SegmenterSpec, decoder_named
from edgeeff.zoo.sources import Identity
from edgeeff.zoo.spec import ModelSpec

#: Decoders that learn from photos here.
USUAL = "lraspp"


@dataclass(frozen=True)
class Made:
    """A segmenter to be trained.

    Args:
        network: In eval mode.
        spec: Which one.
        conventions: How it computes what its tensors do not say.
        kept: Classes that it knew already, whose part of the last layer is kept.
    """

    network: Segmenter
    spec: SegmenterSpec
    conventions: SegmenterConventions
    kept: tuple[str, ...] = ()


def segmenter(
    source: Source, arch: str, size: tuple[int, int], classes: Sequence[str], decoder: str | None, seed: int
) -> Made:
    """The network that learns.

    Args:
        source: A checkpoint of a classifier, whose trunk becomes the encoder.
        arch: The name of its network.
        size: Height and width of its images.
        classes: Names, in the order of the outputs.
        decoder: Which one; None: :data:`USUAL`.
        seed: Of new weights.

    Raises:
        CheckpointError: The source is no checkpoint of tensors, or a detector's.
        OptionError: No such decoder, or no such size is possible.
    """
    identity = source.identity
    if identity.kind != "tensors":
        raise CheckpointError(
            f"{identity.source} is a graph or a program, and training needs a network's tensors",
            mend="pass the checkpoint that it was made from (.pt, .safetensors, .h5, .keras)",
        )
    if identity.geometry is not None:
        raise CheckpointError(
            f"{identity.source} is a detector, and the photos have masks",
            mend="pass a classifier's checkpoint, or photos with boxes",
        )
    trained = sources.room("tensors").network(source.asked, identity, size)
    if isinstance(trained, Segmenter):
        return _renewed(source, trained, classes, decoder, seed)
    spec = catalog.get(arch)
    assert isinstance(spec, ModelSpec)
    own = identity.conventions
    found = SegmenterSpec(spec, decoder_named(decoder or USUAL))
    conventions = found.conventions
    if isinstance(own, Conventions):
        conventions = replace(conventions, backbone=own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = segmentation.build(
            spec, found.decoder, len(classes), size, conventions.backbone, trained.stem.conv.in_channels
        )
    held = {name.removeprefix(BACKBONE) for name in network.state_dict() if name.startswith(BACKBONE)}
    network.backbone.load_state_dict({n: t for n, t in trained.state_dict().items() if n in held})
    return Made(_in_rgb(network, source), found, conventions)


def _renewed(
    source: Source,
    network: Segmenter,
    classes: Sequence[str],
    decoder: str | None,
    seed: int,
) -> Made:
    """A trained segmenter with a last layer for these classes; what it knew of some of them is kept."""
    identity, spec = source.identity, catalog.get(source.identity.model)
    assert isinstance(spec, SegmenterSpec)
    conventions: Any = identity.conventions
    if decoder is not None and decoder != spec.decoder:
        raise OptionError(
            f"--decoder {decoder}, and {identity.source} has {spec.decoder}",
            mend="leave it out, or begin with a classifier's checkpoint",
        )
    old = identity.labels or ()
    places = {name: number for number, name in enumerate(old)}
    random = torch.Generator().manual_seed(seed)
    outputs = identity.classes
    for layer in network.decoder.modules():
        if isinstance(layer, nn.Conv2d) and layer.out_channels == outputs and layer.bias is not None:
            _replaced(layer, [places.get(name) for name in classes], random)
    kept = tuple(name for name in classes if name in places)
    return Made(_in_rgb(network, source), spec, conventions, kept)


def _replaced(layer: nn.Conv2d, places: Sequence[int | None], random: torch.Generator) -> None:
    """Give a classifier of pixels other outputs: those of these places, and new ones."""
    assert layer.bias is not None
    weight, bias = layer.weight.detach(), layer.bias.detach()
    new = torch.empty(len(places), *weight.shape[1:])
    new.normal_(0, weight[0].numel() ** -0.5 / 4, generator=random)
    zeros = torch.zeros(len(places))
    for number, place in enumerate(places):
        if place is not None:
            new[number], zeros[number] = weight[place], bias[place]
    layer.weight, layer.bias, layer.out_channels = nn.Parameter(new), nn.Parameter(zeros), len(places)


def _in_rgb(network: Segmenter, source: Source) -> Segmenter:
    if source.asked.channels == "bgr":  # what is trained takes RGB, as every bundle does
        stem = network.backbone.stem.conv
        stem.weight = nn.Parameter(stem.weight.detach().flip(1))
    found: Segmenter = network.eval()
    return found


def identity_of(identity: Identity, made: Made) -> Identity:
    """What a checkpoint says of the network: the encoder's origin, and a segmenter's conventions."""
    conventions: Any = made.conventions
    return replace(identity, model=made.spec.name, conventions=conventions)


def moments(network: Segmenter, preprocess: Preprocess, pixels: Pixels) -> Moments:
    """What batch normalisation gives over some photos, by the names of its layers."""
    found = Moments()
    hooks = []

    def watch(name: str) -> Any:
        def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
            del module, inputs
            found.sums[name] = trunk.sums(output)

        return add

    for name, module in network.named_modules():
        if isinstance(module, ConvNorm):
            hooks.append(module.norm.register_forward_hook(watch(name)))
    try:
        with torch.inference_mode():
            network(trunk.inputs(preprocess, pixels))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def begin_decoder(network: Segmenter, preprocess: Preprocess, pixels: Pixels) -> None:
    """Let a new decoder's batch normalisation begin with what photos give: behind it mean 0, variance 1."""
    for name, module in network.named_modules():
        if name.startswith(DECODER) and isinstance(module, ConvNorm):
            given = moments(network, preprocess, pixels).sums[name]
            mean, square = torch.from_numpy(given[0] / given[2]), torch.from_numpy(given[1] / given[2])
            norm = module.norm
            assert norm.running_mean is not None
            assert norm.running_var is not None
            with torch.no_grad():  # behind an identity it gives what the convolution gives
                scale = (norm.running_var.double() + norm.eps).sqrt()
                norm.running_mean.copy_(mean * scale + norm.running_mean.double())
                norm.running_var.copy_((square - mean.square()).clamp(min=1e-6) * scale.square())
