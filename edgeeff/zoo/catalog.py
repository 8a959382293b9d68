"""Which networks there are, and how a name is understood. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from typing import TypeAlias, cast

from edgeeff.errors import OptionError, UnknownModelError
from edgeeff.zoo import families
from edgeeff.zoo.detection import family
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.scaling import DIVISOR, PAPER
from edgeeff.zoo.segmentation.spec import DECODERS, SegmenterSpec
from edgeeff.zoo.spec import SWAPPED, Activation, ModelSpec

_CUSTOM = re.compile(r"(?:(?P<family>\w+):)?(?P<values>\w+=[^=,]+(?:,\w+=[^=,]+)*)")
_OTHER = re.compile(rf"(?P<network>.+)[-_](?P<activation>{'|'.join(SWAPPED)})", re.IGNORECASE)
#: What :func:`scaled` calls its networks.
_SCALED = re.compile(r"(?P<family>\w+)-w(?P<width>[\d.]+)-d(?P<depth>[\d.]+)-(?P<size>\d+)")
_KEYS = ("phi", "width", "depth", "resolution", "size")
_LARGEST = 8.0  # a multiplier beyond it is a slip of the pen: L2 has 5.3


#: A network that :func:`get` knows: each has a name, a size, an activation and ``preprocess``.
Spec: TypeAlias = ModelSpec | DetectorSpec | SegmenterSpec
#: One that is listed; these have ``parameters`` and ``multiply_adds`` too. Segmenters are any classifier with
#: any decoder, ``b0-lraspp``, and are not.
Listed: TypeAlias = ModelSpec | DetectorSpec


@cache
def _by_name() -> dict[str, Listed]:
    specs: list[Listed] = [*families.members(), *family.MEMBERS]
    return {spec.name: spec for spec in specs}


def names() -> list[str]:
    """The networks' names, the classifiers before the detectors, family by family, from small to large."""
    return list(_by_name())


def classifiers() -> list[ModelSpec]:
    """The networks that classify whole images, in the order of :func:`names`."""
    return [spec for spec in _by_name().values() if isinstance(spec, ModelSpec)]


def detectors() -> list[DetectorSpec]:
    """The networks that find objects, in the order of :func:`names`."""
    return [spec for spec in _by_name().values() if isinstance(spec, DetectorSpec)]


def get(name: str) -> Spec:
    """A network by its name, in ours or another library's way, or a scaled one.

    ``b0``, ``efficientnet-b0``, ``EfficientNet_Lite0``, ``tf_efficientnetv2_s``, ``efficientnet_es``,
    ``tf_efficientdet_d0`` and the like; ``phi=1.5`` and ``lite:width=1.1,depth=1.2,size=256`` are networks
    that have no name (see :func:`scaled`); ``b0-hardswish`` is b0 with another activation,
    and ``b0-lraspp`` segments.

    Raises:
        UnknownModelError: No such network.
        OptionError: A scaled network's values make no sense.
    """
    plain = plain_name(name).strip()
    if _CUSTOM.fullmatch(plain):
        return _activated(scaled(plain), name)
    if (own := _SCALED.fullmatch(plain)) and own["family"] in families.names():
        values = f"width={own['width']},depth={own['depth']},size={own['size']}"
        return _activated(scaled(f"{own['family']}:{values}"), name)
    found = understood(name)
    if found is not None:
        return found
    detector = f"efficientdet-{_short(name)}"  # efficientnet-d0, d0
    nearest = [detector] if detector in names() else get_close_matches(_short(name), names(), 3, 0.5)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    raise UnknownModelError(f"no model named {name!r}", mend=f"{hint}The models are {', '.join(names())}")


def classifier(name: str) -> ModelSpec:
    """The same, of a network that classifies.

    Raises:
        UnknownModelError: No such network, or a detector.
        OptionError: As :func:`get`.
    """
    found = get(name)
    if not isinstance(found, ModelSpec):
        what = "detector" if isinstance(found, DetectorSpec) else "segmenter"
        raise UnknownModelError(
            f"{found.name} is a {what}, and a classifier is wanted here",
            mend=f"name a classifier, such as {found.backbone.name}, which {found.name} is built on",
        )
    return found


def detector(name: str) -> DetectorSpec:
    """The same, of a network that detects.

    Raises:
        UnknownModelError: No such network, or a classifier.
        OptionError: As :func:`get`.
    """
    found = get(name)
    if not isinstance(found, DetectorSpec):
        what = "classifier" if isinstance(found, ModelSpec) else "segmenter"
        raise UnknownModelError(
            f"{found.name} is a {what}, and a detector is wanted here",
            mend=f"name one of {', '.join(spec.name for spec in detectors())}",
        )
    return found


def understood(name: str) -> Spec | None:
    """The network that a name, a checkpoint's stem or another library's name means, if it means one."""
    encoder, _, decoder = re.sub(r"[\s_]+", "-", name.strip().lower()).rpartition("-")
    if decoder in DECODERS:
        own = understood(encoder)
        return SegmenterSpec(own, decoder) if isinstance(own, ModelSpec) else None
    found = _by_name().get(_short(plain_name(name)))
    return _activated(found, name) if isinstance(found, ModelSpec) else _by_name().get(_short(name))


def _activated(spec: ModelSpec, name: str) -> ModelSpec:
    """The network with the activation at the end of a name, if there is one."""
    other = _OTHER.fullmatch(name.strip())
    return spec.swapped(cast(Activation, other["activation"].lower())) if other else spec


def with_activation(name: str, activation: Activation) -> str:
    """The name of a network with another activation; its own name where that is its authors'."""
    plain = plain_name(name)
    return plain if classifier(plain).activation == activation else f"{plain}-{activation}"


def plain_name(name: str) -> str:
    """A name without the activation at its end: what says how a network was trained."""
    other = _OTHER.fullmatch(name.strip())
    return other["network"] if other else name


def scaled(text: str) -> ModelSpec:
    """A network that has no name: ``[family:]key=value[,key=value …]``.

    Args:
        text: Keys: ``phi``, the compound coefficient of Tan & Le 2019 (depth 1.2^φ, width 1.1^φ, resolution
            1.15^φ); ``width``, ``depth``, ``resolution``, multipliers that replace phi's; ``size``, pixels,
            that replaces the resolution's. The family is ``b`` where none is named.

    Raises:
        OptionError: An unknown family or key, or a value out of range.
    """
    match = _CUSTOM.fullmatch(text.strip())
    if match is None:
        raise OptionError(
            f"{text!r} is no scaling", mend="write phi=1.5, or lite:width=1.1,depth=1.2,size=256"
        )
    family = match["family"] or "b"
    if family not in families.names():
        raise OptionError(f"no family {family!r}", mend=f"choose one of {', '.join(families.names())}")
    values = _values(match["values"])
    depth, width, resolution = PAPER.at(values.get("phi", 0.0))
    depth, width = values.get("depth", depth), values.get("width", width)
    _, base = families.family(family)
    side = base.size * values.get("resolution", resolution)
    size = int(values.get("size", round(side / DIVISOR) * DIVISOR))
    for key, value in (("depth", depth), ("width", width)):
        if not 0.1 <= value <= _LARGEST:
            raise OptionError(f"{text!r}: a {key} of {value:g}", mend=f"choose 0.1 to {_LARGEST:g}")
    if not 32 <= size <= 4096:
        raise OptionError(f"{text!r}: {size} pixels", mend="choose a size of 32 to 4096")
    return replace(
        base,
        name=f"{family}-w{width:.4g}-d{depth:.4g}-{size}",
        width=width,
        depth=depth,
        size=size,
        published_top1=None,
        weights_package=None,
        hub=None,
    )


def _values(text: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key not in _KEYS or key in values:
            raise OptionError(
                f"{key!r} {'twice' if key in values else 'is no scaling'}",
                mend=f"choose of {', '.join(_KEYS)}",
            )
        try:
            values[key] = float(value)
        except ValueError:
            raise OptionError(f"{key}={value} is no number", mend=f"write {key}=1.2 or the like") from None
        if not abs(values[key]) < 1e6:
            raise OptionError(f"{key}={value}", mend="give a finite number")
    return values


def _short(name: str) -> str:
    """Our name behind another library's: tf_efficientnetv2_s → v2-s, EfficientDet-D0 → efficientdet-d0."""
    short = re.sub(r"[\s_]+", "-", name.strip().lower())
    # The hub of TensorFlow has efficientdet/lite0/detection, which is no classifier.
    short = re.sub(r"efficientdet/(?=d\d|lite\d)", "efficientdet-", short).removesuffix("/detection")
    short = short.rpartition("/")[2].partition(".")[0]
    short = re.sub(r"^(adv-|tf-|timm-)*", "", short)
    short = re.sub(r"^(?:efficientdet|effdet)-?(?=d\d|lite|q\d)", "efficientdet-", short)
    short = re.sub(r"^efficientdet-lite-(?=\d)", "efficientdet-lite", short)
    short = re.sub(r"^efficientdet-q1b", "efficientdet-q1", short)  # the weights of effdet's Q1
    short = re.sub(r"^efficientdet-?v2-?(?=d[ts])", "efficientdetv2-", short)
    short = re.sub(r"^efficientnet-?", "", short)
    short = re.sub(r"^v2-?(?=[bsmlxr])", "v2-", short)
    short = re.sub(r"^(?:e|edge-?tpu-?)([sml])$", r"edgetpu-\1", short)
    known = _by_name()
    if short in known:
        return short
    # tf_efficientnet_b0_ns-c0e6a31c: what follows a name says how it was trained.
    trained = [own for own in known if re.match(rf"{own}[-_]", short)]
    return max(trained, key=len, default=short)
