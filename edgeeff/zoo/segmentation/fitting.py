"""From a checkpoint's tensors to those of one segmenter, or to what exactly does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import accounting, catalog, namings
from edgeeff.zoo.accounting import Accounted
from edgeeff.zoo.fitting import check_values, dimensions, some
from edgeeff.zoo.segmentation import decoders, segmenter
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.segmenter import BACKBONE, DECODER
from edgeeff.zoo.segmentation.spec import DECODERS, SegmenterSpec
from edgeeff.zoo.spec import ModelSpec

_BY_ONNX = "export the network to ONNX at the size of its images, and pass that with --task segmentation"
_GROUPED = "an FPN, whose group normalisation no graph of ours holds"
#: Decoders of segmentation_models_pytorch that are not ours, by a tensor within ``decoder.``.
_OTHERS = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        (_GROUPED, r"seg_blocks\.|p5\."),
        ("a U-Net++", r"blocks\.x_\d+_\d+\."),
        ("a Linknet", r"blocks\.\d+\.block\.0\."),
        ("a MAnet", r"center\.(?:top|center|bottom|out)_conv|blocks\.\d+\.(?:hl_conv|SE_ll)\."),
        ("a PAN", r"fpa\.|gau\d\."),
        ("a UPerNet", r"fpn_\w+\.|feature_norms\."),
        ("a PSPNet", r"psp\."),
        ("a SegFormer", r"mlp_stage\."),
        ("a DPT", r"projection_blocks\.|reassemble"),
    )
)


@dataclass(frozen=True)
class Fitted:
    """A segmenter's tensors by our names, float32, and the encoder's that it does not compute with."""

    spec: SegmenterSpec
    tensors: dict[str, Tensor]
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Match:
    """How a checkpoint's tensors lie against one encoder."""

    spec: ModelSpec
    keys: dict[str, str]  # our name → the file's
    misfits: tuple[str, ...]
    wrong: int


def fit(
    tensors: Mapping[str, Tensor], accounted: Accounted, path: object, model: ModelSpec | None = None
) -> Fitted:
    """Translate a checkpoint's tensors to a segmenter's, all of them and nothing else.

    Args:
        tensors: By the names they have in the file.
        accounted: Each in its place; their naming is one of segmenters.
        path: Of the file, for messages.
        model: The encoder that the user names; None: the one that the tensors fit.

    Raises:
        CheckpointError: A decoder that is not known, another encoder, tensors of other shapes or none that
            are known, integers, or values that are not finite.
    """
    specs = [model] if model else catalog.classifiers()
    matches = [_match(tensors, accounted, spec) for spec in specs]
    best = min(matches, key=lambda match: match.wrong)
    _refuse_other_decoders(best.keys.values(), accounted.prefix, path)
    if best.misfits:
        raise CheckpointError(
            f"{path} is a segmenter, and its encoder is "
            + (f"not {best.spec.name}" if model else f"none of the zoo; the nearest is {best.spec.name}")
            + f": {'; '.join(best.misfits)}",
            mend="leave out --model, or name the encoder that it has"
            if model
            else f"pass the whole checkpoint; or {_BY_ONNX}",
        )
    accounting.refuse_strays(accounted, path)
    found = {name: tensors[key] for name, key in best.keys.items()}
    spec = SegmenterSpec(best.spec, _decoder(found, path))
    own = _expected(spec, found, namings.naming(accounted.naming).origin(spec, None).conventions, path)
    full = {f"{BACKBONE}{name}" for name in best.spec.architecture.tensors_until(("32",))}
    _refuse_misfits(own, {n: t for n, t in found.items() if n in own or n not in full}, spec, path)
    for name in own:
        check_values(found[name], best.keys[name], path)
    plain = {name: found[name].detach().to(torch.float32).contiguous() for name in own}
    return Fitted(spec, plain, tuple(name for name in found if name not in own))


def _match(tensors: Mapping[str, Tensor], accounted: Accounted, spec: ModelSpec) -> _Match:
    """The file's tensors by our names, and how its encoder's lie against one classifier's.

    What lies behind the features that the decoder reads may be missing.
    """
    keys: dict[str, str] = {}
    translate = namings.naming(accounted.naming).translate
    for key, tail in accounted.trunk.items():
        name = translate(tail, spec.architecture)
        if name:
            keys[name] = key
    shapes = {
        n.removeprefix(BACKBONE): tuple(tensors[k].shape) for n, k in keys.items() if n.startswith(BACKBONE)
    }
    expected = spec.architecture.tensors_until(("32",))
    expected["stem.conv.weight"] = (
        *expected["stem.conv.weight"][:1],
        *shapes.get("stem.conv.weight", (0, 3))[1:2],
        *expected["stem.conv.weight"][2:],
    )
    last = max((int(n.split(".")[1]) for n in shapes if re.match(r"blocks\.\d+\.", n)), default=-1)
    later = [f"blocks.{index}." for index in range(last + 1, len(spec.architecture.blocks))]
    missing = [n for n in expected if n not in shapes and not n.startswith(tuple(later))]
    absent = [n for n in expected if n not in shapes]
    extra = [keys[f"{BACKBONE}{n}"] for n in shapes if n not in expected]
    differing = [
        f"{n} {dimensions(shapes[n])} instead of {dimensions(expected[n])}"
        for n in expected
        if n in shapes and shapes[n] != expected[n]
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    phrases = [f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names]
    wrong = len(absent) + len(extra) + len(differing)
    return _Match(spec, keys, tuple(phrases), wrong)


def _decoder(found: Mapping[str, Tensor], path: object) -> str:
    """The decoder whose own tensor is there."""
    for name in DECODERS:
        if f"{DECODER}{decoders.decoder(name).MARK}" in found:
            return name
    raise CheckpointError(
        f"{path} is a segmenter of a decoder that is not known: "
        f"{some([name for name in found if name.startswith(DECODER)])}",
        mend=_BY_ONNX,
    )


def _expected(
    spec: SegmenterSpec, found: Mapping[str, Tensor], conventions: SegmenterConventions, path: object
) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of the segmenter, with the widths and classes that these have."""
    size = (spec.size, spec.size)
    try:
        with torch.device("meta"):
            network = segmenter.fitted(spec, found, size, conventions)
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no whole {spec.name}: {error} is missing or of no shape that it can have",
            mend="pass the whole checkpoint",
        ) from None
    return {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def _refuse_misfits(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, Tensor], spec: SegmenterSpec, path: object
) -> None:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    differing = [
        f"{name} {dimensions(tuple(found[name].shape))} instead of {dimensions(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    phrases = [f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names]
    if phrases:
        raise CheckpointError(
            f"{path} is not a checkpoint of {spec.name}: {'; '.join(phrases)}",
            mend=f"pass the whole checkpoint; or {_BY_ONNX}",
        )


def _refuse_other_decoders(keys: Iterable[str], prefix: str, path: object) -> None:
    """Refuse a decoder of the library that is not one of ours, by its name."""
    tails = [key[len(prefix) :] for key in keys]
    inner = [tail.removeprefix(DECODER) for tail in tails if tail.startswith(DECODER)]
    for what, pattern in _OTHERS:
        shown = next((tail for tail in inner if pattern.match(tail)), None)
        if shown is not None:
            grouped = "take Unet or DeepLabV3Plus, whose batch normalisation is folded away"
            raise CheckpointError(
                f"{path} is {what}: it holds {DECODER}{shown}, and that decoder is not one of "
                f"{', '.join(DECODERS)}",
                mend=grouped if what == _GROUPED else _BY_ONNX,
            )
