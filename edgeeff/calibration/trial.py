"""Whether another preprocessing would suit the network better: the usual mistakes, tried.

A network whose images are normalised with another network's mean and standard deviation, with those of pixels
0…1 on pixels 0…255, or with red and blue exchanged, loses accuracy without a word. A few images are run
through the first convolutions under each variant, and what comes out is held against what batch normalisation
expects there, as :mod:`edgeeff.calibration.domain` does for the whole network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff.calibration.domain import channel_distances
from edgeeff.graph import expectations
from edgeeff.graph.expectations import Expectation
from edgeeff.preprocess import Channels, Pixels, Preprocess

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import Tensor

    from edgeeff.graph.execute import Program

#: Convolutions that are looked at: later ones tell the variants no better apart, and cost more.
CONVOLUTIONS = 3
#: Images that are run at most, and the side of their centre that is: the time is bounded by both.
IMAGES, SIDE = 16, 128
#: A channel that is further off than this counts as this far, so that no single one decides.
FARTHEST = 3.0
#: A variant is clearly nearer if its distance is at most this share of the present one…
NEARER = 0.6
#: …and, since exchanged colours change so little else, this share for those, by so many images at least.
#: On real photos Lite0 measured 0.70 to 0.76 where they were wrong, both networks 0.81 and more where right.
NEARER_COLOURS, COLOURS_NEED = 0.8, 8
#: The present variant suits as well as the nearest one up to this multiple of its distance.
AS_NEAR = 1.1
#: A variant that fits no better than this is no explanation: the images are of another domain…
FITS = 0.3
#: …unless it is this much nearer: nothing else makes such a difference as pixels on the wrong scale.
FAR_NEARER = 0.25

#: Mean and standard deviation on pixels 0…255 that networks are trained with.
USUAL: tuple[tuple[Channels, Channels], ...] = (
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),  # ImageNet's
    ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),  # −1…1
    ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),  # EfficientNet-Lite's
    ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),  # 0…1
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # pixels as they are
)


@dataclass(frozen=True)
class Variant:
    """A way to prepare images, and how far from its expectations the network is with it."""

    mean: Channels
    std: Channels
    exchanged: bool
    distance: float

    def __str__(self) -> str:
        numbers = f"mean {_numbers(self.mean)}, std {_numbers(self.std)}"
        return f"{numbers}, red and blue exchanged" if self.exchanged else numbers


@dataclass(frozen=True)
class TrialReport:
    """The variants that were tried, the present one first; none if there is nothing to hold them against."""

    variants: tuple[Variant, ...]
    images: int
    not_run: str | None = None

    @property
    def better(self) -> Variant | None:
        """The variant that is clearly nearer to what the network expects, if one is."""
        if not self.variants:
            return None
        present = best = self.variants[0]
        nearest = _nearest(self.variants)
        if nearest.distance <= FAR_NEARER * present.distance or (
            nearest.distance <= min(FITS, NEARER * present.distance)
        ):
            best = nearest
        for other in self.variants:
            same = (other.mean, other.std) == (best.mean, best.std)
            enough = self.images >= COLOURS_NEED and other.distance <= FITS
            if same and other.exchanged and enough and other.distance <= NEARER_COLOURS * best.distance:
                return other
        return best if best is not present else None

    @property
    def suits(self) -> bool:
        """Whether the present variant was tried and no other one is nearer by more than chance."""
        nearest = min((variant.distance for variant in self.variants), default=None)
        return nearest is not None and self.variants[0].distance <= AS_NEAR * nearest

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know, one line each."""
        better = self.better
        if better is None:
            return ()
        present = self.variants[0]
        lines = []
        if (better.mean, better.std) != (present.mean, present.std):
            lines.append(
                f"the preprocessing looks wrong: with {present} the first layers lie {present.distance:.2f} "
                f"standard deviations from what the network was trained on, with {better} "
                f"{better.distance:.2f}: pass --mean {_option(better.mean)} --std {_option(better.std)}"
            )
        if better.exchanged:
            lines.append(
                f"red and blue look exchanged: the first layers lie {present.distance:.2f} standard "
                f"deviations from what the network was trained on, and {better.distance:.2f} with {better}: "
                "if it was trained on BGR images (OpenCV's), pass --channels bgr (or take that away); if the "
                "images are stored so, convert them to RGB"
            )
        return tuple(lines)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a report."""
        variants = [{**vars(v), "mean": list(v.mean), "std": list(v.std)} for v in self.variants]
        return {"variants": variants, "images": self.images, "not_run": self.not_run}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialReport:
        """The reverse of :meth:`to_json`."""
        variants = (
            Variant(_rounded(v["mean"]), _rounded(v["std"]), bool(v["exchanged"]), float(v["distance"]))
            for v in data["variants"]
        )
        return cls(tuple(variants), int(data["images"]), data["not_run"])


def compare(model: ir.Model, preprocess: Preprocess, pixels: Pixels) -> TrialReport:
    """Run a few images under each variant.

    Args:
        model: The base graph.
        preprocess: The present one.
        pixels: Raw pixels uint8 [n, H, W, 3]; of more than 16, 16 spread over all.
    """
    import torch

    from edgeeff.graph.execute import prepare

    known = dict(list(expectations.read(model).items())[:CONVOLUTIONS])
    if not known:
        return TrialReport((), 0, "the network came with its batch normalisation folded in")
    few = pixels[np.unique(np.linspace(0, len(pixels) - 1, min(IMAGES, len(pixels))).astype(int))]
    centre = _centre(few)
    program = _until(prepare(model), set(known))

    def variant(mean: Channels, std: Channels, exchanged: bool = False) -> Variant:
        own = replace(preprocess, mean=mean, std=std)
        images = torch.from_numpy(own.normalise(centre[..., ::-1] if exchanged else centre))
        return Variant(mean, std, exchanged, _distance(program, images, known))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in collect: torch's own threads wait for each other by spinning
    try:
        tried = [variant(mean, std) for mean, std in _normalisations(preprocess)]
        again = dict.fromkeys([tried[0], _nearest(tried)]) if preprocess.channels == 3 else {}
        tried += [variant(one.mean, one.std, exchanged=True) for one in again]
    finally:
        torch.set_num_threads(threads)
    return TrialReport(tuple(tried), len(few))


def _normalisations(preprocess: Preprocess) -> Iterator[tuple[Channels, Channels]]:
    """The present one, itself on the other scale of pixels, and the usual ones; each once."""
    mean, std = preprocess.mean, preprocess.std
    unit = max(std) <= 2  # pixels of 0…1 deviate by a quarter
    scale = 255.0 if unit else 1 / 255
    other = _rounded([v * scale for v in mean]), _rounded([v * scale for v in std])
    # Of grey images the usual ones are the means of three; of four channels none is usual.
    usual = USUAL if len(mean) == 3 else [(_one(m), _one(s)) for m, s in USUAL] if len(mean) == 1 else []
    yield from dict.fromkeys([(mean, std), other, *usual])


def _nearest(variants: Iterable[Variant]) -> Variant:
    """The nearest of those that leave the colours as they are."""
    return min((v for v in variants if not v.exchanged), key=lambda variant: variant.distance)


def _until(program: Program, wanted: set[str]) -> Program:
    """The program's beginning, up to the last of these tensors."""
    made = [str(node.outputs[0].name) for node, _ in program.steps]
    end = max(index for index, name in enumerate(made) if name in wanted)
    return replace(program, steps=program.steps[: end + 1], outputs=(made[end],))


def _distance(program: Program, images: Tensor, known: Mapping[str, Expectation]) -> float:
    """The mean over the layers of the mean over the channels, each counted as FARTHEST at most."""
    from edgeeff.graph.execute import execute

    distances = []

    def observe(name: str, value: Tensor) -> None:
        if name in known:
            rows = value.transpose(0, 1).flatten(1)
            mean, deviation = rows.mean(1).double().numpy(), rows.std(1, correction=0).double().numpy()
            off = channel_distances(known[name], mean, deviation)
            distances.append(float(np.minimum(off, FARTHEST).mean()) if len(off) else 0.0)

    execute(program, images, observe)
    return float(np.mean(distances))


def _centre(pixels: Pixels) -> Pixels:
    """The middle of each image."""
    height, width = pixels.shape[1:3]
    top, left = max(height - SIDE, 0) // 2, max(width - SIDE, 0) // 2
    return pixels[:, top : top + SIDE, left : left + SIDE]


def _one(values: Channels) -> Channels:
    return _rounded([sum(values) / len(values)])


def _rounded(values: list[float]) -> Channels:
    return tuple(float(f"{value:.6g}") for value in values)


def _numbers(values: Channels) -> str:
    return " ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))


def _option(values: Channels) -> str:
    return _numbers(values).replace(" ", ",")
