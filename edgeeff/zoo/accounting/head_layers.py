"""From the layers with tensors that a checkpoint holds to a head, where their names say it.

A state_dict holds tensors under the names of their places, not what is computed between them: activations
and dropout leave no trace. Two places next to each other in one ``nn.Sequential`` have nothing between them;
in all other cases the user has to say what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import heads
from edgeeff.zoo.checkpoint_options import HOLDING, HeadGiven, Step
from edgeeff.zoo.heads import Head, Layer

_SHOWN = 6  # layers named in a message
_OTHER_WAYS = "export the network to ONNX and pass that, or pass module:callable with --trust-checkpoint"
_EPSILON = "the head's batch normalisation has torch's epsilon, 1e-5 (--head with bn(0.001) gives another)"
_NORM = {"running_mean", "running_var"}


@dataclass(frozen=True, eq=False)
class Place:
    """A layer with tensors that is not of the network's trunk.

    Args:
        name: In the file.
        tensors: By their part, as ``weight``.
        own: Its place within the library's own classifier (``""``: the classifier itself; ``1.0``); None:
            it lies beside.
        keys: The tensors' whole names in the file.
    """

    name: str
    tensors: Mapping[str, Tensor]
    own: str | None = None
    keys: tuple[str, ...] = ()

    @property
    def kind(self) -> str | None:
        """The kind of layer that its tensors are of; None: of none that a head has."""
        parts = self.tensors.keys()
        weight = self.tensors.get("weight")
        if _NORM <= parts <= {*_NORM, "weight", "bias"}:
            return "norm"
        if weight is None or not parts <= {"weight", "bias"}:
            return None
        if weight.dim() == 2:
            return "linear"
        return "prelu" if weight.dim() == 1 and "bias" not in parts else None

    @property
    def shown(self) -> str:
        """Its name with the shape of its largest tensor."""
        shape = max(self.tensors.values(), key=Tensor.numel).shape
        return f"{self.name or ' and '.join(self.keys)} {'×'.join(map(str, shape))}"


def decided(places: Sequence[Place], path: str, usual: str) -> Head:
    """The head that the names of its layers say.

    Args:
        places: Its layers, in the file's order.
        path: Of the file, for messages.
        usual: Where in the library's own classifier its Linear stands.

    Raises:
        CheckpointError: They do not say it.
    """
    unclear = _unclear(places)
    if unclear is not None:
        raise CheckpointError(
            f"{path} does not say what its head computes: {unclear} ({some(places)})",
            mend="; or ".join(filter(None, [_example(places), _several(places), _OTHER_WAYS])),
        )
    warnings = _guessed(places[0], usual)
    layers = [_layer(place, Step(place.kind or "")) for place in places]
    head = _straighten(layers, path)
    normalised = any(layer.kind == "norm" for layer in layers)
    return replace(head, warnings=warnings, assumed=(_EPSILON,) if normalised else ())


def given(places: Sequence[Place], head: HeadGiven, path: str, ordered: bool) -> tuple[Head, list[Place]]:
    """The head that the user says, and the layers that he leaves out by it.

    Args:
        places: All layers beside the trunk, in the file's order.
        head: What he says.
        path: Of the file, for messages.
        ordered: Whether the file's order is that in which the network's layers were made.

    Raises:
        CheckpointError: The file's layers are others in number, kind or shape.
    """
    under = head.under
    meant = [place for place in places if under is None or f".{under}." in f".{place.name}."]
    left = [place for place in places if place not in meant]
    steps = head.holding()
    orders = list(_assignments(meant, steps, ordered))
    if len(orders) != 1:
        said = ", ".join({"norm": "bn"}.get(step.kind, step.kind) for step in steps)
        why = "match it in more than one order" if orders else "do not match it in number, kind or shape"
        raise CheckpointError(
            f"{path}: --head says {said}; the file holds {some(meant) or 'no layer'}"
            f"{f' under {under}' if under else ''}, which {why}",
            mend="name every layer of the head in computing order, bn for batch normalisation; "
            + (
                f'of several heads name the one that is meant: --head "{places[-1].name}:linear"; '
                if under is None and len(places) > len(steps)
                else ""
            )
            + f"or {_OTHER_WAYS}",
        )
    queue = iter(orders[0])
    layers = [_layer(next(queue) if step.kind in HOLDING else None, step) for step in head.steps]
    found = _straighten(layers, path)
    usual = any(step.kind == "norm" and step.value is None for step in head.steps)
    notes = (f"the head is {_computed(layers)}, as --head says",)
    return replace(found, notes=notes, assumed=(_EPSILON,) if usual else ()), left


def some(places: Sequence[Place]) -> str:
    """The layers as a message names them."""
    shown = ", ".join(place.shown for place in places[:_SHOWN])
    return f"{shown}, …" if len(places) > _SHOWN else shown


def _unclear(places: Sequence[Place]) -> str | None:
    """Why the names do not say what the head computes; None if they do."""
    own = [place for place in places if place.own is not None]
    if own and len(own) < len(places):
        return "it holds the library's own classifier and layers beside it"
    linear = [place for place in places if place.kind == "linear"]
    if not linear:
        return "it holds no Linear layer"
    bare = [p.name for p, after in zip(places, [*places[1:], None], strict=True) if p in linear
            and "bias" not in p.tensors and (after is None or after.kind != "norm")]  # fmt: skip
    if bare:
        return f"{bare[0]} has no bias: it may be a Linear, or the class centres of a metric loss"
    if vague := [place.name for place in places if place.kind == "prelu"]:
        return f"{vague[0]} may be a PReLU, or a scale of another kind"
    if len(places) == 1:
        place = places[0].name if places[0].own is None else places[0].own
        return f"what stands before {places[0].name} leaves no trace" if _behind(place) > 1 else None
    if not own:
        return "what is computed between its layers leaves no trace"
    return _gap(own)


def _gap(own: Sequence[Place]) -> str | None:
    """Where in the library's own classifier there is room for what leaves no trace."""
    paths = [(place.own or "").split(".") for place in own]
    if not all(part.isdigit() for path in paths for part in path):
        return "what is computed between its layers leaves no trace"
    if len({tuple(path[:-1]) for path in paths}) > 1:
        return "its layers lie in different parts, and what is computed between these leaves no trace"
    if _behind(own[0].own or "") > (own[0].kind == "linear"):
        return f"what stands before {own[0].name} leaves no trace"
    for a, b in pairwise(own):
        if int((b.own or "").rpartition(".")[2]) - int((a.own or "").rpartition(".")[2]) != 1:
            return f"what stands between {a.name} and {b.name} leaves no trace"
    return None


def _behind(place: str) -> int:
    """How many layers without a trace stand before a place such as ``fc.1.0``."""
    parts = place.split(".")
    while parts and not all(part.isdigit() for part in parts):
        del parts[0]
    return sum(map(int, parts))


def _guessed(first: Place, usual: str) -> tuple[str, ...]:
    """What is likely of a head's first layer, and leaves no trace."""
    if first.own is None:
        return (
            f"the head is taken to be {first.name}, the one Linear layer beside the network, nothing but "
            'dropout stands before it: neither leaves a trace (--head "linear" confirms it)',
        )
    within = first.own.removeprefix(usual).removeprefix(".") if usual else first.own
    if all(part.isdigit() for part in within.split(".") if part) and _behind(within) == 0:
        return ()
    return (
        f"nothing but dropout is taken to stand before the head's {first.name}: what stands there leaves no "
        'trace (--head "linear" confirms it)',
    )


def _assignments(meant: Sequence[Place], steps: Sequence[Step], ordered: bool) -> Iterator[list[Place]]:
    """The orders of the layers that fit the kinds and whose shapes follow each other: the file's, or two."""
    if len(meant) != len(steps):
        return
    if ordered and _fits(meant, steps):
        yield list(meant)
        return
    found = 0
    stack: list[list[Place]] = [[]]
    while stack and found < 2:
        chain = stack.pop()
        if len(chain) == len(steps):
            found += 1
            yield chain
            continue
        stack += [
            [*chain, p] for p in meant if p not in chain and _fits([*chain, p], steps[: len(chain) + 1])
        ]


def _fits(places: Sequence[Place], steps: Sequence[Step]) -> bool:
    width: int | None = None
    for place, step in zip(places, steps, strict=True):
        if place.kind != step.kind:
            return False
        tensor = place.tensors["running_mean" if step.kind == "norm" else "weight"]
        if step.kind == "prelu":
            if width is not None and len(tensor) not in (1, width):
                return False
            continue
        if width is not None and tensor.shape[-1] != width:
            return False
        width = tensor.shape[0]
    return True


def _layer(place: Place | None, step: Step) -> Layer:
    tensors = {} if place is None else dict(place.tensors)
    name = "" if place is None else place.name
    if step.value is None:
        return Layer(step.kind, tensors, name=name)
    if step.kind == "norm":
        return Layer(step.kind, tensors, epsilon=step.value, name=name)
    return Layer(step.kind, tensors, slope=step.value, name=name)


def _straighten(layers: Sequence[Layer], path: str) -> Head:
    try:
        return heads.straighten(layers)
    except heads.HeadError as error:
        raise CheckpointError(
            f"{path}: {error}",
            mend=f"pass a checkpoint whose head's layers follow each other; or {_OTHER_WAYS}",
        ) from None


def _computed(layers: Sequence[Layer]) -> str:
    return " → ".join(layer.name or layer.kind for layer in layers)


def _example(places: Sequence[Place]) -> str:
    """How to say a head of these layers, if they can follow each other: with a relu before each Linear but
    the first, as people mostly have it."""
    steps = [Step(place.kind or "") for place in places]
    if not _fits(places, steps):
        return ""
    words: list[str] = []
    for step in steps:
        if step.kind == "linear" and "linear" in words:
            words.append("relu")
        words.append("bn" if step.kind == "norm" else step.kind)
    return f'say its layers in computing order, such as --head "{",".join(words)}" if that is what it has'


def _several(places: Sequence[Place]) -> str:
    """How to take one of several heads: of Linear layers that read as many features."""
    linear = [place for place in places if place.kind == "linear"]
    reading = [p for p in linear if p.tensors["weight"].shape[1] == linear[0].tensors["weight"].shape[1]]
    if len(reading) < 2:
        return ""
    ways = [f'--head "{place.name}:linear"' for place in reading[:_SHOWN]]
    return f"if one of them alone is the head, say which, as {' or '.join(ways)}"
