"""A detector's graph from elsewhere: which of its outputs is which, and where its anchors lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from edgeeff.detection import Geometry
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.errors import GraphError, OptionError
from edgeeff.foreign import rules
from edgeeff.pipeline.request.parts import Detector
from edgeeff.pipeline.resolve.preprocessing import prepared
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.sources import Identity

#: Levels of the pyramids there are: up to 7, of D7x up to 8, of others fewer.
_LEVELS = ((3, 7), (3, 8), (3, 6), (3, 5))


def identity_of(
    graph: onnx.ModelProto,
    path: Path,
    changed: Mapping[str, Any],
    said: Detector,
    known: Geometry | None = None,
) -> Identity:
    """What such a graph says of itself; its outputs are called as a build calls them, in the graph too.

    Args:
        graph: Of one image, with outputs [1, anchors, classes] and [1, anchors, 4].
        path: Of its file, for messages.
        changed: What the user says of the preprocessing.
        said: What he says of boxes.
        known: Anchors of the detector that he names, at any size.

    Raises:
        GraphError: It breaks one of the hub's outward rules, or has other anchors.
        OptionError: Where its anchors lie is not clear.
    """
    channels, size = rules.input_of(graph, path)
    own = Preprocess(size=size, mean=(0.0,) * channels, std=(1.0,) * channels, crop=1.0)
    names, anchors, classes = _outputs(graph, path)
    geometry = _geometry(size, anchors, said, known, path)
    rules.rename(graph, names)
    notes = [f"{ours} is its output {theirs!r}" for theirs, ours in names.items() if ours != theirs]
    return Identity(
        *("foreign", str(path), path.stem, "", prepared(own, None, changed), classes),
        notes=tuple(notes),
        geometry=geometry,
    )


def _outputs(graph: onnx.ModelProto, path: Path) -> tuple[dict[str, str], int, int]:
    """Our names of its outputs by theirs; anchors and classes."""
    found = rules.shapes(graph.graph.output)
    codes = [name for name, shape in found if shape[2:] == [4]]
    if len(codes) == 2:  # of four classes: only the names tell
        codes = [name for name in codes if name == CODES]
    others = [(name, shape) for name, shape in found if name not in codes]
    if len(codes) == len(others) == 1:
        (box, (scores, shape)) = codes[0], others[0]
        if len(shape) == 3 and shape[2] > 0 and dict(found)[box] == [1, shape[1], 4]:
            return {scores: LOGITS, box: CODES}, shape[1], shape[2]
    listed = ", ".join(f"{name} {shape}" for name, shape in found)
    raise GraphError(
        f"{path}: its outputs are {listed}, not those of a detector",
        mend=f"export logits [N, anchors, classes] and codes ty, tx, th, tw [N, anchors, 4] without decoding "
        f"and NMS, level by level from the finest; of four classes call them {LOGITS} and {CODES}",
    )


def _geometry(
    size: tuple[int, int], anchors: int, said: Detector, known: Geometry | None, path: Path
) -> Geometry:
    """The anchors, as many as the outputs have."""
    if known is None and said.anchor_scale is None:
        raise OptionError(
            f"{path}: where its {anchors} anchors lie is not clear",
            mend="pass --model, the detector that it is; or --anchor-scale (mostly 4), and --anchor-ratios "
            "if they are not 1:1,1.4:0.7,0.7:1.4",
        )
    first = replace(known, size=size) if known is not None else Geometry(size)
    first = replace(first, ratios=said.anchor_ratios or first.ratios, scale=said.anchor_scale or first.scale)
    tried: Sequence[Geometry] = [first]
    if known is None:
        tried = [replace(first, levels=levels) for levels in _LEVELS]
    for one in tried:
        if one.count == anchors:
            return one
    raise GraphError(
        f"{path} has {anchors} anchors; {len(first.ratios)} shapes in {first.octaves} sizes make "
        f"{tried[0].count} of {size[0]}×{size[1]} pixels",
        mend="pass the --model that it is, or its --anchor-ratios",
    )
