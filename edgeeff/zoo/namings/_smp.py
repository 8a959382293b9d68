"""What the namings of ``segmentation_models_pytorch`` have in common: decoders, and what they are fed."""

from __future__ import annotations

import re
from functools import lru_cache

from edgeeff.zoo.namings._places import UNNEEDED
from edgeeff.zoo.segmentation.spec import SegmenterSpec

ENCODER, BACKBONE = "encoder.", "backbone."
#: Which of our tensors lie where: the library's names within ``decoder.``, and ours.
_CONV_NORM = {"0": "conv", "1": "norm"}
_RULES = tuple(
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"blocks\.(\d+)\.conv1\.(0|1)", r"blocks.{0}.first.{1}"),
        (r"blocks\.(\d+)\.conv2\.(0|1)", r"blocks.{0}.second.{1}"),
        (r"blocks\.(\d+)\.attention1\.attention\.cSE\.1", r"blocks.{0}.before.reduce"),
        (r"blocks\.(\d+)\.attention1\.attention\.cSE\.3", r"blocks.{0}.before.expand"),
        (r"blocks\.(\d+)\.attention1\.attention\.sSE\.0", r"blocks.{0}.before.pixels"),
        (r"blocks\.(\d+)\.attention2\.attention\.cSE\.1", r"blocks.{0}.after.reduce"),
        (r"blocks\.(\d+)\.attention2\.attention\.cSE\.3", r"blocks.{0}.after.expand"),
        (r"blocks\.(\d+)\.attention2\.attention\.sSE\.0", r"blocks.{0}.after.pixels"),
        (r"(?:aspp\.|aspp\.0\.|0\.)convs\.([0-3])\.(0|1)", r"pyramid.convs.{0}.{1}"),
        (r"(?:aspp\.|aspp\.0\.|0\.)convs\.([1-3])\.0\.0", r"pyramid.convs.{0}.depthwise"),
        (r"(?:aspp\.|aspp\.0\.|0\.)convs\.([1-3])\.0\.1", r"pyramid.convs.{0}.conv"),
        (r"(?:aspp\.|aspp\.0\.|0\.)convs\.4\.1", r"pyramid.pooled.conv"),
        (r"(?:aspp\.|aspp\.0\.|0\.)convs\.4\.2", r"pyramid.pooled.norm"),
        (r"(?:aspp\.|aspp\.0\.|0\.)project\.(0|1)", r"pyramid.project.{0}"),
        (r"aspp\.1\.0", r"refine.depthwise"),
        (r"aspp\.1\.1|conv|1", r"refine.conv"),
        (r"aspp\.2|bn|2", r"refine.norm"),
        (r"block1\.(0|1)", r"reduce.{0}"),
        (r"block2\.0\.0", r"fuse.depthwise"),
        (r"block2\.0\.1", r"fuse.conv"),
        (r"block2\.1", r"fuse.norm"),
    )
)
_PREDICT = re.compile(r"segmentation_head\.0\.(weight|bias)")
_UNUSED = ("head.", "classifier.")  # of the encoder: no feature is made by it


def translated(key: str, of_encoder: str | None) -> str | None:
    """Our name of a key.

    Args:
        key: In the file, without a prefix.
        of_encoder: Our name of what follows ``encoder.``, where the library's encoder has it.
    """
    if key.startswith(ENCODER):
        if not of_encoder or of_encoder.startswith(_UNUSED):
            return of_encoder if of_encoder is None else ""
        return f"{BACKBONE}{of_encoder}"
    if match := _PREDICT.fullmatch(key):
        return f"decoder.predict.{match[1]}"
    if key.startswith("classification_head."):  # beside the mask, which needs it not
        return ""
    return _of_decoder(key) if key.startswith("decoder.") else None


@lru_cache(maxsize=4096)  # the same file is held against every encoder
def _of_decoder(key: str) -> str:
    """Our name of a decoder's tensor; one that no network has where it is none of those that we have."""
    if key.endswith(UNNEEDED):
        return ""
    layer, _, part = key.removeprefix("decoder.").rpartition(".")
    for pattern, ours in _RULES:
        if match := pattern.fullmatch(layer):
            *counted, last = match.groups() or ("",)
            found = ours.format(*counted, _CONV_NORM[last] if ours.endswith("}") else last)
            return f"decoder.{found}.{part}"
    return f"decoder.nowhere.{key}"


def warnings(spec: SegmenterSpec, own: str) -> tuple[str, ...]:
    """What the library leaves to those who train with it, and no checkpoint says."""
    return (
        f"segmentation_models_pytorch leaves it to the training how pixels are normalised: {own} mean and "
        "std are taken, as its get_preprocessing_fn has them; if it was trained on others, masks are wrong "
        "(--mean, --std)",
        f"the file does not say the size of its images: {spec.size} pixels are taken, the encoder's own; "
        "pass that of the training (--size)",
    )
