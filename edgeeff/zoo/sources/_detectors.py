"""What is known of a detector that came as a graph: its anchors and pixels are nowhere in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

from edgeeff.detection.geometry import RATIOS
from edgeeff.errors import OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.origin import for_channels, guessed_channels
from edgeeff.zoo.sources import Asked, Identity
from edgeeff.zoo.spec import PLUS_MINUS_ONE

if TYPE_CHECKING:
    from edgeeff.graph.importing import Imported
    from edgeeff.graph.importing.detector import Heads

#: Of the authors' own code, whose exports take [N, H, W, C]; PyTorch's ports have the others.
_ROOTS = ((1.0, 1.0), (sqrt(2), sqrt(0.5)), (sqrt(0.5), sqrt(2)))
_OPTIONS = "--model, or --anchor-scale and --anchor-ratios"


def described(asked: Asked, imported: Imported, stem: str, source: str, origin: str, kind: str) -> Identity:
    """What is known of an imported detector: the user's word for the model, the graph's for the rest.

    Raises:
        OptionError: The model that the user names is no detector, or not one of the graph's shape.
    """
    heads = imported.original.heads
    assert heads is not None and heads.geometry is not None
    relu6 = not any(node.op_type in ("Sigmoid", "Swish") for node in imported.model.graph)
    spec, warnings = _spec(asked.model, stem, heads, relu6, source)
    torch = imported.original.layout == "NCHW"
    ratios = spec.ratios if torch or spec.ratios != RATIOS else _ROOTS
    shapes = ", ".join(f"{width:.3g}:{height:.3g}" for width, height in ratios)
    preprocess, pixels = _preprocess(imported, spec, torch)
    return Identity(
        kind=kind.rpartition(".")[2],
        source=source,
        model=spec.name,
        origin=f"{origin}, as {spec.name}",
        preprocess=preprocess,
        classes=heads.classes,
        assumed=(
            f"anchors of scale {spec.scale:g} and shapes {shapes}, in the authors' order: no graph says them "
            "(--anchor-scale, --anchor-ratios)",
            *pixels.get("assumed", ()),
        ),
        warnings=(*warnings, *heads.warnings, *pixels.get("warnings", ())),
        ends_in="sigmoid" if heads.sigmoid else "",
        notes=heads.notes,
        said=("mean", "std") if imported.mean is not None else (),
        geometry=replace(spec.geometry(imported.size), ratios=ratios, levels=heads.geometry.levels),
        offset=0,
    )


def _spec(
    model: str | None, stem: str, heads: Heads, relu6: bool, source: str
) -> tuple[DetectorSpec, tuple[str, ...]]:
    """The detector, by the user's word, the file's name or what its graph has; and what may be wrong.

    Raises:
        OptionError: The user names something else.
    """
    alike = [spec for spec in catalog.detectors() if _is_alike(spec, heads, relu6)]
    if model is not None:
        spec = catalog.get(model)
        if not isinstance(spec, DetectorSpec):
            raise OptionError(
                f"{source} is a detector, and {spec.name} is a classifier", mend="name a detector, or none"
            )
        if alike and spec not in alike:
            raise OptionError(
                f"{source} is no {spec.name}: its pyramid has {heads.features} channels and levels "
                f"{heads.geometry.levels if heads.geometry else ''}, as {alike[0].name} has",
                mend=f"pass --model {alike[0].name}, or leave it out",
            )
        return spec, ()
    named = catalog.understood(stem)
    if isinstance(named, DetectorSpec) and (named in alike or not alike):
        return named, ()
    if not alike:
        first = catalog.detector("efficientdet-d0")
        return first, (
            f"its pyramid of {heads.features} channels is that of no detector of the zoo: preprocessing and "
            f"anchors are taken to be those of {first.name}; if they are others, its boxes are wrong: pass "
            f"--mean and --std, and {_OPTIONS}",
        )
    scales = {spec.scale for spec in alike}
    if len(scales) == 1:
        return alike[0], ()
    ways = " or ".join(f"{spec.name} (anchors of scale {spec.scale:g})" for spec in alike)
    return alike[0], (
        f"it may be {ways}, and the graph does not say: taken for {alike[0].name}; if it is another, its "
        f"boxes are wrong: pass {_OPTIONS}",
    )


def _is_alike(spec: DetectorSpec, heads: Heads, relu6: bool) -> bool:
    levels = heads.geometry.levels if heads.geometry else spec.levels
    return (spec.channels, spec.levels) == (heads.features, levels) and (spec.activation == "relu6") == relu6


def _preprocess(
    imported: Imported, spec: DetectorSpec, torch: bool
) -> tuple[Preprocess, Mapping[str, tuple[str, ...]]]:
    """How photos are prepared, and what of that was assumed or may be wrong."""
    own = spec.preprocess(imported.size)
    if imported.channels != own.channels:
        own = for_channels(own, imported.channels)
        own = replace(own, letterbox=own.mean)
        if imported.mean is None:
            return own, {"warnings": (guessed_channels(own),)}
    if imported.mean is not None and imported.std is not None:
        # Zeros once it is normalised: what every library fills a letterbox with.
        letterbox = tuple(min(max(value, 0.0), 255.0) for value in imported.mean)
        return replace(own, mean=imported.mean, std=imported.std, letterbox=letterbox), {}
    if spec.activation != "relu6":
        return own, {"assumed": ("ImageNet's mean and std, and a letterbox in the mean colour",)}
    if torch:
        mean, std = PLUS_MINUS_ONE
        own = replace(own, mean=mean, std=std, letterbox=mean)
    ours = "effdet" if torch else "google/automl"
    theirs = "google/automl has 127 and 128" if torch else "effdet has 127.5 and 127.5"
    return own, {
        "warnings": (
            f"the file does not normalise its input: mean {own.mean[0]:g} and std {own.std[0]:g} are taken, "
            f"as {ours} has them for Lite; {theirs}: pass --mean and --std",
        )
    }
