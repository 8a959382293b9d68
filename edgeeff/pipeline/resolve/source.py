"""Which network is meant, and what is said of where it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from edgeeff.errors import OptionError
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.request.held import Held
from edgeeff.tasks import FEATURES_TASK, SEGMENTATION
from edgeeff.zoo import catalog, checkpoint_options, conventions, namings
from edgeeff.zoo.sources import Asked, Identity, Order


def resolve_source(request: BuildRequest) -> Asked:
    """What the user says of the network, as far as it can be judged without reading it.

    Raises:
        UnknownModelError: No such network.
        OptionError: Two sources, or a value that makes no sense.
    """
    said = request.source
    if said.model is not None:
        catalog.get(said.model)
    if said.checkpoint is not None and said.weights is not None:
        raise OptionError("both --checkpoint and --weights", mend="pass one of them")
    if said.padding is not None and not conventions.is_option(said.padding):
        raise OptionError(
            f"--padding {said.padding!r}",
            mend=f"choose one of {', '.join(conventions.OPTIONS)}, SIZE being 32 to 4096 pixels",
        )
    if said.bn_epsilon is not None and not 0 < said.bn_epsilon < 1:
        raise OptionError(
            f"--bn-epsilon {said.bn_epsilon:g}", mend="1e-3 and 1e-5 are what networks are trained with"
        )
    if said.origin is not None and said.origin not in namings.of_detectors():
        raise OptionError(
            f"--origin {said.origin!r:.40}", mend=f"choose one of {', '.join(namings.of_detectors())}"
        )
    taps = _taps(request.meaning.task, request.meaning.taps)
    checkpoint_options.read(said.prefix, said.head, taps)
    held = said.checkpoint.value if isinstance(said.checkpoint, Held) else None
    return Asked(
        source=type(held).__name__ if isinstance(said.checkpoint, Held) else said.checkpoint,
        module=held,
        model=said.model,
        weights=said.weights,
        size=request.preprocess.size,
        padding=said.padding,
        epsilon=said.bn_epsilon,
        origin=said.origin,
        prefix=said.prefix,
        head=said.head,
        trust=said.trust_checkpoint,
        channels=resolve_order(said.channels),
        taps=taps,
        by_pixel=request.meaning.task == SEGMENTATION,
    )


def resolve_order(channels: str | None) -> Order | None:
    """The order of three colours.

    Raises:
        OptionError: There is no such order.
    """
    if channels is not None and channels not in get_args(Order):
        raise OptionError(f"--channels {channels!r}", mend=f"choose one of {', '.join(get_args(Order))}")
    return cast("Order | None", channels)


def _taps(task: str | None, taps: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The features that are put out, none named for all that a graph puts out; None for another task.

    Raises:
        OptionError: Features for a task that has logits.
    """
    if taps is not None and task not in (None, FEATURES_TASK):
        raise OptionError(f"--taps with --task {task}", mend="leave one out, or say --task features")
    return taps if taps is not None or task != FEATURES_TASK else ()


def unsettled(warnings: Sequence[str], changed: Mapping[str, Any]) -> list[str]:
    """Warnings of a source, without those that the user's own word settles.

    They end in the options that do, as ``(--mean, --std)``, or name ``--mean``.
    """
    normalised = "mean" in changed and "std" in changed

    def settled(warning: str) -> bool:
        named = re.findall(r"--(\w+)", warning) if re.search(r"\(--\w+(?:, --\w+)*\)$", warning) else []
        return (normalised and "--mean" in warning) or (bool(named) and changed.keys() >= {*named})

    return [warning for warning in warnings if not settled(warning)]


def whose(identity: Identity) -> str:
    """Whose network it is, what was read or left out of it, and what was assumed: for a manifest."""
    return "; ".join([origin(identity), *identity.notes, *(f"assumed: {text}" for text in identity.assumed)])


def network_line(identity: Identity) -> str:
    """Which network it is, whose, and what was assumed: shown at every build."""
    named = " with names" if identity.labels else ""
    outputs = "1 logit" if identity.classes == 1 else f"{identity.classes} classes{named}"
    if identity.outputs:
        outputs = ", ".join(output.name for output in identity.outputs)
    line = f"network  {identity.model}, {origin(identity)}, {outputs}"
    told = [*identity.notes, *(f"assumed: {text}" for text in identity.assumed)]
    return "".join([line, *(f"\n         {text}" for text in told)])


def origin(identity: Identity) -> str:
    """Whose network it is, and the conventions that follow."""
    if identity.conventions is None:
        return identity.origin
    return f"{identity.origin}: {identity.conventions}"
