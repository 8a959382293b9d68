"""Giving freed memory back to the system.

glibc keeps what torch's large, short-lived tensors leave behind: 400 MB after calibrating a B0, on top of
which the next step would build its own peak.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE = 4 << 20


def installed() -> int | None:
    """Bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def give_back() -> None:
    """Return freed memory to the system, where its C library can (glibc's ``malloc_trim``)."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def hold_little() -> None:
    """Let every large tensor go back to the system at once, for a fifth more time in this process.

    Past a first few, glibc serves tensors of up to 32 MB from heaps that it does not shrink (mallopt(3),
    ``M_MMAP_THRESHOLD``): 2 GB beside the 4 GB that calibrating a V2-XL takes.
    """
    if sys.platform == "linux":
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:
            option(_M_MMAP_THRESHOLD, _LARGE)
