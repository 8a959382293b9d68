"""What a network expects of its activations, as its batch normalisation knew it.

By its own definition batch normalisation gives channel c, over the images that the network was trained on,
the mean β and the standard deviation |γ|·σ / √(σ² + ε) (Ioffe & Szegedy 2015, algorithm 2). Once it is folded
into the convolution nothing of that is left in the weights, so it is written down on the convolution's node,
as a doc string: the only place that ONNX keeps with a node whatever its tensors are renamed to (metadata of a
node begin with IR version 10, and the base graph is of version 8). It is for judging images on the base graph
alone; :func:`strip` takes it out before anything is emitted.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx_ir as ir

_MARK = "edgeeff.expected:"
_STORED = np.dtype("<f4")


@dataclass(frozen=True)
class Expectation:
    """Of a convolution's output over the training images, for each of its C channels.

    Args:
        mean: [C].
        std: Standard deviation, [C]; zero where the network has switched a channel off.
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def record(convolution: ir.Node, expected: Expectation) -> None:
    """Write down what the output of a convolution should look like."""
    both = np.concatenate([expected.mean, expected.std]).astype(_STORED)
    convolution.doc_string = _MARK + base64.b64encode(both.tobytes()).decode("ascii")


def read(model: ir.Model) -> dict[str, Expectation]:
    """What is known, by the name of the convolution's output, in the order of the graph.

    Empty where batch normalisation was folded before the graph came here. A doc string that is not ours, or
    is damaged, is passed over.
    """
    found = {}
    for node in model.graph:
        expected = _decode(node.doc_string)
        name = node.outputs[0].name
        if expected is not None and name is not None:
            found[name] = expected
    return found


def strip(model: ir.Model) -> None:
    """Forget it all, in place: no artifact carries it."""
    for node in model.graph:
        if (node.doc_string or "").startswith(_MARK):
            node.doc_string = None


def _decode(text: str | None) -> Expectation | None:
    if not text or not text.startswith(_MARK):
        return None
    try:
        data = base64.b64decode(text.removeprefix(_MARK), validate=True)
        both = np.frombuffer(data, _STORED).astype(np.float64).reshape(2, -1)
    except (binascii.Error, ValueError):
        return None
    return Expectation(both[0], both[1])
