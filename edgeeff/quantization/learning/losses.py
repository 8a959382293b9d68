"""What learning makes small: the distance to the float network's outputs, and to labels where they are known.

``mse`` is the squared error of what decides (:mod:`edgeeff.quantization.centring`) as a share of its energy,
for every task. ``kl`` is, of exclusive classes, the divergence of the probabilities from the float network's
at a temperature T (Hinton et al. 2015), times T² so that its gradients keep their size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeeff.quantization.centring import Deciding

Outputs = Mapping[str, Tensor]
#: (the float network's outputs, what the plan gives, classes [N] or None) → a number, to be made small.
Objective = Callable[[Outputs, Outputs, Tensor | None], Tensor]


@dataclass(frozen=True)
class Loss:
    """Which distance.

    Args:
        kind: Of the two above.
        temperature: Of ``kl``.
        labels: How much the cross-entropy with an image's class counts beside it.
    """

    kind: Literal["mse", "kl"] = "mse"
    temperature: float = 2.0
    labels: float = 0.0


def objective(deciding: Deciding, loss: Loss, signal: float, batch: int) -> Objective:
    """A loss as a function of outputs: the sum over the images given, by the size of the batch.

    Args:
        deciding: What of the outputs decides.
        loss: Which distance.
        signal: Mean square of what decides in the float network's outputs.
        batch: Images in a step.
    """

    def distance(teacher: Outputs, outputs: Outputs) -> Tensor:
        if loss.kind == "kl":
            (wanted,), (found,) = teacher.values(), outputs.values()
            t = loss.temperature
            both = F.log_softmax(found / t, 1), F.log_softmax(wanted / t, 1)
            return F.kl_div(*both, reduction="sum", log_target=True) * (t * t / batch)
        of_outputs = deciding.by(teacher)
        difference = of_outputs(outputs) - of_outputs(teacher)
        return difference.square().mean(1).sum() / (signal * batch)

    def of(teacher: Outputs, outputs: Outputs, classes: Tensor | None) -> Tensor:
        found = distance(teacher, outputs)
        if classes is None or not loss.labels:
            return found
        (logits,) = outputs.values()
        known = classes >= 0
        if not bool(known.any()):
            return found
        crossed = F.cross_entropy(logits[known], classes[known], reduction="sum")
        return found + loss.labels * crossed / batch

    return of


@torch.inference_mode()
def error(deciding: Deciding, teacher: Outputs, outputs: Outputs) -> tuple[float, float]:
    """Error energy of what decides, and the signal's."""
    of_outputs = deciding.by(teacher)
    wanted = of_outputs(teacher)
    difference = of_outputs(outputs) - wanted
    return float(difference.double().square().sum()), float(wanted.double().square().sum())
