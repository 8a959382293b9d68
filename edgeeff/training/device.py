"""Where a training computes: a CUDA device where torch has one, else the CPU. CUDA was NOT RUN by us.

A learner moves its networks to :func:`best`; the loop takes the device of what learns, and computes in
:func:`precision`. On a GPU sums are taken in another order each time: results differ in their last bits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def best() -> torch.device:
    """The device to train on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> AbstractContextManager[object]:
    """bf16 for what is safe in it, on a GPU that computes it; nothing on a CPU, whose results are exact."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
