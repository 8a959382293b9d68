"""The naming of timm, which is also that of geffnet: blocks by stage, layers counted within their block."""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.preprocess import Interpolation, Preprocess
from edgeeff.zoo.architecture import Architecture, Block
from edgeeff.zoo.conventions import TENSORFLOW, TORCH
from edgeeff.zoo.namings._places import HEAD, UNNEEDED, block_at, in_head, nowhere
from edgeeff.zoo.origin import Alternative, Doubt, Origin
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE, Channels, ModelSpec

WRITTEN = ("crop", "interpolation")
_NETWORK = {
    "conv_stem": "stem.conv",
    "bn1": "stem.norm",
    "conv_head": "head.conv",
    "bn2": "head.norm",
}
_SQUEEZE = {"se.conv_reduce": "squeeze.reduce", "se.conv_expand": "squeeze.expand"}
_EXPANDING = _SQUEEZE | {
    "conv_pw": "expand.conv",
    "bn1": "expand.norm",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.norm",
    "conv_pwl": "project.conv",
    "bn3": "project.norm",
}
_SEPARABLE = _SQUEEZE | {
    "conv_dw": "depthwise.conv",
    "bn1": "depthwise.norm",
    "conv_pw": "project.conv",
    "bn2": "project.norm",
}
_FUSED = _SQUEEZE | {
    "conv_exp": "expand.conv",
    "bn1": "expand.norm",
    "conv_pwl": "project.conv",
    "bn2": "project.norm",
}
_CONV = {"conv": "project.conv", "bn1": "project.norm"}
_THE_AUTHORS = "geffnet's or the authors'"

_KEY = re.compile(
    r"blocks\.(?P<stage>\d+)\.(?P<place>\d+)"
    r"\.(?P<layer>conv|conv_(?:pw|dw|pwl|exp)|bn[123]|se\.conv_(?:reduce|expand))\.(?P<part>\w+)"
    r"|(?P<end>conv_stem|bn1|conv_head|bn2)\.(?P<end_part>\w+)"
    rf"|classifier{HEAD}"
)


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``blocks.1.0.conv_pw.weight`` and the like."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    if match["head_part"]:
        return in_head(match["head"], match["head_part"])
    if match["end"]:
        return "" if match["end_part"] == UNNEEDED else f"{_NETWORK[match['end']]}.{match['end_part']}"
    if match["part"] == UNNEEDED:
        return ""
    found = block_at(architecture, int(match["stage"]), int(match["place"]))
    layer = _layers(found[1]).get(match["layer"]) if found else None
    return f"blocks.{found[0]}.{layer}.{match['part']}" if found and layer else nowhere(key)


def _layers(block: Block) -> dict[str, str]:
    """timm's layers of a block → ours."""
    if block.kind == "conv":
        return _CONV
    if block.kind == "fused":
        return _FUSED
    return _EXPANDING if block.expands else _SEPARABLE


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """``tf_…`` are TensorFlow's weights and conventions, the others timm's own training by torch's.

    ``said`` may carry the weights' tag (``tf_efficientnet_b0.ap_in1k``); without it they are timm's default.
    timm, geffnet and the authors' code share the names of EdgeTPU's ``tf_…``, and timm alone strides in the
    expansion (see :data:`edgeeff.zoo.conventions.EDGETPU`): of these timm is the likeliest today.
    """
    name = _name(spec)
    before, found, after = (said or "").lower().replace("-", "_").partition(name)
    ported = before.endswith("tf_") if found else spec.name not in _TRAINED
    tag = after.lstrip("._") if found else ""
    library = f"tf_{name}" if ported else name
    other = name if ported else f"tf_{name}"
    return Origin(
        source=f"timm {library}{'.' if tag else ''}{tag}",
        conventions=TENSORFLOW if ported else TORCH,
        preprocess=_ported(spec, tag) if ported else _trained(spec, tag),
        doubt=_doubt(spec, library, other, said=bool(found)),
    )


def _doubt(spec: ModelSpec, library: str, other: str, *, said: bool) -> Doubt | None:
    """What the tensors leave open: timm's own training or TensorFlow's, and of EdgeTPU's, whose code."""
    edgetpu = spec.name.startswith("edgetpu")
    if not said and not spec.name.startswith(("v2-b", "v2-rw")):  # of these only one kind exists
        others = [Alternative(f"it is timm's {other}", model=other)]
        if edgetpu:
            tf = max(library, other, key=len)
            others.append(Alternative(f"it is {_THE_AUTHORS} {tf}", model=tf, padding="edgetpu"))
        return Doubt(
            f"timm's {library} and {other} have the same tensors and do not compute the same, and neither "
            f"the file nor its name says which it is: taken for {library}",
            Alternative("that is right", model=library),
            tuple(others),
        )
    if edgetpu and library.startswith("tf_"):
        return Doubt(
            f"timm's {library} and that of geffnet and of the authors have the same tensors and pad "
            "differently: taken for timm's",
            Alternative("that is right", padding="same"),
            (Alternative(f"it is {_THE_AUTHORS}", padding="edgetpu"),),
        )
    return None


def _name(spec: ModelSpec) -> str:
    """timm's name of a network, without ``tf_``."""
    short = spec.name.replace("edgetpu-", "e").replace("-", "_")
    return f"efficientnet{short}" if short.startswith("v2") else f"efficientnet_{short}"


# timm's own weights (timm/models/efficientnet.py, default_cfgs): evaluated at these sizes, with this crop.
_TRAINED = {
    "b0": (224, 0.875),
    "b1": (288, 1.0),
    "b2": (288, 1.0),
    "b3": (320, 1.0),
    "b4": (384, 1.0),
    "b5": (448, 1.0),
    "lite0": (224, 0.875),
    "edgetpu-s": (224, 0.875),
    "edgetpu-m": (240, 0.882),
    "edgetpu-l": (300, 0.904),
    "v2-rw-t": (288, 1.0),
    "v2-rw-s": (384, 1.0),
    "v2-rw-m": (416, 1.0),
}
# And of the same networks, weights by other recipes: (network, start of the tag).
_RETRAINED = {
    ("b0", "ra4"): (256, 1.0),
    ("b1", "ft"): (256, 1.0),
    ("b5", "sw_in12k"): (416, 0.95),
    ("b5", "sw_in12k_ft"): (448, 1.0),
}
# Networks whose timm twin is made for another size than the authors'.
_SIZES = {"lite3": 300, "lite4": 380}


def _trained(spec: ModelSpec, tag: str) -> Preprocess:
    recipes = [recipe for recipe in _RETRAINED if recipe[0] == spec.name and tag.startswith(recipe[1])]
    side, crop = _TRAINED.get(
        spec.name, (416 if spec.name == "v2-m" else _SIZES.get(spec.name, spec.size), None)
    )
    if recipes:
        side, crop = _RETRAINED[max(recipes)]
    plus_minus_one = tag.startswith("ra4") or (spec.name == "b1" and not tag)
    squash = spec.name == "b5" and crop == 1.0
    return _preprocess(spec, side, PLUS_MINUS_ONE if plus_minus_one else IMAGENET, crop, squash=squash)


def _ported(spec: ModelSpec, tag: str) -> Preprocess:
    name, normalisation, crop = spec.name, spec.normalisation, None
    side = 475 if name == "l2" and tag.endswith("475") else _SIZES.get(name, spec.size)
    squash = name in ("v2-m", "v2-l", "v2-xl")
    if spec.activation == "relu6" or tag.startswith("ap"):
        normalisation = PLUS_MINUS_ONE
    elif name == "b8" and tag:
        normalisation = IMAGENET
    elif name == "v2-b3" and not tag.startswith("in1k"):
        normalisation = PLUS_MINUS_ONE
        if not tag or "ft" in tag:
            crop, squash = 0.9, True
    return _preprocess(
        spec, side, normalisation, crop, "bilinear" if name in ("lite3", "lite4") else "bicubic", squash
    )


def _preprocess(
    spec: ModelSpec,
    side: int,
    normalisation: tuple[Channels, Channels],
    crop: float | None,
    interpolation: Interpolation = "bicubic",
    squash: bool = False,
) -> Preprocess:
    own = spec.preprocess((side, side))
    mean, std = normalisation
    return replace(own, mean=mean, std=std, crop=crop or own.crop, interpolation=interpolation, squash=squash)
