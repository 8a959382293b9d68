"""What a plan's integers compute, in torch: the float graph whose nodes read rounded values.

Weights are the plan's codes times their scales, activations go through the quantiser where the plan's
readers read them. It is what steps learn from and what leave-one-out asks; artifacts are judged by their
runtimes, never by this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph.execute import Reader
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan

#: Which (node, input index) reads which tensor quantised.
Sites = Mapping[tuple[str, int], str]


def sites_of(readers: Mapping[str, tuple[tuple[str, int], ...]]) -> dict[tuple[str, int], str]:
    """A plan's readers, by who reads instead of by what is read."""
    return {place: tensor for tensor, places in readers.items() for place in places}


def fake_quantise(value: Tensor, quantization: ActivationQuantization) -> Tensor:
    """To the nearest value that the codes can hold, ties to even.

    Without gradients the bits are those of torch's own operator, whose kernel takes much longer.
    """
    (low, high), zero_point = quantization.codes, quantization.zero_point
    if value.requires_grad and torch.is_grad_enabled():
        return torch.fake_quantize_per_tensor_affine(value, quantization.scale, zero_point, low, high)
    scale = np.float32(quantization.scale)
    codes = value.mul(float(np.float32(1) / scale)).round_().clamp_(low - zero_point, high - zero_point)
    return codes.mul_(float(scale))


def weights_of(layer: LayerQuantization) -> Tensor:
    """The values of a layer's codes, float32 of the weights' shape."""
    scale = torch.from_numpy(layer.scale).reshape(-1, *[1] * (layer.codes.ndim - 1))
    return torch.from_numpy(layer.codes).float() * scale


def reader(
    plan: Plan,
    *,
    float_tensors: Collection[str] = (),
    float_layers: Collection[str] = (),
    device: str = "cpu",
) -> Reader:
    """What nodes read under a plan, for :func:`edgeeff.graph.execute.execute`.

    Args:
        plan: Of the graph that is executed.
        float_tensors: Tensors that are read as they are, the plan notwithstanding.
        float_layers: Layers whose weights and bias are left as they are.
        device: Where the graph is executed.
    """
    sites = sites_of(plan.readers)
    constants: dict[tuple[str, int], Tensor] = {}
    for name, layer in plan.layers.items():
        if name not in float_layers:
            constants[name, 1] = weights_of(layer).to(device)
            constants[name, 2] = torch.from_numpy(layer.bias).to(device)

    def read(node: ir.Node, index: int, value: Tensor) -> Tensor:
        place = (str(node.name), index)
        if place in constants:
            return constants[place]
        tensor = sites.get(place)
        if tensor is None or tensor in float_tensors:
            return value
        return fake_quantise(value, plan.activations[tensor])

    return read


def outputs(plan: Plan, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A run's outputs as the plan leaves them: where one is quantised, what is put out is rounded too."""
    return {
        name: fake_quantise(value, plan.activations[name]) if name in plan.outputs else value
        for name, value in found.items()
    }
