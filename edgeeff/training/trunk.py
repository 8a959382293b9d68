"""A trained network whose head is made anew, and what its trunk makes of photos.

Batch normalisation is frozen throughout: a few hundred photos are no statistics, and Keras and the literature
leave it as it is too. So the trunk can be run with batch normalisation folded into its convolutions, which is
the same function and takes 40 % less time.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgeeff.errors import CheckpointError
from edgeeff.pipeline.stages.identity import Source
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.zoo import sources
from edgeeff.zoo.blocks import ConvNorm
from edgeeff.zoo.efficientnet import EfficientNet

#: Images that are run together, on one thread.
TOGETHER = 8


def classifier(source: Source, size: tuple[int, int], classes: int, seed: int) -> EfficientNet:
    """The network of a source, in eval mode, with an untrained classifier for other classes.

    Args:
        source: A checkpoint of a classifier.
        size: Height and width of its images.
        classes: Outputs of the new classifier.
        seed: Of its first weights.

    Raises:
        CheckpointError: The source is no checkpoint of tensors, or a detector's.
    """
    identity = source.identity
    if identity.kind != "tensors":
        raise CheckpointError(
            f"{identity.source} is a graph or a program, and training needs a network's tensors",
            mend="pass the checkpoint that it was made from (.pt, .safetensors, .h5, .keras)",
        )
    if identity.geometry is not None:
        raise CheckpointError(
            f"{identity.source} is a detector, and the photos have classes, no boxes",
            mend="pass a classifier's checkpoint, or photos with boxes",
        )
    network = sources.room("tensors").network(source.asked, identity, size)
    width = network.head.conv.out_channels
    network.hidden, network._between = nn.Sequential(), []
    network.classifier = nn.Linear(width, classes)
    with torch.no_grad():
        random = torch.Generator().manual_seed(seed)
        network.classifier.weight.normal_(0, width**-0.5 / 4, generator=random)
        network.classifier.bias.zero_()
        if source.asked.channels == "bgr":  # what is trained takes RGB, as every bundle does
            network.stem.conv.weight = nn.Parameter(network.stem.conv.weight.flip(1))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    found: EfficientNet = network.eval()
    return found


def pooled(network: EfficientNet, x: Tensor) -> Tensor:
    """Normalised images [N, C, H, W] to what the classifier reads, [N, features]."""
    return torch.flatten(network.pool(network.head(network.blocks(network.stem(x)))), 1)


def inputs(preprocess: Preprocess, pixels: Pixels) -> Tensor:
    """Raw pixels uint8 [N, H, W, C] to the network's input."""
    return torch.from_numpy(preprocess.normalise(pixels))


def folded(network: EfficientNet) -> EfficientNet:
    """A copy that computes the same, batch normalisation in its convolutions."""
    found = copy.deepcopy(network)
    for module in found.modules():
        if isinstance(module, ConvNorm):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()  # type: ignore[assignment]
    return found.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def features(
    network: EfficientNet, preprocess: Preprocess, pixels: Pixels, pool: ThreadPoolExecutor
) -> npt.NDArray[np.float32]:
    """What the classifier would read of some photos, [N, features]: :data:`TOGETHER` at a time."""
    parts = [pixels[start : start + TOGETHER] for start in range(0, len(pixels), TOGETHER)]

    def run(part: Pixels) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            x = inputs(preprocess, part).contiguous(memory_format=torch.channels_last)
            return pooled(network, x).numpy()

    found = list(pool.map(run, parts))
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


@dataclass
class Moments:
    """What batch normalisation gives over photos that were run, channel by channel.

    Args:
        sums: By the name of the convolution: Σy, Σy² and the number of values, float64 [3, C].
    """

    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def add(self, other: Moments) -> None:
        """Add those of other photos."""
        for name, values in other.sums.items():
            self.sums[name] = self.sums[name] + values if name in self.sums else values

    def parts(self) -> dict[str, bytes]:
        """As an entry of the cache."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **self.sums)
        return {"sums.npz": buffer.getvalue()}

    @classmethod
    def from_parts(cls, parts: Mapping[str, bytes]) -> Moments:
        """The reverse of :meth:`parts`."""
        with np.load(io.BytesIO(parts["sums.npz"]), allow_pickle=False) as arrays:
            return cls({name: arrays[name] for name in arrays.files})


def moments(network: EfficientNet, preprocess: Preprocess, pixels: Pixels) -> Moments:
    """Those of some photos; of a network that several threads run, each with photos of its own."""
    found = Moments()
    if not len(pixels):
        return found
    with torch.inference_mode():
        x = inputs(preprocess, pixels).contiguous(memory_format=torch.channels_last)
        for name, module in (
            ("stem", network.stem),
            *network.blocks.named_children(),
            ("head", network.head),
        ):
            parts = [(name, module)] if isinstance(module, ConvNorm) else module.named_children()
            skip = x
            for part, layer in parts:
                if isinstance(layer, ConvNorm):
                    y = layer.norm(layer.conv(x))
                    found.sums[name if part == name else f"blocks.{name}.{part}"] = sums(y)
                    x = y if layer.activation is None else layer.activation(y)
                else:
                    x = layer(x)
            if getattr(module, "residual", False):
                x = skip + x
    return found


def sums(y: Tensor) -> npt.NDArray[np.float64]:
    """Σy, Σy² and the number of values of each channel of [N, C, H, W], float64 [3, C]."""
    wide = y.double()
    count = torch.full((y.shape[1],), y.numel() // y.shape[1], dtype=torch.float64)
    return torch.stack([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count]).numpy()


def remember(network: nn.Module, moments: Moments) -> None:
    """Let batch normalisation remember what these photos give, without changing what it computes.

    γ·(x − μ) ÷ s + β, with s² = σ² + ε, is the same for every μ and σ if γ and β follow: γ' = γ·s' ÷ s and
    β' = β + γ·(μ' − μ) ÷ s. So a network whose trunk was frozen says of its own training photos what it would
    otherwise say of those that the trunk was trained on before; and a build can tell photos of another domain
    (:mod:`edgeeff.calibration.domain`). Channels that are switched off, or give one value, stay as they are.
    """
    for name, module in network.named_modules():
        if isinstance(module, ConvNorm) and name in moments.sums:
            restate(module.norm, moments.sums[name])


def restate(norm: nn.BatchNorm2d, given: npt.NDArray[np.float64]) -> None:
    """The same for one batch normalisation, of what it gives (:func:`sums`)."""
    first, second, count = given
    mean_y, square = torch.from_numpy(first / count), torch.from_numpy(second / count)
    var_y = (square - mean_y.square()).clamp(min=0)
    gamma, beta, mean, var = (
        t.detach().double()
        for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if t is not None
    )
    s = (var + norm.eps).sqrt()
    steady = (gamma.abs() > 1e-4 * gamma.abs().max()) & (var_y > 0)
    back = torch.where(steady, s / gamma, torch.zeros_like(s))
    new_mean = torch.where(steady, mean + (mean_y - beta) * back, mean)
    new_var = torch.where(steady, var_y * back.square(), var)
    new_s = (new_var + norm.eps).sqrt()
    with torch.no_grad():
        norm.weight.copy_(gamma * new_s / s)
        norm.bias.copy_(beta + gamma * (new_mean - mean) / s)
        norm.running_mean.copy_(new_mean)  # type: ignore[union-attr]
        norm.running_var.copy_(new_var)  # type: ignore[union-attr]


def tensors(network: nn.Module) -> Mapping[str, Tensor]:
    """What a checkpoint holds of a network, by our names, in their order."""
    return {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
