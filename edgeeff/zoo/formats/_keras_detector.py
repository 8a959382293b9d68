"""Detectors in Keras's HDF5: layers within layers, each tensor by its whole path.

google/automl saves subclassed models, xuannianz/EfficientDet a graph of layers whose own names are paths.
What stands before a path (the layer's group, and its name once more) depends on the version of Keras, so that
a name begins where the last of its known parts does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import WeightsFile, _keras_layers
from edgeeff.zoo.formats._hdf5 import Hdf5

_PYRAMID = re.compile(r"(?:^|/)fpn_cells/")
_ADDRESS = re.compile(r"/vars/\d+$")
_STARTS = re.compile(
    r"(?:^|/)(?=efficientnet-(?:b\d|lite\d)/(?:stem|blocks_\d+|head)/|resample_p\d+/|fpn_cells/cell_"
    r"|(?:class_net/class|box_net/box)-|(?:stem|top|block\d+[a-z])_\w+/\w+$)"
)
#: How TensorFlow calls a variable's moving average, behind the variable's own name.
_AVERAGE = re.compile(r"[/_]ExponentialMovingAverage(?:_\d+)?$")
_WEIGHT = re.compile(r"(?P<node>.+/)WSM(?:_(?P<number>\d+))?")


def is_one(hdf5: Hdf5) -> bool:
    """Whether a file holds a feature pyramid by the authors' name of it."""
    return any(_PYRAMID.search(path) for path in hdf5.datasets)


def read(hdf5: Hdf5) -> WeightsFile:
    """Its tensors as ``fpn_cells/cell_0/fnode0/op_after_combine5/bn/gamma``, in torch's layout.

    A node's weights, which are single numbers ``WSM``, ``WSM_1`` …, become one vector ``WSM``.

    Raises:
        CheckpointError: Two tensors of one name, a node whose weights are not all there, or names that Keras
            made by counting.
    """
    if any(_ADDRESS.search(path) for path in hdf5.datasets):
        raise CheckpointError(
            f"{hdf5.origin} holds a detector's weights in Keras 3's layout, without the names of its layers",
            mend='save them by Keras 2 (tf_keras): model.save_weights("weights.h5")',
        )
    found: dict[str, Tensor] = {}
    averages: dict[str, Tensor] = {}
    for path in hdf5.datasets:
        name = _name(path)
        plain = _AVERAGE.sub("", name)
        into = found if plain == name else averages
        if plain in into:
            raise CheckpointError(
                f"{hdf5.origin} holds two tensors named {plain}", mend="save the detector alone"
            )
        into[plain] = _torch_layout(plain, hdf5.tensor(path))
    lines: tuple[str, ...] = ()
    if averages:
        lines = ("the moving average of the weights is taken, for it is what the authors evaluate",)
    return WeightsFile(_joined({**found, **averages}, hdf5.origin), ordered=False, lines=lines)


def _name(path: str) -> str:
    """A tensor's name by the last of the known parts in its path; all of it where there is none."""
    plain = path.partition(":")[0]
    starts = [match.end() for match in _STARTS.finditer(plain)]
    return plain[starts[-1] :] if starts else plain


def _torch_layout(name: str, value: Tensor) -> Tensor:
    """As :func:`_keras_layers.torch_layout`; a separable convolution's pointwise part lies as a plain one."""
    if name.endswith("/pointwise_kernel"):
        name = f"{name.rpartition('/')[0]}/kernel"
    return _keras_layers.torch_layout(name, value)


def _joined(tensors: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The same with each node's weights as one vector."""
    found: dict[str, Tensor] = {}
    weights: dict[str, dict[int, Tensor]] = {}
    for name, value in tensors.items():
        match = _WEIGHT.fullmatch(name)
        if match is None or value.numel() != 1:
            found[name] = value
        else:
            weights.setdefault(match["node"], {})[int(match["number"] or 0)] = value
    for node, parts in weights.items():
        if sorted(parts) != list(range(len(parts))):
            raise CheckpointError(
                f"{origin}: of {node}WSM there are the numbers {', '.join(map(str, sorted(parts)))} alone",
                mend="bring the file again, or save the weights again",
            )
        found[f"{node}WSM"] = torch.stack([parts[i].reshape(()) for i in range(len(parts))])
    return found
