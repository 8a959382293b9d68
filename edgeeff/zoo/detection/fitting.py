"""From a checkpoint's tensors to those of one detector, or to what exactly does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import accounting, catalog, namings
from edgeeff.zoo.accounting import Accounted
from edgeeff.zoo.detection import efficientdet
from edgeeff.zoo.detection.architecture import CLASS_HEAD
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.fitting import check_values, dimensions, some


@dataclass(frozen=True)
class _Match:
    """How a checkpoint's tensors lie against one detector."""

    spec: DetectorSpec
    keys: dict[str, str]  # our name → the file's
    misfits: tuple[str, ...]
    wrong: int  # tensors that do not fit


def which(tensors: Mapping[str, Tensor], accounted: Accounted, path: object) -> list[DetectorSpec]:
    """The detectors that a checkpoint's tensors fit: one, or several that have the same tensors.

    Raises:
        CheckpointError: They fit none.
    """
    matches = [_match(tensors, accounted, spec) for spec in catalog.detectors()]
    fitting = [match.spec for match in matches if not match.misfits]
    if fitting:
        return fitting
    nearest = min(matches, key=lambda match: match.wrong)
    raise CheckpointError(
        f"{path} fits no detector of the zoo; the nearest is {nearest.spec.name}: "
        f"{'; '.join(nearest.misfits)}",
        mend="pass a whole checkpoint of one of `edgeeff models`",
    )


def fit(
    tensors: Mapping[str, Tensor], accounted: Accounted, spec: DetectorSpec, path: object
) -> tuple[dict[str, Tensor], DetectorSpec]:
    """Translate a checkpoint's tensors to the detector's, all of them and nothing else.

    Returns:
        The tensors by our names, float32, in the network's own order; and the detector, with biases and
        weights of fusion where the checkpoint has them.

    Raises:
        CheckpointError: Of another architecture, quantised, or not finite; with anchors that are not known;
            or there are tensors that nothing is known of.
    """
    match = _match(tensors, accounted, spec)
    if match.misfits:
        fitting = [m.name for m in catalog.detectors() if not _match(tensors, accounted, m).misfits]
        raise CheckpointError(
            f"{path} is not a checkpoint of {spec.name}: {'; '.join(match.misfits)}",
            mend=f"all tensors fit {fitting[0]}: pass --model {fitting[0]}"
            if fitting
            else f"pass a whole checkpoint of {spec.name}",
        )
    accounting.refuse_strays(accounted, path)
    for key in match.keys.values():
        check_values(tensors[key], key, path)
    found = {name: tensors[key] for name, key in match.keys.items()}
    architecture = efficientdet.fitted(spec, found)
    if architecture.anchors != spec.architecture.anchors:
        raise CheckpointError(
            f"{path} has {architecture.anchors} anchors at each place, {spec.name} has "
            f"{spec.architecture.anchors} ({spec.octaves} sizes of {len(spec.ratios)} shapes)",
            mend="what its anchors are is not in its tensors; pass a checkpoint with the usual ones",
        )
    own = architecture.tensors(efficientdet.classes_of(found, architecture))
    plain = {name: found[name].detach().to(torch.float32).contiguous() for name in own}
    return plain, replace(spec, biases=architecture.biases, weighted=architecture.weighted)


def _match(tensors: Mapping[str, Tensor], accounted: Accounted, spec: DetectorSpec) -> _Match:
    keys: dict[str, str] = {}
    translate = namings.naming(accounted.naming).translate
    for key, tail in accounted.trunk.items():
        name = translate(tail, spec.architecture)
        if name:
            keys[name] = key
    found = {name: tensors[key] for name, key in keys.items()}
    architecture = efficientdet.fitted(spec, found)
    last = found.get(f"{CLASS_HEAD}.predict.pointwise.weight")
    classes = 0 if last is None or not last.dim() else last.shape[0] // architecture.anchors
    expected = architecture.tensors(classes)
    missing = [name for name in expected if name not in found]
    extra = [keys[name] for name in keys if name not in expected]
    differing = [
        f"{name} {dimensions(tuple(found[name].shape))} instead of {dimensions(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    kinds = {"missing": missing, "unexpected": extra, "of another shape": differing}
    phrases = [f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names]
    return _Match(spec, keys, tuple(phrases), len(missing) + len(extra) + len(differing))
