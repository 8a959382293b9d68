"""What of a plan learns: codes, scales and biases as leaf tensors, and a graph that computes with them.

A rounding passes gradients straight through (Bengio et al. 2013); a scale has the gradient of LSQ (Esser et
al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph.execute import Reader
from edgeeff.quantization.learning.subject import Subject
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization
from edgeeff.quantization.simulate import sites_of

#: Who reads a learned value: a layer's input number, or a tensor's scale (None).
Place = tuple[str, int | None]
#: A plan's activations by tensor, and its layers by name.
Found = tuple[dict[str, ActivationQuantization], dict[str, LayerQuantization]]


class Parameters:
    """All that learns, as leaf tensors."""

    def __init__(self, subject: Subject, device: str = "cpu") -> None:
        plan = self._plan = subject.plan
        self._sites = sites_of(plan.readers)
        self._leaders = subject.leaders
        self.logs = {
            name: torch.tensor(math.log(plan.activations[name].scale), device=device).requires_grad_()
            for name in subject.free
        }
        # What follows a scale that stays is left as it is, to the last bit.
        self._ties = {name: tie for name, tie in subject.ties.items() if tie[0] in self.logs}
        self.steps: dict[str, Tensor] = {}
        self.codes: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self._unit: dict[str, float] = {}
        for name, layer in plan.layers.items():
            scale = torch.from_numpy(layer.scale).to(device).reshape(-1, *[1] * (layer.codes.ndim - 1))
            rounded = torch.from_numpy(layer.codes).to(device).float()
            # Where rounding was to nearest the float weight is the better start: it knows which way it leans.
            if name not in self._leaders:
                exact = subject.weights[name].to(device) / scale
                start = torch.where((exact - rounded).abs() <= 0.5, exact, rounded)
                self.codes[name] = start.clone().requires_grad_()
            self.steps[name] = scale.log().clone().requires_grad_()
            self._unit[name] = max(float(np.abs(layer.bias).mean()), 1e-6)
            self.biases[name] = (torch.from_numpy(layer.bias).to(device) / self._unit[name]).requires_grad_()

    def rounded(self, largest: int) -> dict[Place, Tensor]:
        """The weights, biases and scales that the graph computes with, by who reads them."""
        found: dict[Place, Tensor] = {}
        codes = {name: _straight(codes, -largest, largest) for name, codes in self.codes.items()}
        for name, step in self.steps.items():
            found[name, 1] = codes[self._leaders.get(name, name)] * step.exp()
            found[name, 2] = self.biases[name] * self._unit[name]
        scales: dict[Place, Tensor] = {(name, None): log.exp() for name, log in self.logs.items()}
        tied: dict[Place, Tensor] = {
            (name, None): scales[root, None] * times for name, (root, times) in self._ties.items()
        }
        return found | scales | tied

    def read(self, rounded: Mapping[Place, Tensor]) -> Reader:
        """What nodes read, with gradients."""

        def read(node: ir.Node, index: int, value: Tensor) -> Tensor:
            name = str(node.name)
            if (name, index) in rounded:
                return rounded[name, index]
            tensor = self._sites.get((name, index))
            return value if tensor is None else self._quantised(tensor, value, rounded)

        return read

    def outputs(self, rounded: Mapping[Place, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A run's outputs as the plan leaves them, with gradients."""
        return {
            name: self._quantised(name, value, rounded) if name in self._plan.outputs else value
            for name, value in outputs.items()
        }

    def _quantised(self, tensor: str, value: Tensor, rounded: Mapping[Place, Tensor]) -> Tensor:
        quantization = self._plan.activations[tensor]
        scale = rounded.get((tensor, None))
        if scale is None:
            scale = torch.tensor(quantization.scale)  # on no device: it is read as a number
        low, high = (code - quantization.zero_point for code in quantization.codes)
        result: Tensor = Learnable.apply(value, scale, low, high)  # type: ignore[no-untyped-call]
        return result

    def plan(self, largest: int) -> Found:
        """As they are now."""
        with torch.no_grad():
            activations = dict(self._plan.activations)
            for name, log in self.logs.items():
                old = activations[name]
                scale = float(np.float32(log.exp().item()))
                activations[name] = ActivationQuantization(scale, old.zero_point, old.type)
            for name, (root, times) in self._ties.items():
                scale = float(np.float32(activations[root].scale * times))
                activations[name] = replace(activations[name], scale=scale)
            codes = {
                name: np.asarray(codes.round().clamp(-largest, largest).to(torch.int8).cpu().numpy())
                for name, codes in self.codes.items()
            }
            layers = {
                name: LayerQuantization(
                    scale=np.asarray(step.exp().reshape(-1).cpu().numpy(), np.float32),
                    codes=codes[self._leaders.get(name, name)],
                    bias=np.asarray((self.biases[name] * self._unit[name]).cpu().numpy(), np.float32),
                )
                for name, step in self.steps.items()
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
