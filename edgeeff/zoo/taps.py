"""Which features of a network are put out: the taps of a build. Imports no torch.

A tap of a network of the zoo is a stride (``8``: the output of the last block of that stride, as detectors
and segmenters read it) or ``embedding`` (the pooled features, which the classifier would read). A tap of a
graph that somebody else exported is the name of one of its tensors. A vector with ``:l2`` behind it
(``embedding:l2``) is divided by its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeeff.errors import OptionError
from edgeeff.tasks import EMBEDDING
from edgeeff.zoo.architecture import TAP_STRIDES
from edgeeff.zoo.spec import ModelSpec

#: Behind a tap: divided by its length (L2 norm).
UNIT = ":l2"


@dataclass(frozen=True)
class Tapped:
    """An output of features.

    Args:
        name: In the graph and the artifact: ``features_8``, ``embedding``.
        tap: What was tapped: a stride, ``embedding``, or a tensor of the user's file.
    """

    name: str
    tap: str

    @classmethod
    def of(cls, tap: str) -> Tapped:
        """The output of a network's tap."""
        return cls(name(tap), tap)

    @property
    def divided(self) -> bool:
        """Whether it is put out divided by its length."""
        return self.tap.endswith(UNIT)


def read(taps: str | Sequence[str | int]) -> tuple[str, ...]:
    """Taps as a user writes them: ``8,16,embedding``, or a list of them.

    Raises:
        OptionError: There are none, or one is named twice.
    """
    named = taps.split(",") if isinstance(taps, str) else [str(tap) for tap in taps]
    found = tuple(tap.strip() for tap in named)
    if not found or not all(found):
        raise OptionError(
            "--taps names nothing" if not any(found) else f"--taps {','.join(found)} has an empty place",
            mend="name strides, embedding, or both: --taps 8,16,32,embedding; of an ONNX file its tensors",
        )
    if twice := next((tap for tap in found if found.count(tap) > 1), None):
        raise OptionError(f"--taps names {twice} twice", mend="name each once")
    return found


def name(tap: str) -> str:
    """The output of a network's tap: ``features_8``, ``embedding``."""
    return EMBEDDING if tap in (EMBEDDING, EMBEDDING + UNIT) else f"features_{tap}"


def refuse_unknown(taps: Sequence[str], spec: ModelSpec | None) -> None:
    """Refuse taps that a network of the zoo does not have; None: it is not known yet which one it is.

    Raises:
        OptionError: One is no stride of it and not ``embedding``, or none is named.
    """
    strides = list(map(str, TAP_STRIDES if spec is None else spec.architecture.taps()))
    whose = "an EfficientNet" if spec is None else spec.name
    known = f"{whose} has the taps {', '.join(strides)} (strides), {EMBEDDING} (pooled), {EMBEDDING}{UNIT}"
    if not taps:
        raise OptionError("--task features without --taps", mend=f"say which: {known}")
    for tap in taps:
        if tap not in (*strides, EMBEDDING, EMBEDDING + UNIT):
            raise OptionError(f"--taps: {whose} has no tap {tap!r}", mend=known)
    if {EMBEDDING, EMBEDDING + UNIT} <= {*taps}:
        raise OptionError(
            f"--taps names {EMBEDDING} and {EMBEDDING}{UNIT}, which is the same divided by its length",
            mend="name one of them",
        )
