"""What a checkpoint says of its network beside the tensors: config.json of ``save_pretrained``, or the
hyper-parameters of a trainer, in the words of segmentation_models_pytorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from edgeeff.errors import CheckpointError
from edgeeff.zoo.segmentation.conventions import Interpolation, SegmenterConventions
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.spec import SegmenterSpec
from edgeeff.zoo.spec import PLUS_MINUS_ONE

#: What the library's networks have unless they are told otherwise.
_STRIDES = {"deeplabv3plus": 16, "deeplabv3": 8}
_UPSAMPLING = {"deeplabv3plus": 4, "unet": 1}
_ENDINGS = {"sigmoid": "sigmoid", "softmax2d": "softmax", "softmax": "softmax", "logsoftmax": "log_softmax"}
_BY_ONNX = "export the network to ONNX, and pass that with --task segmentation"


@dataclass(frozen=True)
class Applied:
    """An origin with what the file says, and what stands behind the logits."""

    origin: SegmenterOrigin
    ends_in: str = ""


def applied(found: SegmenterOrigin, spec: SegmenterSpec, said: Mapping[str, Any], path: object) -> Applied:
    """An origin with what a file says of its network.

    Args:
        found: As the naming has it.
        spec: The segmenter.
        said: The arguments that its network was made with; empty where the file does not say them.
        path: Of the file, for messages.

    Raises:
        CheckpointError: It says what cannot be built.
    """
    if not found.source.startswith("segmentation_models_pytorch"):
        return Applied(found)
    own, warnings = _dilated(found.conventions, spec, said)
    given = said.get("decoder_interpolation") or "nearest"
    if given not in get_args(Interpolation):
        raise CheckpointError(f"{path}: its decoder resizes by {given!r:.40}", mend=_BY_ONNX)
    interpolation = cast(Interpolation, given)
    usual = _UPSAMPLING.get(spec.decoder, own.coarsest)
    if said.get("upsampling") not in (None, usual):
        raise CheckpointError(
            f"{path}: its masks are upsampled {said['upsampling']!r:.40} times instead of {usual}",
            mend=_BY_ONNX,
        )
    activation = said.get("activation")
    if activation not in (None, "identity", *_ENDINGS):
        raise CheckpointError(f"{path}: its masks end in {activation!r:.40}", mend=_BY_ONNX)
    preprocess = found.preprocess
    if said.get("encoder_weights") == "advprop" and "mean" not in found.said:
        preprocess = replace(preprocess, mean=PLUS_MINUS_ONE[0], std=PLUS_MINUS_ONE[1])
    changed = replace(
        found,
        conventions=replace(own, interpolation=interpolation),
        preprocess=preprocess,
        warnings=(*found.warnings, *warnings),
    )
    return Applied(changed, _ENDINGS.get(activation or "", ""))


def _dilated(
    own: SegmenterConventions, spec: SegmenterSpec, said: Mapping[str, Any]
) -> tuple[SegmenterConventions, list[str]]:
    """How DeepLab's encoder and pyramid are dilated, and a warning where the file does not say it.

    No tensor's shape depends on either, and with others the same tensors compute other masks.
    """
    if spec.decoder not in _STRIDES:
        return own, []
    stride, rates = said.get("encoder_output_stride"), said.get("decoder_atrous_rates")
    missing = []
    if stride not in (8, 16):
        stride = _STRIDES[spec.decoder]
        missing.append(f"an output stride of {stride}")
    if not (isinstance(rates, list | tuple) and len(rates) == 3 and all(type(r) is int for r in rates)):
        rates = own.rates
        missing.append(f"atrous rates of {', '.join(map(str, rates))}")
    guess = (
        f"the file does not say how its network is dilated: {' and '.join(missing)}, the library's "
        "defaults, are taken; with others masks are wrong. Pass the folder that model.save_pretrained "
        f"writes, or {_BY_ONNX}"
    )
    return replace(own, coarsest=stride, rates=tuple(rates)), [guess] if missing else []
