"""From a checkpoint's tensors to those of one network, or to what exactly does not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import catalog, heads, namings
from edgeeff.zoo.architecture import Architecture, Shape
from edgeeff.zoo.spec import ModelSpec

_SHOWN = 3  # tensors named in a message for each kind of misfit
_UNCOUNTED = "num_batches_tracked"
_LAYER = re.compile(r"classifier\.(?P<index>\d+(?:\.\d+)*)\.(?P<part>\w+)")


@dataclass(frozen=True)
class Fitted:
    """A network's tensors by our names, float32; the naming that the file had; what was assumed, and what the
    user must be warned of."""

    tensors: dict[str, Tensor]
    naming: str
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    activations: tuple[heads.HiddenActivation, ...] = ()  # after each hidden layer of the head


@dataclass(frozen=True)
class _Match:
    """How a checkpoint's tensors lie against one network."""

    spec: ModelSpec
    keys: dict[str, str]  # our name → the file's, without the head
    head: heads.Head
    misfits: tuple[str, ...]
    wrong: int  # tensors that do not fit
    naming: str


def which(tensors: Mapping[str, Tensor], path: Path, head: Sequence[heads.Layer] | None = None) -> ModelSpec:
    """The network that a checkpoint's tensors are of.

    Args:
        tensors: By the names they have in the file.
        path: Of the file, for messages.
        head: The head's layers, where the file says them itself.

    Raises:
        CheckpointError: They are of none, or in an unknown naming.
    """
    keys, naming = _naming(tensors, path)
    matches = [_match(tensors, keys, naming, catalog.get(name), head) for name in catalog.names()]
    for match in matches:
        if not match.misfits:
            return match.spec
    nearest = min(matches, key=lambda match: match.wrong)
    raise CheckpointError(
        f"{path} fits no network of the zoo; the nearest is {nearest.spec.name}: "
        f"{'; '.join(nearest.misfits)}",
        mend="pass a whole checkpoint of one of `edgeeff models`, or export the network to ONNX",
    )


def fit(
    tensors: Mapping[str, Tensor], spec: ModelSpec, path: Path, head: Sequence[heads.Layer] | None = None
) -> Fitted:
    """Translate a checkpoint's tensors to the network's, all of them and nothing else.

    Args:
        tensors: By the names they have in the file.
        spec: The network they should be of, with any number of classes and any head of Linear layers.
        path: Of the file, for messages.
        head: The head's layers, where the file says them itself.

    Raises:
        CheckpointError: Of another architecture, in an unknown naming, quantised, or not finite.
    """
    keys, naming = _naming(tensors, path)
    match = _match(tensors, keys, naming, spec, head)
    if match.misfits:
        raise CheckpointError(
            f"{path} is not a checkpoint of {spec.name}: {'; '.join(match.misfits)}",
            mend=_nearest(tensors, keys, naming, head)
            or f"pass a checkpoint of {spec.name}, whole and with its classifier",
        )
    for key in match.keys.values():
        _check_values(tensors[key], key, path)
    for name, tensor in match.head.tensors.items():
        _check_values(tensor, name, path)
    # In the network's own order, so that what follows does not depend on the file's.
    body = {name: tensors[match.keys[name]] for name in spec.architecture.tensors(0) if name in match.keys}
    ordered = {**body, **match.head.tensors}
    return Fitted(
        tensors={name: value.detach().to(torch.float32).contiguous() for name, value in ordered.items()},
        naming=naming,
        assumed=match.head.assumed,
        activations=match.head.activations,
    )


def _naming(tensors: Mapping[str, Tensor], path: Path) -> tuple[list[str], str]:
    keys = [key for key in tensors if not key.endswith(_UNCOUNTED)]
    naming = namings.detect(keys)
    if naming is None:
        raise CheckpointError(
            f"{path} is no EfficientNet in a naming that is known: its tensors are {_some(keys)}",
            mend=f"rename the tensors to one of the namings {', '.join(namings.names())}, "
            "or export the network to ONNX and pass that",
        )
    return keys, naming


def _match(
    tensors: Mapping[str, Tensor],
    keys: Sequence[str],
    naming: str,
    spec: ModelSpec,
    layers: Sequence[heads.Layer] | None,
) -> _Match:
    translation = namings.translate(naming, keys, spec.architecture)
    ours = {name: key for key, name in translation.ours.items()}
    body = {name: key for name, key in ours.items() if not name.startswith("classifier.")}
    problems: list[str] = []
    try:
        if layers is None:
            head = _by_names({name: tensors[key] for name, key in ours.items() if name not in body})
        else:
            head = heads.straighten(layers)
    except heads.HeadError as error:
        head = heads.Head({})
        problems.append(str(error))
    shapes = {name: tuple(tensors[key].shape) for name, key in body.items()}
    shapes |= {name: tuple(tensor.shape) for name, tensor in head.tensors.items()}
    expected = _expected(spec.architecture, shapes)
    missing = [name for name in expected if name not in shapes]
    extra = [*translation.unexpected, *(ours[name] for name in body if name not in expected)]
    differing = [
        f"{name} {_dimensions(shapes[name])} instead of {_dimensions(expected[name])}"
        for name in expected
        if name in shapes and shapes[name] != expected[name]
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    phrases = [f"{len(found)} {kind} ({_some(found)})" for kind, found in kinds.items() if found]
    wrong = len(missing) + len(extra) + len(differing)
    return _Match(spec, body, head, (*phrases, *problems), wrong + len(problems), naming)


def _expected(architecture: Architecture, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The tensors that the network should have, with the classes and hidden layers that the file has."""
    classifier = shapes.get("classifier.weight", ())
    expected = architecture.tensors(classes=classifier[0] if len(classifier) == 2 else 0)
    features, i = architecture.head, 0
    while len(hidden := shapes.get(f"hidden.{i}.weight", ())) == 2:
        expected |= {f"hidden.{i}.weight": (hidden[0], features), f"hidden.{i}.bias": hidden[:1]}
        features, i = hidden[0], i + 1
    if len(classifier) == 2:
        expected["classifier.weight"] = (classifier[0], features)
    return expected


def _nearest(
    tensors: Mapping[str, Tensor], keys: Sequence[str], naming: str, head: Sequence[heads.Layer] | None
) -> str | None:
    """The advice to name another network, if the checkpoint fits one."""
    for name in catalog.names():
        if not _match(tensors, keys, naming, catalog.get(name), head).misfits:
            return f"all tensors fit {name}: pass --model {name}"
    return None


def _by_names(tensors: Mapping[str, Tensor]) -> heads.Head:
    """The head of tensors ``classifier.<index>.<part>``; where one index is missing, a ReLU is assumed."""
    found: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is not None:
            place = tuple(int(i) for i in match["index"].split("."))
            found.setdefault(place, {})[match["part"]] = tensor
    if not found:
        return heads.Head(dict(tensors))
    layers: list[heads.Layer] = []
    before: int | None = None
    for i, place in enumerate(sorted(found)):
        at = place[0] if all(len(p) == 1 for p in found) else 2 * i
        kind = "norm" if "running_mean" in found[place] else "linear"
        name = ".".join(map(str, place))
        pending = before is not None and layers[-1].kind == "norm" and kind == "linear"
        if (
            before is not None
            and at - before > 1
            and not (pending and len(layers) > 1 and layers[-2].kind == "relu")
        ):
            layers.append(heads.Layer("relu"))
        layers.append(heads.Layer(kind, found[place], name=f"classifier.{name}"))
        before = at
    head = heads.straighten(layers)
    count = len(head.activations)
    assumed = (f"a ReLU after {'the' if count == 1 else 'each'} hidden layer of the head",) if count else ()
    return heads.Head(head.tensors, head.activations, assumed)


def _check_values(tensor: Tensor, key: str, path: Path) -> None:
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        raise CheckpointError(
            f"{path}: {key} is {str(tensor.dtype).removeprefix('torch.')}, not a floating-point tensor",
            mend="pass the float checkpoint from before quantisation or pruning",
        )
    if not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"{path}: {key} holds NaN or infinite values",
            mend="pass a checkpoint from before the training diverged",
        )
    if key.endswith("running_var") and (tensor < 0).any():
        raise CheckpointError(
            f"{path}: {key} holds negative variances", mend="pass a checkpoint that is not damaged"
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown


def _dimensions(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"
