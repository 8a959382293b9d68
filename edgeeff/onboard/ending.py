"""A process that ends with the one that started it, whatever becomes of that one."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress

#: Of linux/prctl.h.
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the system end this process when its parent dies: else it would go on beside the next measurement.

    Linux alone can; elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)
