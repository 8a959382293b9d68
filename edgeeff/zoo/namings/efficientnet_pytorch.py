"""The naming of ``efficientnet_pytorch``, which is also that of ``efficientnet_lite_pytorch``."""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import TENSORFLOW
from edgeeff.zoo.namings._places import HEAD, UNNEEDED, in_head
from edgeeff.zoo.origin import Alternative, Doubt, Origin
from edgeeff.zoo.spec import PLUS_MINUS_ONE, ModelSpec

_NETWORK = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
}
_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_se_reduce": "squeeze.reduce",
    "_se_expand": "squeeze.expand",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
_KEY = re.compile(rf"(?:_blocks\.(?P<block>\d+)\.)?(?P<layer>_(?!fc\b)\w+)\.(?P<part>\w+)|_fc{HEAD}")


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``_blocks.3._bn1.weight`` and the like."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    if match["head_part"]:
        return in_head(match["head"], match["head_part"])
    block, part = match["block"], match["part"]
    layer = (_NETWORK if block is None else _BLOCK).get(match["layer"])
    if layer is None:
        return None
    if part == UNNEEDED:
        return ""
    return f"{layer}.{part}" if block is None else f"blocks.{block}.{layer}.{part}"


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """TensorFlow's conventions, with SAME's zeros counted once for all sizes of images.

    ``from_name`` and ``from_pretrained`` count them for the variant's own size, whatever the images turn out
    to be; with ``image_size`` they are counted for another size, and with ``image_size=None`` anew for each
    image (EfficientNet-PyTorch#42, #122, #165; ``Conv2dStaticSamePadding``). No checkpoint says which.
    −1…1 where the name says AdvProp (``adv-efficientnet-b3-….pth``).
    """
    library = "efficientnet_lite_pytorch" if spec.activation == "relu6" else "efficientnet_pytorch"
    preprocess, own = spec.preprocess(), f"static:{spec.size}"
    if said is not None and said.lower().startswith("adv"):
        preprocess = replace(preprocess, mean=PLUS_MINUS_ONE[0], std=PLUS_MINUS_ONE[1])
    return Origin(
        source=f"{library}, AdvProp" if preprocess.mean == PLUS_MINUS_ONE[0] else library,
        conventions=replace(TENSORFLOW, static=(spec.size, spec.size)),
        preprocess=preprocess,
        doubt=Doubt(
            f"{library} counts the zeros of SAME padding when the network is made, for images of one size, "
            f"which the file does not say: taken for its default, {spec.size} pixels",
            Alternative("that is right", padding=own),
            (Alternative("it was made with image_size=None, or the size of this input", padding="same"),),
        ),
    )
