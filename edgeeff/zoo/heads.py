"""Heads: from layers in the order in which they compute to hidden layers and one classifier.

Fine-tuned networks end in ``Sequential(Dropout, Linear)``, in several Linear layers with activations, or have
batch normalisation between. All that is affine is folded, in double precision, and every activation becomes
one of four that all runtimes carry; what cannot become one of them is refused by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from edgeeff.zoo.checkpoint_options import IDLE, KINDS, SLOPED

#: What may stand after a hidden layer of the network that is built.
HiddenActivation = Literal["relu", "relu6", "swish", "sigmoid"]
# Activations that are one of the four between two affine steps: kind → scale and offset of its input, the
# activation, scale and offset of its output. tanh(x) = 2·σ(2x) − 1; the others by their definitions in torch.
_BETWEEN: dict[str, tuple[float, float, HiddenActivation, float, float]] = {
    "relu": (1.0, 0.0, "relu", 1.0, 0.0),
    "relu6": (1.0, 0.0, "relu6", 1.0, 0.0),
    "swish": (1.0, 0.0, "swish", 1.0, 0.0),
    "sigmoid": (1.0, 0.0, "sigmoid", 1.0, 0.0),
    "tanh": (2.0, 0.0, "sigmoid", 2.0, -1.0),
    "hard_sigmoid": (1.0, 3.0, "relu6", 1 / 6, 0.0),
    "hard_tanh": (3.0, 3.0, "relu6", 1 / 3, -1.0),
}


@dataclass(frozen=True)
class Layer:
    """One layer of a head.

    Args:
        kind: One of :data:`edgeeff.zoo.checkpoint_options.KINDS`; another one is refused by its name.
        tensors: A Linear's ``weight`` [out, in] and ``bias`` [out]; a norm's ``running_mean`` and
            ``running_var`` with or without ``weight`` and ``bias``; a prelu's ``weight``.
        epsilon: Of a norm; torch's default.
        slope: Of a leaky_relu, where its input is negative; torch's default.
        name: In the file, for messages.
    """

    kind: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    epsilon: float = 1e-5
    slope: float = 0.01
    name: str = ""

    @property
    def shown(self) -> str:
        """As messages call it."""
        return f"{self.name} ({self.kind})" if self.name else f"the {self.kind}"


@dataclass(frozen=True)
class Head:
    """A head as ``hidden.<i>`` and ``classifier`` tensors, float32.

    Args:
        tensors: Weights and biases by these names.
        activations: After each hidden layer.
        notes: What it is, as the user said it; a phrase each.
        assumed: What was assumed of it; a sentence each.
        warnings: What of that may be wrong.
    """

    tensors: dict[str, Tensor]
    activations: tuple[HiddenActivation, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class HeadError(ValueError):
    """The layers do not make a head; the message says why."""


@dataclass(frozen=True)
class _Affine:
    """y = W·x + b, in double precision."""

    weight: Tensor
    bias: Tensor

    def then(self, gain: Tensor, shift: Tensor) -> _Affine:
        """With each output scaled and shifted."""
        return _Affine(self.weight * gain[:, None], self.bias * gain + shift)

    def into(self, after: _Affine) -> _Affine:
        """With another one after it, as one."""
        return _Affine(after.weight @ self.weight, after.weight @ self.bias + after.bias)


def straighten(layers: Sequence[Layer]) -> Head:
    """Hidden layers, their activations and one classifier that compute what the layers compute.

    Args:
        layers: In the order in which they compute, from the pooled features to the logits.

    Raises:
        HeadError: Their shapes do not follow each other, they do not end in something affine, or a layer is
            of a kind that cannot be kept.
    """
    done: list[tuple[_Affine, HiddenActivation]] = []
    current: _Affine | None = None
    left = [layer for layer in layers if layer.kind not in IDLE]
    for i, layer in enumerate(left):
        if layer.kind == "linear":
            found = _linear(layer, current)
            current = found if current is None else current.into(found)
            continue
        if current is None:  # of features as they are, only their number matters
            width = _inputs(left[i:])
            current = _Affine(torch.eye(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64))
        if layer.kind == "norm":
            current = current.then(*_normalisation(layer, len(current.bias)))
        elif layer.kind in SLOPED:
            before, current = _sloped(layer, current)
            done.append((before, "relu"))
        elif layer.kind in _BETWEEN:
            scale, offset, activation, gain, shift = _BETWEEN[layer.kind]
            ones = torch.ones_like(current.bias)
            done.append((current.then(ones * scale, ones * offset), activation))
            current = _Affine(torch.diag(ones * gain), ones * shift)
        else:
            raise HeadError(
                f"{layer.shown} cannot be kept: a head may have {', '.join(KINDS)}, and nothing else"
            )
    if current is None or not any(layer.kind == "linear" for layer in left):
        raise HeadError("a head without a Linear layer")
    if left[-1].kind not in ("linear", "norm"):
        raise HeadError(f"a head that ends in {left[-1].shown}: its last layer must give the logits")
    tensors: dict[str, Tensor] = {}
    for name, affine in [*((f"hidden.{i}", a) for i, (a, _) in enumerate(done)), ("classifier", current)]:
        tensors[f"{name}.weight"] = affine.weight.float().contiguous()
        tensors[f"{name}.bias"] = affine.bias.float().contiguous()
    return Head(tensors, tuple(activation for _, activation in done))


def _linear(layer: Layer, before: _Affine | None) -> _Affine:
    weight, bias = layer.tensors.get("weight"), layer.tensors.get("bias")
    if weight is None or weight.dim() != 2 or not layer.tensors.keys() <= {"weight", "bias"}:
        raise HeadError(f"{layer.shown} is no Linear: it holds {_held(layer)}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise HeadError(f"{layer.shown}: its weight and bias do not fit each other: {_held(layer)}")
    if before is not None and len(before.bias) != weight.shape[1]:
        raise HeadError(
            f"{layer.shown} reads {weight.shape[1]} features where the layer before gives {len(before.bias)}"
        )
    weight = weight.double()
    return _Affine(weight, torch.zeros_like(weight[:, 0]) if bias is None else bias.double())


def _normalisation(layer: Layer, width: int) -> tuple[Tensor, Tensor]:
    """A batch normalisation's gain and shift, as it is at inference."""
    mean, variance = (layer.tensors.get(part) for part in ("running_mean", "running_var"))
    if mean is None or variance is None:
        raise HeadError(f"{layer.shown} is a batch normalisation without its mean or variance")
    if any(tensor.shape != (width,) for tensor in layer.tensors.values()):
        raise HeadError(f"{layer.shown} does not fit the {width} features before it: it holds {_held(layer)}")
    mean = mean.double()
    gain = torch.rsqrt(variance.double() + layer.epsilon)
    if "weight" in layer.tensors:
        gain = gain * layer.tensors["weight"].double()
    bias = layer.tensors["bias"].double() if "bias" in layer.tensors else torch.zeros_like(mean)
    return gain, bias - mean * gain


def _sloped(layer: Layer, current: _Affine) -> tuple[_Affine, _Affine]:
    """relu(x) − slope · relu(−x), exactly: twice the hidden features, and what reads them."""
    width = len(current.bias)
    slope = layer.tensors.get("weight", torch.tensor([layer.slope])).double()
    if slope.dim() != 1 or len(slope) not in (1, width):
        raise HeadError(f"{layer.shown} does not fit the {width} features before it: it holds {_held(layer)}")
    both = _Affine(torch.cat([current.weight, -current.weight]), torch.cat([current.bias, -current.bias]))
    one = torch.eye(width, dtype=torch.float64)
    return both, _Affine(torch.cat([one, -slope * one], 1), torch.zeros(width, dtype=torch.float64))


def _inputs(layers: Sequence[Layer]) -> int:
    """How many features the first of the layers reads."""
    for layer in layers:
        tensor = layer.tensors.get("weight" if layer.kind == "linear" else "running_mean")
        if tensor is not None and tensor.dim() > 0:
            return tensor.shape[-1]
    raise HeadError("a head without a Linear layer")


def _held(layer: Layer) -> str:
    return ", ".join(f"{part} {list(tensor.shape)}" for part, tensor in layer.tensors.items()) or "nothing"
