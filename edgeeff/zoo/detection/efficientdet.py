"""Every detector of the zoo as a torch module: what a :class:`DetectorArchitecture` describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log

import torch
from torch import Tensor, nn

from edgeeff.zoo import efficientnet
from edgeeff.zoo.blocks import Size
from edgeeff.zoo.detection.architecture import BOX_HEAD, CLASS_HEAD, CODES, TAPS, DetectorArchitecture
from edgeeff.zoo.detection.blocks import Fusion, Head, Pyramid, Shared
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.efficientnet import ACTIVATIONS

#: What a class's probability is before training, so that background does not drown it: Lin et al. 2017,
#: arXiv:1708.02002, section 4.1.
PRIOR = 0.01


class EfficientDet(nn.Module):
    """A detector for inputs of one fixed ``size`` (height, width).

    Args:
        spec: Which one.
        architecture: Its parts: the spec's, or what a checkpoint has instead.
        classes: Of objects; background is none.
        size: Height and width of the images: padding and resizing between levels depend on it.
        conventions: Padding, and batch normalisation's epsilon.
    """

    def __init__(
        self,
        spec: DetectorSpec,
        architecture: DetectorArchitecture,
        classes: int,
        size: Size,
        conventions: DetectorConventions,
    ) -> None:
        super().__init__()
        spec.refuse_size(size)
        shared = Shared(
            channels=architecture.channels,
            activation=ACTIVATIONS[spec.activation],
            conventions=conventions,
            resizing=spec.resizing,
            biases=architecture.biases,
            weighted=architecture.weighted,
        )
        channels = architecture.backbone.inputs
        self.backbone = efficientnet.build(
            spec.backbone, 0, size, conventions.backbone, channels=channels, taps=TAPS
        )
        levels = architecture.level_names
        sizes = dict(zip(levels, architecture.features(size), strict=True))
        self.pyramid = Pyramid(architecture.cells, architecture.nodes, architecture.tapped, sizes, shared)
        self.class_head = Head(architecture.repeats, levels, architecture.anchors, classes, shared)
        self.box_head = Head(architecture.repeats, levels, architecture.anchors, CODES, shared)
        bias = self.class_head.predict.pointwise.bias
        assert bias is not None
        nn.init.constant_(bias, -log((1 - PRIOR) / PRIOR))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images [N, 3, H, W] to class logits [N, A, classes] and box codes [N, A, 4].

        Anchors lie level by level, row by row; a place's are octave by octave, each with all its ratios. The
        codes of a box are ty, tx, th, tw, relative to its anchor (Ren et al. 2015, arXiv:1506.01497,
        equation 2).
        """
        features = self.pyramid(self.backbone(x))
        return self.class_head(features), self.box_head(features)

    def fix(self) -> None:
        """Take the weights of all fusions for numbers, see :class:`Fusion`."""
        for part in self.modules():
            if isinstance(part, Fusion):
                part.fix()

    def free(self) -> None:
        """The reverse: the weights of all fusions are used as they are, so that they can learn."""
        for part in self.modules():
            if isinstance(part, Fusion):
                part.free()


def build(
    spec: DetectorSpec,
    classes: int,
    size: Size | None = None,
    conventions: DetectorConventions | None = None,
    architecture: DetectorArchitecture | None = None,
) -> EfficientDet:
    """The untrained network of ``spec``, in eval mode.

    Args:
        spec: Which one.
        classes: Of objects.
        size: Height and width of the images; None: the spec's own.
        conventions: None: the spec's own.
        architecture: Instead of the spec's own: without biases before batch normalisation, say.

    Raises:
        OptionError: No such size is possible.
    """
    size, own = size or (spec.size, spec.size), conventions or spec.conventions
    return EfficientDet(spec, architecture or spec.architecture, classes, size, own).eval()


def fitted(spec: DetectorSpec, tensors: Mapping[str, Tensor]) -> DetectorArchitecture:
    """The spec's architecture, with the biases, fusion, anchors and channels of these tensors by our names.

    A tensor that is not there leaves the spec's own; so does one of a shape that no network has.
    """
    architecture = spec.architecture
    first = f"pyramid.cells.0.{architecture.nodes[0].name}"
    if f"{first}.pointwise.weight" in tensors:
        weighted, biases = f"{first}.weights" in tensors, f"{first}.pointwise.bias" in tensors
        architecture = replace(architecture, biases=biases, weighted=weighted)
    codes = tensors.get(f"{BOX_HEAD}.predict.pointwise.weight")
    if codes is not None and codes.dim() == 4 and codes.shape[0] % CODES == 0 and codes.shape[0]:
        architecture = replace(architecture, anchors=codes.shape[0] // CODES)
    stem = tensors.get("backbone.stem.conv.weight")
    if stem is not None and stem.dim() == 4:
        architecture = replace(architecture, backbone=replace(architecture.backbone, inputs=stem.shape[1]))
    return architecture


def classes_of(tensors: Mapping[str, Tensor], architecture: DetectorArchitecture) -> int:
    """The classes of tensors by our names."""
    return int(tensors[f"{CLASS_HEAD}.predict.pointwise.weight"].shape[0]) // architecture.anchors


def trained(
    spec: DetectorSpec,
    tensors: Mapping[str, Tensor],
    size: Size | None = None,
    conventions: DetectorConventions | None = None,
) -> EfficientDet:
    """The network of ``spec`` that holds ``tensors``, float32.

    They are those of :meth:`DetectorArchitecture.tensors`, and are taken, not copied. Classes, anchors, input
    channels and biases are those that they have.

    Raises:
        OptionError: No such size is possible.
    """
    architecture = fitted(spec, tensors)
    with torch.device("meta"):  # no time spent on initial values that are replaced at once
        network = build(spec, classes_of(tensors, architecture), size, conventions, architecture)
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name, _ in network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict({**tensors, **counters}, assign=True)
    network.fix()
    return network
