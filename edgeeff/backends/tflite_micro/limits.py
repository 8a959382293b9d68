"""A network that does not fit its arena is refused, with the figures that help."""

from __future__ import annotations

from edgeeff.backends import Emission
from edgeeff.backends.tflite.model import Model
from edgeeff.backends.tflite_micro import sizes
from edgeeff.backends.tflite_micro.measuring import Arena
from edgeeff.backends.tflite_micro.peak import Peak, at_size, peak
from edgeeff.errors import OptionError

#: Input sizes that are looked at are multiples of this.
_STEP = 16
_LEAST = 32
#: What Lite0 with 1000 classes takes: bytes of activations for each pixel of its input, and bytes that stay.
LITE0_PIXEL, LITE0_LASTING = 19.5, 191_288


def refuse(emission: Emission, model: Model, most: Peak, arena: Arena | None) -> None:
    """Refuse a model that takes more than the target's property ``arena``.

    Args:
        emission: What it is written from.
        model: It.
        most: Where its activations take most.
        arena: What it was measured to take; None: nothing measured, so its activations alone are looked at.

    Raises:
        OptionError: It takes more.
    """
    said = emission.target.runtime_properties.get("arena")
    if said is None:
        return
    limit = sizes.read(said)
    size, lasting = (most.size, 0) if arena is None else (arena.size, arena.lasting)
    if size <= limit:
        return
    held = f", and {sizes.shown(lasting)} stay" if lasting else ", by their shapes alone"
    raise OptionError(
        f"{emission.name} takes an arena of {sizes.shown(size)} ({size} bytes), and --arena is {said}: "
        f"{sizes.shown(size - lasting)} are for activations, most at {most}{held}",
        mend=f"{_smaller(model, limit, lasting)}; or allow --arena {sizes.shown(size)}",
    )


def _smaller(model: Model, limit: int, lasting: int) -> str:
    """What would fit, half a sentence."""
    (source,) = (model.tensors[name].shape for name in model.inputs.values())
    height, width = source[1:3]
    if lasting >= limit:
        return (
            f"no input size makes it fit, as {sizes.shown(lasting)} stay whatever that is: choose a network "
            "with fewer channels and classes"
        )
    fits = _fitting(model, limit - lasting)
    found = []
    if fits is not None:
        size, needs = fits
        side = f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"
        found.append(f"--size {side} takes about {sizes.shown(needs + lasting)}")
    lite0 = round(LITE0_PIXEL * height * width) + LITE0_LASTING
    if lite0 <= limit:
        found.append(f"--model lite0 with this size takes about {sizes.shown(lite0)}")
    if not found:
        return "no input size down to 32 makes it fit: choose a smaller network, such as lite0"
    return " and ".join(found)


def _fitting(model: Model, room: int) -> tuple[tuple[int, int], int] | None:
    """The largest smaller input, of the same ratio of sides, whose activations fit, and what they take."""
    (source,) = (model.tensors[name].shape for name in model.inputs.values())
    height, width = source[1:3]
    for side in range((height - 1) // _STEP * _STEP, _LEAST - 1, -_STEP):
        across = max(_LEAST, round(side * width / height / _STEP) * _STEP)
        shapes = at_size(model, side, across)
        if shapes is None:
            return None
        needs = peak(model, shapes).size
        if needs <= room:
            return (side, across), needs
    return None
