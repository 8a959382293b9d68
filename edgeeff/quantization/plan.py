"""What was decided, as pure data: each tensor's scale and zero point, each layer's codes and bias."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeeff import digests

IntegerType = Literal["int8", "uint8"]


@dataclass(frozen=True)
class ActivationQuantization:
    """One scale for a whole tensor: value = scale · (code − zero point)."""

    scale: float
    zero_point: int
    type: IntegerType

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and largest code."""
        return (-128, 127) if self.type == "int8" else (0, 255)

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest value that can be represented."""
        low, high = self.codes
        return self.scale * (low - self.zero_point), self.scale * (high - self.zero_point)


@dataclass(frozen=True)
class LayerQuantization:
    """A layer's weights, symmetric and per output channel: weight = scale[c] · code.

    Args:
        scale: float32 [C].
        codes: int8, the shape of the weights, −127…127.
        bias: float32 [C], corrected for what rounding did to the mean.
    """

    scale: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int8]
    bias: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """All decisions for one scheme.

    Args:
        scheme: The scheme's name.
        activations: By tensor.
        readers: By tensor, the (node, input index) pairs that read it quantised.
        layers: By layer; a layer that is not here stays float.
        outputs: The graph outputs that are quantised.
        floating: Layers that were to stay float, by name or by their role in the scheme.
        arithmetic: The tensors of Swishes that are written as polynomials.
        notes: What the recipe's steps did.
    """

    scheme: str
    activations: Mapping[str, ActivationQuantization]
    readers: Mapping[str, tuple[tuple[str, int], ...]]
    layers: Mapping[str, LayerQuantization]
    outputs: tuple[str, ...] = ()
    floating: tuple[str, ...] = ()
    arithmetic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of ``plan.json``: scales, zero points and precisions; of the codes, their SHA-256."""
        data = {
            "scheme": self.scheme,
            "activations": {
                name: {"scale": a.scale, "zero_point": a.zero_point, "type": a.type}
                for name, a in self.activations.items()
            },
            "layers": {
                name: {
                    "precision": "int8",
                    "scale": [float(s) for s in layer.scale],
                    "codes_sha256": digests.of_bytes(layer.codes.tobytes()),
                }
                for name, layer in self.layers.items()
            }
            | {name: {"precision": "float"} for name in self.floating},
            "polynomials": list(self.arithmetic),
            "steps": list(self.notes),
        }
        return json.dumps(data, indent=1) + "\n"
