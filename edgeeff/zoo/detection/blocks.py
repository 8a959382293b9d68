"""The parts that EfficientDets are made of, as torch modules.

A part's attributes are named as its tensors are in :meth:`DetectorArchitecture.tensors`, and appear under the
same names in an exported graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeeff.graph.padding import same_padding
from edgeeff.zoo.blocks import ActivationFunction, ConvNorm, Size
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.detection.pyramid import Node
from edgeeff.zoo.detection.spec import Resizing

_WINDOW, _STRIDE = 3, 2  # of max-pooling from one level to the next
_EPSILON = 1e-4  # of fast normalised fusion (Tan et al. 2020, section 3.3)


@dataclass(frozen=True)
class Shared:
    """What all parts of one detector have in common.

    Args:
        channels: Of the pyramid's features.
        activation: Before each convolution of a cell and behind each of a head.
        conventions: Padding and epsilon.
        resizing: Between levels.
        biases: Before batch normalisation.
        weighted: Whether nodes weight what they fuse.
    """

    channels: int
    activation: ActivationFunction
    conventions: DetectorConventions
    resizing: Resizing
    biases: bool
    weighted: bool

    def norm(self) -> nn.BatchNorm2d:
        """A batch normalisation of the pyramid's features."""
        return nn.BatchNorm2d(self.channels, eps=self.conventions.epsilon)


class MaxPool(nn.Module):
    """3×3 max-pooling of stride 2 of features of ``size`` (height, width), padded by convention."""

    def __init__(self, size: Size, conventions: DetectorConventions) -> None:
        super().__init__()
        if conventions.pooling == "same":
            (top, bottom), (left, right) = (same_padding(side, _WINDOW, _STRIDE) for side in size)
        else:
            top = bottom = left = right = _WINDOW // 2
        own = top == bottom and left == right and conventions.border == "nothing"
        self.pool = nn.MaxPool2d(_WINDOW, _STRIDE, (top, left) if own else 0)
        self.border = None if own else (left, right, top, bottom)
        self.value = 0.0 if conventions.border == "zeros" else float("-inf")

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, ⌈H ÷ 2⌉, ⌈W ÷ 2⌉]."""
        pooled: Tensor = self.pool(x if self.border is None else F.pad(x, self.border, value=self.value))
        return pooled


class Upsample(nn.Module):
    """Features of one size brought to a larger one. Doubling is written as such, so that a trace of it serves
    images of any size."""

    def __init__(self, size: Size, target: Size, resizing: Resizing) -> None:
        super().__init__()
        doubled = target == (2 * size[0], 2 * size[1])
        self.asked: dict[str, Any] = {"scale_factor": 2.0} if doubled else {"size": target}
        self.asked |= {"mode": "nearest"} if resizing == "nearest" else {"mode": "bilinear"}

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] to [N, C, H, W]."""
        return F.interpolate(x, **self.asked)


class Shrink(nn.Module):
    """Features halved bilinearly: of an even size that is the mean of each 2×2 pixels."""

    def __init__(self, size: Size, target: Size) -> None:
        super().__init__()
        self.target = None if size == (2 * target[0], 2 * target[1]) else target

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, h, w]."""
        if self.target is None:
            return F.avg_pool2d(x, _STRIDE)
        return F.interpolate(x, size=self.target, mode="bilinear")


class Resample(nn.Module):
    """Features of one level brought to a neighbouring one, and to the pyramid's channels."""

    def __init__(self, inputs: int, size: Size, target: Size, shared: Shared) -> None:
        super().__init__()
        self.project: ConvNorm | None = None
        if inputs != shared.channels:
            conv = nn.Conv2d(inputs, shared.channels, 1, bias=shared.biases)
            self.project = ConvNorm(conv, shared.conventions.epsilon, None)
        self.resize: nn.Module | None = None
        if size[0] > target[0] or size[1] > target[1]:
            nearest = shared.resizing == "nearest"
            self.resize = MaxPool(size, shared.conventions) if nearest else Shrink(size, target)
        elif size != target:
            self.resize = Upsample(size, target, shared.resizing)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, channels, H', W']."""
        y = x if self.project is None else self.project(x)
        return y if self.resize is None else self.resize(y)


def _depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


class Separable(nn.Module):
    """A depthwise 3×3 convolution and a pointwise one; neither normalised."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.depthwise = _depthwise(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H, W]."""
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Fusion(nn.Module):
    """A node of a cell: features fused, an activation, a separable convolution and batch normalisation.

    Once :meth:`fix` was called the weights of the fusion are numbers: the sum of wᵢ·xᵢ, wᵢ = relu(eᵢ) ÷ (Σ
    relu(e) + 1e-4), needs no other operators than Mul by a constant and Add.
    """

    def __init__(
        self, node: Node, inputs: Sequence[int], sizes: Sequence[Size], target: Size, shared: Shared
    ) -> None:
        super().__init__()
        self.sources = node.inputs
        self.inputs = nn.ModuleList(
            Resample(wide, size, target, shared) for wide, size in zip(inputs, sizes, strict=True)
        )
        if shared.weighted:
            self.weights = nn.Parameter(torch.ones(len(node.inputs)))
        self.weighted, self.activation, wide = shared.weighted, shared.activation, shared.channels
        self.depthwise = _depthwise(wide)
        self.pointwise = nn.Conv2d(wide, wide, 1, bias=shared.biases)
        self.norm = shared.norm()
        self._fixed: tuple[float, ...] | None = None

    def fix(self) -> None:
        """Take the weights of the fusion as they are now for numbers."""
        if self.weighted:
            self._fixed = tuple(self._normalised().tolist())

    def free(self) -> None:
        """Use the weights of the fusion as they are, whatever they become."""
        self._fixed = None

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The cell's features so far to [N, channels, H, W] of the node."""
        parts = [resize(features[source]) for source, resize in zip(self.sources, self.inputs, strict=True)]
        if self.weighted:
            factors = self._normalised() if self._fixed is None else self._fixed
            parts = [part * factor for part, factor in zip(parts, factors, strict=True)]
        fused = parts[0]
        for part in parts[1:]:
            fused = fused + part
        y: Tensor = self.norm(self.pointwise(self.depthwise(self.activation(fused))))
        return y

    def _normalised(self) -> Tensor:
        positive = torch.relu(self.weights.detach() if not self.training else self.weights)
        return positive / (positive.sum() + _EPSILON)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._fixed = None  # other weights than those that were fixed
        super()._load_from_state_dict(*args, **kwargs)


class Cell(nn.ModuleDict):
    """A cell of the pyramid: its nodes by their names, in the order in which they run."""

    def __init__(
        self, nodes: Sequence[Node], channels: Sequence[int], sizes: Sequence[Size], shared: Shared
    ) -> None:
        count = len(sizes)
        wide = [*channels, *(shared.channels for _ in nodes)]
        at = [*sizes, *(sizes[node.level] for node in nodes)]
        super().__init__(
            {
                node.name: Fusion(
                    node,
                    [wide[i] for i in node.inputs],
                    [at[i] for i in node.inputs],
                    sizes[node.level],
                    shared,
                )
                for node in nodes
            }
        )
        #: Of all features, those of each level that are put out.
        self._ends = tuple(range(len(nodes), len(nodes) + count))
        if shared.conventions.outputs == "down":
            levels = [node.level for node in nodes]
            self._ends = tuple(count + levels.index(level) for level in range(count))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of each level, finest first, to the same."""
        found = list(features)
        for node in self.values():
            found.append(node(found))
        return [found[end] for end in self._ends]


class Pyramid(nn.Module):
    """Coarser levels of the backbone's coarsest features, and cells one behind the other."""

    def __init__(
        self,
        cells: int,
        nodes: Sequence[Node],
        tapped: Sequence[int],
        sizes: Mapping[str, Size],
        shared: Shared,
    ) -> None:
        super().__init__()
        levels, wide = list(sizes), list(tapped)
        self.coarser = nn.ModuleDict()
        for level, before in zip(levels[len(tapped) :], levels[len(tapped) - 1 :], strict=False):
            self.coarser[level] = Resample(wide[-1], sizes[before], sizes[level], shared)
            wide.append(shared.channels)
        every = list(sizes.values())
        self.cells = nn.ModuleList(
            Cell(nodes, [shared.channels] * len(wide) if cell else wide, every, shared)
            for cell in range(cells)
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The backbone's features, finest first, to those of each level, [N, channels, H, W]."""
        found = list(features)
        for coarser in self.coarser.values():
            found.append(coarser(found[-1]))
        for cell in self.cells:
            found = cell(found)
        return found


class Head(nn.Module):
    """Convolutions that all levels share, with batch normalisation for each level, and what is read off them.

    Args:
        repeats: Convolutions before the last one.
        levels: The pyramid's, by name.
        anchors: Boxes at each place.
        outputs: Values of each.
    """

    def __init__(
        self, repeats: int, levels: Sequence[str], anchors: int, outputs: int, shared: Shared
    ) -> None:
        super().__init__()
        wide = shared.channels
        self.convs = nn.ModuleList(Separable(wide, wide, shared.biases) for _ in range(repeats))
        self.norms = nn.ModuleList(
            nn.ModuleDict({level: shared.norm() for level in levels}) for _ in range(repeats)
        )
        self.predict = Separable(wide, anchors * outputs, True)
        self.levels, self.outputs, self.activation = tuple(levels), outputs, shared.activation

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of each level to [N, A, outputs]: level by level, row by row, the anchors of a place."""
        found = []
        for level, x in zip(self.levels, features, strict=True):
            y = x
            for conv, norms in zip(self.convs, self.norms, strict=True):
                y = self.activation(norms.get_submodule(level)(conv(y)))
            y = self.predict(y).permute(0, 2, 3, 1)
            found.append(y.reshape(y.shape[0], -1, self.outputs))
        return torch.cat(found, 1)
