"""From a checkpoint's tensors to those of one network, or to what exactly does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.preprocess import MODES
from edgeeff.zoo import accounting, catalog, namings
from edgeeff.zoo.accounting import Accounted
from edgeeff.zoo.accounting.copies import is_head
from edgeeff.zoo.architecture import Architecture, Shape
from edgeeff.zoo.heads import HiddenActivation
from edgeeff.zoo.spec import ModelSpec

_SHOWN = 3  # tensors named in a message for each kind of misfit


@dataclass(frozen=True)
class Fitted:
    """A network's tensors by our names, float32; the naming that the file had; what follows each hidden layer
    of its head; the network's tensors in the file that lie behind the last tap, by our names."""

    tensors: dict[str, Tensor]
    naming: str
    activations: tuple[HiddenActivation, ...] = ()
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Match:
    """How a checkpoint's tensors lie against one network."""

    spec: ModelSpec
    keys: dict[str, str]  # our name → the file's, without the head
    misfits: tuple[str, ...]
    wrong: int  # tensors that do not fit
    cut: int = 0  # tensors behind the last tap that the file has not
    headless: bool = False  # the classifier is all that it has not


def which(
    tensors: Mapping[str, Tensor], accounted: Accounted, path: object, taps: tuple[str, ...] = ()
) -> ModelSpec:
    """The network that a checkpoint's tensors are of.

    Args:
        tensors: By the names they have in the file.
        accounted: Each in its place.
        path: Of the file, for messages.
        taps: The features that are put out: of what lies behind them any part may be missing.

    Raises:
        CheckpointError: They are of none, or there are some that nothing is known of.
    """
    matches = [_match(tensors, accounted, spec, taps) for spec in catalog.classifiers()]
    fitting = [match for match in matches if not match.misfits]
    if fitting:
        accounting.refuse_strays(accounted, path)
        return min(fitting, key=lambda match: match.cut).spec
    nearest = min(matches, key=lambda match: match.wrong)
    raise CheckpointError(
        f"{path} fits no network of the zoo; the nearest is {nearest.spec.name}: "
        f"{'; '.join(_with_strays(nearest, accounted))}",
        mend=_headless(nearest)
        or "pass a whole checkpoint of one of `edgeeff models`, or export the network to ONNX",
    )


def fit(
    tensors: Mapping[str, Tensor],
    accounted: Accounted,
    spec: ModelSpec,
    path: object,
    taps: tuple[str, ...] = (),
) -> Fitted:
    """Translate a checkpoint's tensors to the network's, all of them and nothing else.

    Args:
        tensors: By the names they have in the file.
        accounted: Each in its place.
        spec: The network they should be of, with any number of classes and any head that can be kept.
        path: Of the file, for messages.
        taps: The features that are put out; what lies behind them is not taken, and may be missing.

    Raises:
        CheckpointError: Of another architecture, quantised, or not finite; or there are some that nothing is
            known of.
    """
    match = _match(tensors, accounted, spec, taps)
    if match.misfits:
        raise CheckpointError(
            f"{path} is not a checkpoint of {spec.name}: {'; '.join(_with_strays(match, accounted))}",
            mend=_nearest(tensors, accounted, taps)
            or _headless(match)
            or f"pass a checkpoint of {spec.name}, whole{'' if taps else ' and with its classifier'}",
        )
    accounting.refuse_strays(accounted, path)
    # In the network's own order, so that what follows does not depend on the file's.
    own = spec.architecture.tensors_until(taps) if taps else spec.architecture.tensors(0)
    body = {name: tensors[match.keys[name]] for name in own if name in match.keys}
    for key in (*(match.keys[name] for name in body), *accounted.layers):
        check_values(tensors[key], key, path)
    ordered = {**body, **accounted.head.tensors}
    return Fitted(
        tensors={name: value.detach().to(torch.float32).contiguous() for name, value in ordered.items()},
        naming=accounted.naming,
        activations=accounted.head.activations,
        unused=tuple(name for name in match.keys if name not in body),
    )


def _match(
    tensors: Mapping[str, Tensor], accounted: Accounted, spec: ModelSpec, taps: tuple[str, ...] = ()
) -> _Match:
    body: dict[str, str] = {}
    for key, tail in accounted.trunk.items():
        name = namings.ours_of(accounted.naming, tail, spec.architecture)
        if name:
            body[name] = key
    shapes = {name: tuple(tensors[key].shape) for name, key in body.items()}
    shapes |= {name: tuple(tensor.shape) for name, tensor in accounted.head.tensors.items()}
    expected = _expected(spec.architecture, shapes)
    if taps:
        expected = {name: shape for name, shape in expected.items() if not is_head(name)}
    needed = spec.architecture.tensors_until(taps) if taps else expected
    absent = [name for name in expected if name not in shapes]
    missing = [name for name in absent if name in needed]
    extra = [body[name] for name in body if name not in expected]
    differing = [
        f"{name} {dimensions(shapes[name])} instead of {dimensions(expected[name])}"
        for name in expected
        if name in shapes and shapes[name] != expected[name]
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    phrases = [f"{len(found)} {kind} ({some(found)})" for kind, found in kinds.items() if found]
    wrong = len(missing) + len(extra) + len(differing)
    headless = 0 < wrong == sum(map(is_head, missing))
    return _Match(spec, body, tuple(phrases), wrong, len(absent) - len(missing), headless)


def _with_strays(match: _Match, accounted: Accounted) -> list[str]:
    strays = list(accounted.strays)
    return [*match.misfits, *([f"{len(strays)} beside the network ({some(strays)})"] if strays else [])]


def _expected(architecture: Architecture, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The tensors that the network should have, with the classes, hidden layers and input channels that the
    file has."""
    stem, classifier = shapes.get("stem.conv.weight", ()), shapes.get("classifier.weight", ())
    if len(stem) == 4 and stem[1] in MODES:
        architecture = replace(architecture, inputs=stem[1])
    expected = architecture.tensors(classes=classifier[0] if len(classifier) == 2 else 0)
    features, i = architecture.head, 0
    while len(hidden := shapes.get(f"hidden.{i}.weight", ())) == 2:
        expected |= {f"hidden.{i}.weight": (hidden[0], features), f"hidden.{i}.bias": hidden[:1]}
        features, i = hidden[0], i + 1
    if len(classifier) == 2:
        expected["classifier.weight"] = (classifier[0], features)
    return expected


def _headless(match: _Match) -> str | None:
    """The advice to build features, where a classifier is all that a checkpoint lacks."""
    if match.headless:
        return "pass it with its classifier, or build its features: --task features --taps 8,16,32"
    return None


def _nearest(tensors: Mapping[str, Tensor], accounted: Accounted, taps: tuple[str, ...]) -> str | None:
    """The advice to name another network, if the checkpoint fits one."""
    for spec in catalog.classifiers():
        if not _match(tensors, accounted, spec, taps).misfits:
            return f"all tensors fit {spec.name}: pass --model {spec.name}"
    return None


def check_values(tensor: Tensor, key: str, path: object) -> None:
    """Refuse values that no trained network has.

    Raises:
        CheckpointError: Integers, NaN, infinite ones, or negative variances.
    """
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


def some(names: Sequence[str]) -> str:
    """The first few of some names, for a message."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown


def dimensions(shape: Shape) -> str:
    """A shape as a message shows it: 64×3×3×3."""
    return "×".join(map(str, shape)) or "scalar"
