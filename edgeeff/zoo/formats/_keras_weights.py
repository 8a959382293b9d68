"""Weights without a model's config: what their names leave open is said, or refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import WeightsFile, _keras_config, _keras_layers, _keras_order

WHOLE = 'save the model whole: model.save("model.keras"); its config says all its layers'
_NETWORK = re.compile(r"(?:stem|top|block\d+[a-z])_\w+|(?:normalization|rescaling)(?:_\d+)?|predictions")
# Layers that change nothing, or what is assumed anyway, by the names that Keras gives them.
_HARMLESS = re.compile(
    r"input(?:_layer)?(?:_\d+)?|avg_pool|(?:global_average_pooling2d|random_\w+|\w*dropout|gaussian_noise|flatten"
    r"|dense|functional|sequential|model|efficientnet[\w-]*|sequential|seed_generator)(?:_\d+)?"
)
_MAXIMUM = re.compile(r"\w*max_pool\w*")


def read(
    tensors: Mapping[str, Tensor], layers: Collection[str], complete: bool, said: str | None, origin: str
) -> WeightsFile:
    """The weights by usual names, with a warning of what had to be assumed.

    Args:
        tensors: By ``<layer>/<variable>``, in torch's layout.
        layers: The names of the layers that the file lists.
        complete: Whether these are all layers of the network, and no other.
        said: What the model is called.
        origin: Names the file in messages.

    Raises:
        CheckpointError: The layers are such as cannot be kept.
    """
    maximum = next((name for name in layers if _MAXIMUM.fullmatch(name)), None)
    if maximum is not None:
        raise CheckpointError(
            f"{origin}: the layer {maximum} after the network cannot be kept: a pooling by maxima",
            mend="export the model to ONNX and pass that, or train it without this layer",
        )
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in tensors))
    head = [name for name in names if not _NETWORK.fullmatch(name)]
    if len(head) + ("predictions" in names) > 1 and "stem_conv" in names:
        raise CheckpointError(
            f"{origin} holds weights without the model's config, and after the network several layers: "
            f"{', '.join(head[:4])}: their order, activations and epsilon are not in it",
            mend=f"{WHOLE}, or export the model to ONNX",
        )
    usual = _keras_layers.with_usual_names(tensors)
    listed = any(_keras_order.kind(layer).endswith("activation") for layer in layers)
    known = {*names}
    strange = [n for n in layers if not (n in known or _NETWORK.fullmatch(n) or _HARMLESS.fullmatch(n))]
    warnings: tuple[str, ...] = ()
    if not (complete and listed) or head or strange:
        left = f", whatever its {', '.join(strange[:4])} may do" if strange else ""
        warnings = (
            f"{origin} holds weights without the model's config: the network's own preprocessing, average "
            f"pooling and logits at the end are assumed{left}; {WHOLE}",
        )
    return WeightsFile(
        usual,
        said=said,
        preprocess=_keras_config.without_config(layers if complete else None, usual),
        warnings=warnings,
    )
