"""One segmenter of the zoo: an encoder and a decoder. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeeff.errors import OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.spec import Activation, Channels, ModelSpec

_SMALLEST, _LARGEST = 32, 4096  # pixels of an input's side


@dataclass(frozen=True)
class DecoderFacts:
    """What is known of a decoder without torch; its layers are in the file of its name in ``decoders/``.

    Args:
        summary: One line for a person.
        step: Sides of an input are multiples of it.
        coarsest: Stride of the encoder's coarsest features, where the network is ours: what is beyond it is
            dilated.
    """

    summary: str
    step: int = 1
    coarsest: int = 32


#: The decoders, from the lightest on.
DECODERS: Mapping[str, DecoderFacts] = {
    "lraspp": DecoderFacts("LR-ASPP (Howard et al. 2019): light, 1×1 classifiers"),
    "deeplabv3plus": DecoderFacts("DeepLabV3+ (Chen et al. 2018): dilated, pyramid pooling", 16, 16),
    "deeplabv3": DecoderFacts("DeepLabV3 (Chen et al. 2017): the same without fine features", 16, 16),
    "unet": DecoderFacts("U-Net (Ronneberger et al. 2015): up to the image's own pixels", 32),
}


@dataclass(frozen=True)
class SegmenterSpec:
    """One segmenter.

    Args:
        backbone: The classifier that is its encoder.
        decoder: A name of :data:`DECODERS`.
    """

    backbone: ModelSpec
    decoder: str

    @property
    def name(self) -> str:
        """As on the command line: ``b0-lraspp``."""
        return f"{self.backbone.name}-{self.decoder}"

    @property
    def facts(self) -> DecoderFacts:
        """Of its decoder."""
        return DECODERS[self.decoder]

    @property
    def size(self) -> int:
        """The encoder's own side, as a multiple that the decoder can have, pixels."""
        return -(-self.backbone.size // self.facts.step) * self.facts.step

    @property
    def activation(self) -> Activation:
        """The encoder's; decoders have ReLU."""
        return self.backbone.activation

    @property
    def normalisation(self) -> tuple[Channels, Channels]:
        """The encoder's."""
        return self.backbone.normalisation

    @property
    def conventions(self) -> SegmenterConventions:
        """Of networks that are our own."""
        return SegmenterConventions(coarsest=self.facts.coarsest)

    def preprocess(self, size: tuple[int, int] | None = None) -> Preprocess:
        """How its encoder's weights want their images, at ``size`` (height, width) or its own.

        The whole photo is stretched to the input, so that each pixel of it has a class.
        """
        mean, std = self.normalisation
        return Preprocess(
            size=size or (self.size, self.size),
            mean=mean,
            std=std,
            crop=1.0,
            interpolation="bilinear",
            squash=True,
        )

    def refuse_size(self, size: tuple[int, int]) -> None:
        """Refuse an input whose features cannot be put together again.

        Raises:
            OptionError: A side is too small, too large, or no multiple of the decoder's step.
        """
        step = self.facts.step
        if all(_SMALLEST <= side <= _LARGEST and side % step == 0 for side in size):
            return
        below, above = (
            tuple(min(max(_near(side, step, up), _SMALLEST), _LARGEST) for side in size)
            for up in (False, True)
        )
        ways = " or ".join(dict.fromkeys(f"--size {_side(near)}" for near in (below, above)))
        needs = f"a multiple of {step}, " if step > 1 else ""
        raise OptionError(
            f"{self.name} cannot have an input of {_side(size)} pixels: a side must be {needs}"
            f"{_SMALLEST} to {_LARGEST}",
            mend=f"pass {ways}: photos are resized to it",
        )


def decoder_named(name: str) -> str:
    """A decoder's name, if there is one of it.

    Raises:
        OptionError: There is none.
    """
    if name not in DECODERS:
        raise OptionError(f"no decoder {name!r}", mend=f"choose one of {', '.join(DECODERS)}")
    return name


def _near(side: int, step: int, up: bool) -> int:
    return (-(-side // step) if up else side // step) * step


def _side(size: tuple[int, ...]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
