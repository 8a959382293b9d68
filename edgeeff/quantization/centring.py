"""What of the logits decides: where an image has exactly one class, their differences alone."""

from __future__ import annotations

from torch import Tensor


def centred(logits: Tensor, exclusive: bool) -> Tensor:
    """Logits [N, classes] less what changes no decision.

    Args:
        logits: Of N images.
        exclusive: Whether classes exclude each other. Then a number added to all logits of an image changes
            nothing, and their mean is taken off. Else each logit is compared with its threshold, and stays as
            it is: of a single logit nothing would be left.
    """
    return logits - logits.mean(1, keepdim=True) if exclusive else logits
