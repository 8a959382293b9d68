"""What of a plan learns: codes, scales and biases as leaf tensors, and a graph that computes with them.

A rounding passes gradients straight through (Bengio et al. 2013); a scale has the gradient of LSQ (Esser et
al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph.execute import Reader
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan
from edgeeff.quantization.simulate import sites_of

#: Who reads a learned value: a layer's input number, or a tensor's scale (None).
Place = tuple[str, int | None]
#: A plan's activations by tensor, and its layers by name.
Found = tuple[dict[str, ActivationQuantization], dict[str, LayerQuantization]]


class Parameters:
    """All that learns, as leaf tensors."""

    def __init__(self, plan: Plan, weights: Mapping[str, Tensor], free: Sequence[str]) -> None:
        self._plan = plan
        self._sites = sites_of(plan.readers)
        self.logs = {
            name: torch.tensor(math.log(plan.activations[name].scale)).requires_grad_() for name in free
        }
        self.steps: dict[str, Tensor] = {}
        self.codes: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self._unit: dict[str, float] = {}
        for name, layer in plan.layers.items():
            scale = torch.from_numpy(layer.scale).reshape(-1, *[1] * (layer.codes.ndim - 1))
            rounded = torch.from_numpy(layer.codes).float()
            # Where rounding was to nearest the float weight is the better start: it knows which way it leans.
            exact = weights[name] / scale
            start = torch.where((exact - rounded).abs() <= 0.5, exact, rounded)
            self.codes[name] = start.clone().requires_grad_()
            self.steps[name] = scale.log().clone().requires_grad_()
            self._unit[name] = max(float(np.abs(layer.bias).mean()), 1e-6)
            self.biases[name] = (torch.from_numpy(layer.bias) / self._unit[name]).requires_grad_()

    def rounded(self, largest: int) -> dict[Place, Tensor]:
        """The weights, biases and scales that the graph computes with, by who reads them."""
        found: dict[Place, Tensor] = {}
        for name, codes in self.codes.items():
            found[name, 1] = _straight(codes, -largest, largest) * self.steps[name].exp()
            found[name, 2] = self.biases[name] * self._unit[name]
        return found | {(name, None): log.exp() for name, log in self.logs.items()}

    def read(self, rounded: Mapping[Place, Tensor]) -> Reader:
        """What nodes read, with gradients."""

        def read(node: ir.Node, index: int, value: Tensor) -> Tensor:
            name = str(node.name)
            if (name, index) in rounded:
                return rounded[name, index]
            tensor = self._sites.get((name, index))
            if tensor is None:
                return value
            quantization = self._plan.activations[tensor]
            scale = rounded.get((tensor, None))
            if scale is None:
                scale = torch.tensor(quantization.scale)
            low, high = (code - quantization.zero_point for code in quantization.codes)
            result: Tensor = Learnable.apply(value, scale, low, high)  # type: ignore[no-untyped-call]
            return result

        return read

    def plan(self, largest: int) -> Found:
        """As they are now."""
        with torch.no_grad():
            activations = dict(self._plan.activations)
            for name, log in self.logs.items():
                old = activations[name]
                scale = float(np.float32(log.exp().item()))
                activations[name] = ActivationQuantization(scale, old.zero_point, old.type)
            layers = {
                name: LayerQuantization(
                    scale=np.asarray(self.steps[name].exp().reshape(-1).numpy(), np.float32),
                    codes=np.asarray(codes.round().clamp(-largest, largest).to(torch.int8).numpy()),
                    bias=np.asarray((self.biases[name] * self._unit[name]).numpy(), np.float32),
                )
                for name, codes in self.codes.items()
            }
        return activations, layers


class Learnable(torch.autograd.Function):
    """scale · clamp(round(x / scale)), with the gradients of LSQ for both."""

    @staticmethod
    def forward(context: object, value: Tensor, scale: Tensor, low: int, high: int) -> Tensor:  # type: ignore[override]
        """Rounded and clamped, in the units of ``value``."""
        context.save_for_backward(value)  # type: ignore[attr-defined]
        step = scale.item()  # a number, not a tensor: torch's quick way
        context.grid = step, low, high, scale.shape  # type: ignore[attr-defined]
        return (value / step).round_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(context: object, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:  # type: ignore[override]
        """Of ``value`` where it was not clamped, and of ``scale``."""
        (value,) = context.saved_tensors  # type: ignore[attr-defined]
        step, low, high, shape = context.grid  # type: ignore[attr-defined]
        exact = value / step
        passed = torch.ops.aten.hardtanh_backward(gradient, exact, low, high)  # where it was not clamped
        of_scale = None
        if context.needs_input_grad[1]:  # type: ignore[attr-defined]
            # ∂/∂s of s·clamp(round(x/s)): the code itself outside, the rounding error inside.
            inside = torch.dot(passed.reshape(-1), exact.reshape(-1))
            codes = exact.clamp_(low, high).round_()
            of_scale = (torch.dot(gradient.reshape(-1), codes.reshape(-1)) - inside).reshape(shape)
        return passed, of_scale, None, None


def _straight(value: Tensor, low: int, high: int) -> Tensor:
    clamped = value.clamp(low, high)
    return clamped + (clamped.round() - clamped).detach()
