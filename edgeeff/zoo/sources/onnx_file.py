"""ONNX files: float graphs that somebody else exported."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff import digests, regular
from edgeeff.errors import GraphError, OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.origin import for_channels, guessed_channels
from edgeeff.zoo.sources import Asked, Identity, _detectors, _segmenters
from edgeeff.zoo.spec import IMAGENET
from edgeeff.zoo.taps import Tapped

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgeeff.graph.importing import Imported

PRECEDENCE = 1
_UNKNOWN = (
    "the file does not normalise its input, and nothing says how its network was trained: ImageNet's mean "
    "and std are taken, which may be wrong: pass --model, which they follow from, or both (--mean, --std)"
)


def claims(source: str) -> bool:
    """A file whose name ends in .onnx."""
    path = regular.path_of(source)
    return path.suffix.lower() == ".onnx" and regular.is_file(path)


def files(source: str) -> list[Path]:
    """The file, and the side files that its weights may lie in."""
    from edgeeff.graph.importing import source as reading

    return reading.files(regular.path_of(source))


def digest(asked: Asked, source: str) -> str:
    """SHA-256 of the file, and of the side files that its weights may lie in."""
    return digests.of_files(files(source))


def identify(asked: Asked, source: str) -> Identity:
    """Read a graph and find its input, its classes, and any normalisation that stands in it.

    Raises:
        GraphError: It is damaged, or no EfficientNet that can be made ours.
    """
    from edgeeff.graph import importing

    path = regular.path_of(source)
    taps, ends_in = _segmenters.taps(path) if asked.by_pixel else (asked.taps, "")
    imported = importing.read(path, asked.size, taps)
    found = described(asked, imported, path.stem, source, f"ONNX file {path.name}", __name__)
    return _segmenters.described(found, imported, ends_in) if asked.by_pixel else found


def described(asked: Asked, imported: Imported, stem: str, source: str, origin: str, kind: str) -> Identity:
    """What is known of an imported graph: the user's word for the model, the graph's for the rest.

    Raises:
        GraphError: Its metadata say that it is fed BGR, and nobody else says what it is.
        OptionError: The user names a detector, and it is none; or the other way round.
    """
    colours = _colours(asked, imported, source)
    if imported.original.heads is not None:
        found = _detectors.described(asked, imported, stem, source, origin, kind)
        return replace(found, warnings=(*colours, *found.warnings))
    spec = catalog.get(asked.model) if asked.model else catalog.understood(stem)
    if isinstance(spec, DetectorSpec) and not imported.original.taps:
        if asked.model:
            raise OptionError(
                f"{source} is no {spec.name}: it has neither class and box maps nor [N, A, classes] and "
                "[N, A, 4], put together of them",
                mend="export the network alone, with its raw outputs; or leave out --model",
            )
        spec = None
    assumed: list[str] = []
    ending = imported.original.ending
    if spec is not None:
        preprocess = spec.preprocess(imported.size)
        origin = f"{origin}, as {spec.name}"
        if asked.model is None:
            assumed.append(f"it is a {spec.name}, by its name")
    else:
        mean, std = IMAGENET
        preprocess = Preprocess(size=imported.size, mean=mean, std=std)
    warnings: list[str] = []
    if spec is None and imported.mean is None:
        warnings.append(_UNKNOWN)
    if imported.channels != preprocess.channels:
        preprocess = for_channels(preprocess, imported.channels)
        if imported.mean is None:
            warnings = [guessed_channels(preprocess)]
    if imported.mean is not None and imported.std is not None:
        preprocess = replace(preprocess, mean=imported.mean, std=imported.std)
        origin = f"{origin}, normalisation of its own"
    name = spec.name if spec else re.sub(r"[^\w-]+", "-", stem).strip("-") or "network"
    return Identity(
        kind=kind.rpartition(".")[2],
        source=source,
        model=name,
        origin=origin,
        preprocess=preprocess,
        classes=imported.classes,
        labels=ending.labels if ending.labels and len(ending.labels) == imported.classes else None,
        assumed=tuple(assumed),
        warnings=(*warnings, *colours, *ending.warnings),
        ends_in=ending.ends_in,
        threshold=ending.threshold,
        notes=ending.notes,
        said=("mean", "std") if imported.mean is not None else (),
        outputs=tuple(Tapped(tap.name, tap.tensor) for tap in imported.original.taps),
    )


def _colours(asked: Asked, imported: Imported, source: str) -> tuple[str, ...]:
    """What is to be warned of in the order of colours.

    Raises:
        GraphError: Metadata say BGR.
    """
    if imported.pixel_format.lower().startswith("bgr") and asked.channels is None:
        raise GraphError(
            f"{source}: its metadata say that it is fed {imported.pixel_format}",
            mend="pass --channels bgr; or --channels rgb, if that is not so",
        )
    if not imported.turned or asked.channels is not None:
        return ()
    return (
        "the file turns the three colours around before the network: it is taken to be fed RGB itself, "
        "as other ONNX files are; if it is fed BGR (OpenCV's frames), pass --channels bgr, else "
        "--channels rgb",
    )


def graph(asked: Asked, identity: Identity, size: tuple[int, int]) -> ir.Model:
    """The file's graph, made ours, and held against the file itself on a few images.

    Raises:
        GraphError: It is damaged, cannot be made ours, or does not compute the same afterwards.
    """
    from edgeeff.graph import importing, passes
    from edgeeff.graph.importing import comparing

    path = regular.path_of(identity.source)
    taps, _ = _segmenters.taps(path) if asked.by_pixel else (asked.taps, "")
    imported = importing.read(path, size, taps)
    passes.run(imported.model)
    comparing.with_file(imported, path, identity.preprocess)
    return _segmenters.renamed(imported.model) if asked.by_pixel else imported.model
