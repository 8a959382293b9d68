"""How images are prepared: what a request changes of what the network's origin says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from edgeeff.errors import OptionError
from edgeeff.pipeline.request.parts import Preprocessing
from edgeeff.preprocess import CHANNELS, Channels, Interpolation, Preprocess
from edgeeff.zoo.sources import Identity, Order
from edgeeff.zoo.spec import IMAGENET

#: Pixels: as near to each other libraries write ImageNet's mean.
_SAME_MEAN = 1.0


def resolve_preprocess(said: Preprocessing) -> dict[str, Any]:
    """What the user changes of the preprocessing: fields of :class:`Preprocess`.

    Raises:
        OptionError: A value makes no sense.
    """
    if said.std is not None and min(said.std) <= 0:
        raise OptionError(
            f"a standard deviation of {min(said.std):g}", mend="give positive values on pixels 0…255"
        )
    if said.crop is not None and not 0.1 <= said.crop <= 1:
        raise OptionError(f"--crop {said.crop:g}", mend="give the share that the centre crop keeps, 0.1 to 1")
    if said.interpolation is not None and said.interpolation not in get_args(Interpolation):
        raise OptionError(
            f"--interpolation {said.interpolation!r}",
            mend=f"choose one of {', '.join(get_args(Interpolation))}",
        )
    if said.white is not None and not 0 < said.white < 2**32:
        raise OptionError(
            f"--white {said.white:g}", mend="give the value that is white, such as 4095 or 65535"
        )
    return {name: value for name, value in vars(said).items() if value is not None and name != "size"}


def prepared(own: Preprocess, size: tuple[int, int] | None, changed: Mapping[str, Any]) -> Preprocess:
    """The preprocessing as its origin says, at another size, with what the user changes.

    Raises:
        OptionError: A mean, std or colour of another number of channels than the network's, or a letterbox
            with what it leaves no place for.
    """
    fitted = dict(changed)
    for option in ("mean", "std", "letterbox"):
        values = fitted.get(option)
        if not values:
            continue
        if len(values) not in (1, own.channels):
            raise OptionError(
                f"--{option} has {len(values)} values, and the network takes {own.channels} channels",
                mend=f"give one value for all channels, or {own.channels}",
            )
        fitted[option] = tuple(values) * (own.channels // len(values))
    return replace(own.resized(size), **_boxed(own, fitted))


def _boxed(own: Preprocess, changed: dict[str, Any]) -> dict[str, Any]:
    """What the user changes, with what follows for the letterbox, or of its end.

    Raises:
        OptionError: A letterbox is asked for beside what it leaves no place for.
    """
    asked = changed.get("letterbox")
    if asked == () or (asked is None and changed.get("squash") and own.letterbox):
        ended = {"squash": True} if own.letterbox else {}
        return {**ended, **changed, "letterbox": None}
    given = [option for option in ("crop", "squash") if changed.get(option)]
    if (asked or own.letterbox) and given and (asked or "crop" in given):
        raise OptionError(
            f"--{given[0]}, and photos are put into a letterbox, which shows all of them in their ratio of "
            "sides",
            mend=f"leave --{given[0]} out, or pass --letterbox none",
        )
    if asked:
        return {**changed, "crop": 1.0, "squash": False}
    # A border in the mean colour is zeros once it is normalised: it follows another mean.
    follows = own.letterbox is not None and own.letterbox == own.mean and "mean" in changed
    return {**changed, "letterbox": changed["mean"]} if follows else changed


def refuse_second_normalisation(identity: Identity, changed: Mapping[str, Any]) -> None:
    """Refuse a mean or std that would take the place of the one that a graph itself computes with.

    Raises:
        OptionError: The graph normalises its input, and otherwise than the options say.
    """
    if identity.conventions is not None or not {"mean", "std"} <= {*identity.said}:
        return
    own = identity.preprocess
    for option, figures in (("mean", own.mean), ("std", own.std)):
        given = changed.get(option)
        if given is not None and any(
            abs(value - figure) > _SAME_MEAN
            for value, figure in zip(tuple(given) * (len(figures) // len(given)), figures, strict=False)
        ):
            raise OptionError(
                f"--{option} {_channels(given)}, and {identity.source} normalises its input itself: mean "
                f"{_channels(own.mean)}, std {_channels(own.std)} on pixels of 0…255",
                mend="leave out --mean and --std; if the file is fed images that were normalised before, "
                "export the network without its own normalisation, and say both",
            )


def in_rgb(preprocess: Preprocess, order: Order | None) -> tuple[Preprocess, str | None]:
    """The preprocessing of a bundle, which takes RGB whatever its network takes, and a line that says so.

    Args:
        preprocess: Mean and std in the order of the network's channels.
        order: Of these, as the user says it.

    Raises:
        OptionError: An order of channels that the network does not have.
    """
    if order != "bgr":
        return preprocess, None
    if preprocess.channels != 3:
        raise OptionError(
            f"--channels bgr for a network of {preprocess.channels} input channels",
            mend="leave it out: only three colours have an order",
        )
    border = preprocess.letterbox
    turned = replace(
        preprocess,
        mean=preprocess.mean[::-1],
        std=preprocess.std[::-1],
        letterbox=None if border is None else border[::-1],
    )
    return turned, (
        "channels the network takes BGR: its first convolution, mean and std are turned around, and a "
        "bundle takes RGB, or what --io says"
    )


def order_warning(preprocess: Preprocess, order: Order | None) -> str | None:
    """What is to be said of a mean that is ImageNet's in the order B, G, R."""
    backwards = IMAGENET[0][::-1]
    alike = preprocess.channels == 3 and all(
        abs(a - b) < _SAME_MEAN for a, b in zip(preprocess.mean, backwards, strict=True)
    )
    if order is not None or not alike:
        return None
    return (
        f"mean {_channels(preprocess.mean)} is ImageNet's in the order B, G, R, and the network is taken to "
        "be fed RGB: if it was trained on BGR images (OpenCV's, Caffe's), pass --channels bgr, else "
        "--channels rgb"
    )


def preprocess_line(preprocess: Preprocess, changed: Mapping[str, Any], said: Sequence[str] = ()) -> str:
    """How images are prepared: shown at every build, since the wrong way costs up to ten points.

    ``changed`` is what the user says of it, ``said`` what the checkpoint does.
    """
    height, width = preprocess.size
    resize = "squashed to" if preprocess.squash else "resized to cover"
    channels = CHANNELS[preprocess.channels]
    how = (
        f"{resize} {round(height / preprocess.crop)}×{round(width / preprocess.crop)} "
        f"({preprocess.interpolation}), centre {height}×{width}"
    )
    if preprocess.letterbox is not None:
        how = (
            f"into a letterbox of {height}×{width} ({preprocess.interpolation}), at its top left, the rest "
            f"{_channels(preprocess.letterbox)}"
        )
    figures = f"mean {_channels(preprocess.mean)}, std {_channels(preprocess.std)} on {channels} 0…255"
    shown = f"images   {how}, {figures}"
    own = [name for name in said if name not in changed]
    by = {"by the checkpoint": own, "by option": list(changed)}
    told = "; ".join(f"{', '.join(names)} {whose}" for whose, names in by.items() if names)
    return shown + (f" ({told})" if told else "")


def _channels(values: Channels) -> str:
    distinct = values[:1] if len(set(values)) == 1 else values
    return " ".join(f"{value:g}" for value in distinct)
