"""The variables of a Keras model in HDF5, by layer: in either of its two layouts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import _keras_order
from edgeeff.zoo.formats._hdf5 import Hdf5

# The variables of a layer in Keras 3's order of them, by the class that its address names.
_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("depthwise_kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
    "p_re_lu": ("alpha",),
}
_NORM = "batch_normalization"
# Parts of a model that hold no weights of the network, and a Normalization's count of batches.
_ASIDE = {"seed_generator", "_seed_generator", "optimizer", "metrics", "_metrics", "compile_metrics"}
_COUNT = re.compile(r"normalization(_\d+)?/count")
_NAMES = "layer_names"


def variables(hdf5: Hdf5, config: Any) -> tuple[dict[str, str], list[str], bool]:
    """Where each variable lies, and the layers.

    Returns:
        ``<layer>/<variable>`` → the dataset's path; the names of the layers; and whether these are all
        layers of the network and no other, those without weights too.

    Raises:
        CheckpointError: Two layers have the same name.
    """
    root = next((group for group in ("model_weights", "") if _lists_layers(hdf5, group)), None)
    found, layers = _by_address(hdf5, config) if root is None else _by_name(hdf5, root)
    held: dict[str, str] = {}
    for name, path in found:
        if name in held:
            raise CheckpointError(
                f"{hdf5.origin} holds two layers named {name.rpartition('/')[0]}",
                mend="save the network alone, or give its layers different names",
            )
        if not _COUNT.fullmatch(name):
            held[name] = path
    # Layers without weights are listed by some versions only; of a nested model one cannot tell which
    # layers are the network's.
    nested = any("/layers/" in group for group in hdf5.groups)
    complete = not nested and any(_keras_order.kind(layer).endswith("activation") for layer in layers)
    return held, layers, complete


def torch_layout(name: str, value: Tensor) -> Tensor:
    """Convolutions from HWIO to OIHW, depthwise ones HWC1 to C1HW, linear [in, out] to [out, in]."""
    if name.endswith("/depthwise_kernel") and value.dim() == 4:
        return value.permute(2, 3, 0, 1).contiguous()
    if name.endswith("/kernel") and value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()
    return value.T.contiguous() if name.endswith("/kernel") and value.dim() == 2 else value


def with_usual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The one Dense of a model as ``predictions``, its one Normalization as ``normalization``.

    Of several, each keeps its name: which of them classifies is not for a file's reader to say.
    """
    dense = {
        name[: -len("/kernel")] for name, t in tensors.items() if name.endswith("/kernel") and t.dim() == 2
    }
    adapted = {
        name[: -len("/variance")]
        for name in tensors
        if name.endswith("/variance") and _keras_order.kind(name.partition("/")[0]) == "normalization"
    }
    usual = {next(iter(found)): name for found, name in ((dense, "predictions"), (adapted, "normalization"))
             if len(found) == 1}  # fmt: skip
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        layer, _, variable = name.rpartition("/")
        renamed[f"{usual.get(layer, layer)}/{variable}"] = value
    return renamed


def _lists_layers(hdf5: Hdf5, group: str) -> bool:
    return group in hdf5.groups and hdf5.strings(group, _NAMES) is not None


def _by_name(hdf5: Hdf5, root: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Keras 1 to 3's .h5: a group for each layer, which lists its variables (``stem_conv/kernel:0``).

    A nested model is one layer, and its variables carry their own layers' names.
    """
    start = f"{root}/" if root else ""
    layers = hdf5.strings(root, _NAMES) or []
    found: list[tuple[str, str]] = []
    for layer in layers:
        if f"{start}{layer}" not in hdf5.groups:
            raise _incomplete(hdf5, layer)
        paths = hdf5.strings(f"{start}{layer}", "weight_names") or []
        own = len({path.rpartition("/")[0] for path in paths}) == 1
        for path in paths:
            at = f"{start}{layer}/{path}"
            if at not in hdf5.datasets:
                raise _incomplete(hdf5, f"{layer}/{path}")
            inner, _, variable = path.partition(":")[0].rpartition("/")
            if variable == "seed_generator_state":
                continue
            name = layer if own else inner.rpartition("/")[2] or layer
            found.append((f"{name}/{_variable(variable, hdf5.datasets[at].shape)}", at))
    return found, layers


def _by_address(hdf5: Hdf5, config: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Keras 3's .weights.h5: ``layers/conv2d_7/vars/0``, for nested models ``layers/functional/layers/…``."""
    addresses: dict[str, list[str]] = {}
    for path in hdf5.datasets:
        address, vars_, index = path.rpartition("/vars/")
        if vars_ and index.isdecimal() and not _ASIDE & set(address.split("/")):
            addresses.setdefault(address, []).append(path)
    settings = _keras_order.settings(config)
    configured = {address: held["name"] for address, held in settings.items()}
    written = {
        group.removesuffix("/vars"): name
        for group in hdf5.groups
        if group.endswith("/vars") and isinstance(name := hdf5.attribute(group, "name"), str)
    }
    names = (configured | written) or _keras_order.of_applications(addresses)
    found: list[tuple[str, str]] = []
    for address, paths in addresses.items():
        key = address.rpartition("/")[2]
        name = names.get(address, key)
        known = _variables(_keras_order.kind(key), settings.get(address), len(paths))
        if known is None:
            raise CheckpointError(
                f"{hdf5.origin}: the batch normalisation {name} lacks its scale or its shift, and the "
                "file does not say which",
                mend='save the model whole, with its config: model.save("model.keras")',
            )
        for path in paths:
            number = int(path.rpartition("/")[2])
            variable = known[number] if number < len(known) else str(number)
            found.append((f"{name}/{variable}", path))
    groups = [group.removesuffix("/vars") for group in hdf5.groups if group.endswith("/vars")]
    return found, [names.get(group, group.rpartition("/")[2]) for group in groups]


def _variables(kind: str, settings: Mapping[str, Any] | None, count: int) -> tuple[str, ...] | None:
    """The variables of a layer by their numbers; None where their count leaves it open."""
    known = _VARIABLES.get(kind, ())
    if kind != _NORM or count == len(known):
        return known
    if settings is not None:
        without = [
            part for part, key in (("gamma", "scale"), ("beta", "center")) if settings.get(key) is False
        ]
        return tuple(part for part in known if part not in without)
    return known[2:] if count == 2 else None


def _variable(name: str, shape: Collection[int]) -> str:
    """Keras 3 calls a depthwise kernel ``kernel`` too; its shape [h, w, channels, 1] tells."""
    dimensions = tuple(shape)
    if name == "kernel" and len(dimensions) == 4 and dimensions[0] > 1 and dimensions[3] == 1:
        return "depthwise_kernel"
    return name


def _incomplete(hdf5: Hdf5, what: str) -> CheckpointError:
    return CheckpointError(
        f"{hdf5.origin} is damaged: it lists {what:.100} and does not hold it", mend="save or bring it again"
    )
