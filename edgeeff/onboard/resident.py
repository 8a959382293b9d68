"""How much memory a step of this process takes, as the kernel counts it in ``/proc``.

Nothing is guessed: where the kernel does not say, or its high-water mark cannot be set back, it is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Growth:
    """What a step took.

    Args:
        peak_mb: The highest resident memory while it ran, less what was resident before, 10⁶ bytes.
    """

    peak_mb: float | None = None


@contextmanager
def growth(root: Path = Path("/")) -> Iterator[Growth]:
    """Measure what is done within; files that are mapped count as far as they were read.

    Args:
        root: Where ``proc`` lies.
    """
    made = Growth()
    _forget_peak(root)
    before, mark = _kilobytes(root, "VmRSS"), _kilobytes(root, "VmHWM")
    yield made
    after = _kilobytes(root, "VmHWM")
    # A mark that could not be set back says something only where the step rose above it.
    if before is not None and mark is not None and after is not None and (after > mark or mark <= before):
        made.peak_mb = max(0, after - before) * 1024 / 1e6


def _forget_peak(root: Path) -> None:
    """Set the high-water mark back to what is resident now (Linux: 5 into clear_refs)."""
    try:
        (root / "proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _kilobytes(root: Path, name: str) -> int | None:
    try:
        lines = (root / "proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        if key == name and value.split()[:1] and value.split()[0].isdigit():
            return int(value.split()[0])
    return None
