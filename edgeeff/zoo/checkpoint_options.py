"""What the user chooses of a checkpoint that holds more than one network or head. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeeff.errors import OptionError

#: Layers that do nothing at inference.
IDLE = ("dropout", "identity", "flatten")
#: Activations that a head may have, beside those with a slope of their own.
ACTIVATIONS = ("relu", "relu6", "swish", "sigmoid", "tanh", "hard_sigmoid", "hard_tanh")
SLOPED = ("leaky_relu", "prelu")
#: Every kind of layer that a head may have.
KINDS = ("linear", "norm", *ACTIVATIONS, *SLOPED, *IDLE)
#: Of these the tensors are in the file.
HOLDING = ("linear", "norm", "prelu")

_CALLED = {"bn": "norm", "batchnorm": "norm", "batchnorm1d": "norm", "silu": "swish", "fc": "linear"} | {
    "dense": "linear",
    "dropout1d": "dropout",
}
_STEP = re.compile(r"(?P<kind>\w+)(?:\((?P<value>[^()]+)\))?")
_MEND = 'name the layers in computing order: --head "linear,bn,relu,dropout,linear"'


@dataclass(frozen=True)
class Step:
    """One layer that the user named; ``value`` is a norm's epsilon or a leaky_relu's slope, if given."""

    kind: str
    value: float | None = None


@dataclass(frozen=True)
class HeadGiven:
    """A head as the user says it: its layers in computing order, and the name that they lie under."""

    steps: tuple[Step, ...]
    under: str | None = None

    def holding(self) -> list[Step]:
        """The layers that have tensors."""
        return [step for step in self.steps if step.kind in HOLDING]


@dataclass(frozen=True)
class Chosen:
    """Which part of a checkpoint is meant.

    Args:
        prefix: Only tensors whose names begin so.
        head: What the head computes.
        taps: The features that are put out; with any the head is not of use.
        origin: Whose detector it computes as; None: whose names its tensors have.
    """

    prefix: str | None = None
    head: HeadGiven | None = None
    taps: tuple[str, ...] = ()
    origin: str | None = None


def read(prefix: str | None = None, head: str | None = None, taps: tuple[str, ...] | None = None) -> Chosen:
    """What ``--prefix``, ``--head`` and ``--taps`` say.

    Args:
        prefix: ``backbone.``, with or without the dot.
        head: ``linear,bn,relu,linear``; ``fc_layers:linear`` of layers whose names begin so;
            ``bn(0.001)`` and ``leaky_relu(0.2)`` with their epsilon and slope.
        taps: Strides and ``embedding``.

    Raises:
        OptionError: A value makes no sense.
    """
    if prefix is not None and not prefix.strip():
        raise OptionError("--prefix is empty", mend="give the beginning of the network's names in the file")
    if head is None:
        return Chosen(prefix, taps=taps or ())
    if taps is not None:
        raise OptionError("--head with --task features, which has no head", mend="leave out --head")
    under, colon, text = head.rpartition(":")
    steps = tuple(_steps(text))
    if not any(step.kind == "linear" for step in steps):
        raise OptionError(f"--head {head!r} has no linear layer", mend=_MEND)
    last = next(step.kind for step in reversed(steps) if step.kind not in IDLE)
    if last not in ("linear", "norm"):
        raise OptionError(
            f"--head {head!r} ends in {last}", mend="let it end in the layer that gives the logits"
        )
    return Chosen(prefix, HeadGiven(steps, under.strip().rstrip(".") if colon else None))


def _steps(text: str) -> Iterator[Step]:
    for word in text.split(","):
        match = _STEP.fullmatch(word.strip().lower())
        if match is None:
            raise OptionError(f"--head: {word.strip()!r} is no layer", mend=_MEND)
        plain = match["kind"].replace("_", "")
        known = {kind.replace("_", ""): kind for kind in KINDS} | _CALLED
        kind = known.get(plain)
        if kind is None:
            raise OptionError(
                f"--head: a head with {word.strip()} cannot be kept",
                mend=f"a head may have bn, {', '.join(kind for kind in KINDS if kind != 'norm')}",
            )
        yield Step(kind, _value(word.strip(), kind, match["value"]))


def _value(word: str, kind: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if kind in IDLE:  # dropout(0.2): its rate does not matter
        return None
    if kind not in ("norm", "leaky_relu") or not 0 < value < 1:
        raise OptionError(
            f"--head: {word} has a value that makes no sense",
            mend="bn(0.001) gives an epsilon, leaky_relu(0.2) a slope; other layers take no value",
        )
    return value
