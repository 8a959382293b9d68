"""What of a detector's outputs decides: the scores that can become boxes, and the sides of those boxes.

Nearly all anchors are background, which is no box in float and none in INT8; in a plain sum over all of them
it is what errors are counted in. So a logit counts as far as its score lies over a floor, by softplus(logit −
:data:`FLOOR`), whose slope is 1 well over the floor and 0 under it. The codes of an anchor count by the slope
of its best class; where its box lies by as much again as a size, and relative to the box: an error of δ box
widths in the middle costs an IoU of 2δ, one of δ in the logarithm of a width costs δ.

Of how many logits an error of the codes is worth :data:`CODE` is measured: D0 on 90 labelled images loses as
much mAP by noise of 0.4 on its logits as by noise of somewhat less than 0.01 on its codes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from edgeeff.detection.facts import CODES, LOGITS

#: The logit of the score 0.05: what lies under it is left out of most precision-recall curves' upper part.
FLOOR = -3.0
#: A logit that no reader of boxes asks for.
LOWEST = -8.0
#: Logits that an error of 1 in the logarithm of a box's height or width is worth.
CODE = 20.0
#: An anchor is at most so many times larger, or smaller, than its box, as far as errors are weighed.
_RATIO = 4.0


def is_detector(outputs: Collection[str]) -> bool:
    """Whether a graph's outputs, by their names, are those of a detector."""
    return {*outputs} == {LOGITS, CODES}


def curve(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """After which function an error of a logit counts."""
    return np.asarray(np.logaddexp(0.0, logits - FLOOR), np.float64)


def logit_range(low: float, high: float) -> tuple[float, float]:
    """The range that codes of all class logits should cover, of values between ``low`` and ``high``.

    None is clipped at the upper end, whatever an estimator makes of so few of so many: boxes of one score are
    no longer told apart, and the best of them is not the one that is kept. Below −8 a score is under 0.0004.
    """
    return min(max(low, LOWEST), 0.0), max(high, 0.0)


def weights(outputs: Mapping[str, Tensor]) -> Tensor:
    """How much an error of each code counts, [N, A, 4], by the outputs of the float network."""
    logits, codes = outputs[LOGITS].detach(), outputs[CODES].detach()
    felt = torch.sigmoid(logits.amax(2, keepdim=True) - FLOOR)
    middles = 2 * torch.exp(-codes[..., 2:]).clamp(1 / _RATIO, _RATIO)
    return CODE * felt * torch.cat([middles, torch.ones_like(middles)], 2)


def vectors(outputs: Mapping[str, Tensor], by: Tensor | None = None) -> Tensor:
    """What decides, as one vector for each image, [N, A · (C + 4)].

    Args:
        outputs: ``class_logits`` [N, A, C] and ``box_codes`` [N, A, 4].
        by: The weights of the codes; None: those of these outputs.
    """
    weighed = outputs[CODES] * (weights(outputs) if by is None else by).to(outputs[CODES].dtype)
    return torch.cat([F.softplus(outputs[LOGITS] - FLOOR).flatten(1), weighed.flatten(1)], 1)
