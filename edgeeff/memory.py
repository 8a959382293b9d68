"""How much memory there is for this process, and giving what it freed back to the system.

glibc keeps what torch's large, short-lived tensors leave behind: 400 MB after calibrating a B0, on top of
which the next step would build its own peak.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: Bytes of addresses that torch's libraries take (560 MB: 2.13.0 for CPUs, x86-64).
TORCH = 600 << 20
#: Of a file with a group's limit, the one beside it that says what the group takes.
_USED = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE = 4 << 20
#: Bytes by which a process grows before it is worth to look for what can be freed.
_WORTH = 64 << 20
#: What the process held when it was last done.
_left = 0


def installed() -> int | None:
    """Bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def allowed(root: Path = Path("/")) -> int | None:
    """Bytes that this process can have at most: the machine's, or less by a limit of its control groups.

    A container or a batch system's job has such a limit, of version 2 or 1 (``memory.max``,
    ``memory.limit_in_bytes``; cgroups(7)); one of any group above ours holds too. None where nothing is said.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    limits = [installed(), *(_limit(path) for path in _limit_files(root))]
    return min((limit for limit in limits if limit is not None), default=None)


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still take without making the machine swap or being killed for it.

    That is what the system says is available, or less: what is left of its groups' limits, where files that
    are only cached count as free, or of ``ulimit -v``.

    Args:
        root: As of :func:`allowed`.
    """
    found = [_available(root), addresses_left()]
    for path in _limit_files(root):
        limit, used = _limit(path), _limit(path.with_name(_USED[path.name]))
        if limit is not None and used is not None:
            found.append(max(0, limit - used + _cached(path.parent)))
    return min((one for one in found if one is not None), default=None)


def _available(root: Path) -> int | None:
    """What ``/proc/meminfo`` says (proc(5), MemAvailable), bytes."""
    return _field(root / "proc/meminfo", "MemAvailable:", 1024)


def _cached(group: Path) -> int:
    """Bytes of files that a group of processes has read, and that can go at once."""
    return (
        _field(group / "memory.stat", "inactive_file")
        or _field(group / "memory.stat", "total_inactive_file")
        or 0
    )


def _field(path: Path, name: str, unit: int = 1) -> int | None:
    """A number of a file whose lines begin with a name."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * unit for line in lines if line.split()[:1] == [name])
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def addresses_left() -> int | None:
    """Bytes of addresses that this process may still take; None where nothing limits them (``ulimit -v``)."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return limit
    return max(0, limit - pages * resource.getpagesize())


def _limit_files(root: Path) -> Iterator[Path]:
    """The files that may hold a limit: of this process's groups and of all above them.

    Inside a container the groups' folder often starts at ours, whatever path ``/proc`` gives: what is not
    there is left out, and the folder itself is looked at in any case.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # a group outside what this process sees
            parts = []
        for count in range(len(parts) + 1):
            yield top.joinpath(*parts[:count], name)


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None


def give_back() -> None:
    """Return freed memory to the system, where its C library can (glibc's ``malloc_trim``).

    Looking for what can be freed walks every object of the process, a sixth of a second with torch and onnx
    loaded, whatever there is to be found. So it is done only where the process has grown since the last time.
    """
    global _left
    now = resident()
    if now is not None and now < _left + _WORTH:
        _left = min(_left, now)
        return
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    _left = resident() or 0


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it nothing looks for garbage, of which loading torch makes little and walks much: 0.3 s."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def settled() -> Iterator[None]:
    """Within it no collection walks what is there now: 0.15 s each time, with torch and onnx loaded.

    Nothing is changed where the program around us has done the same.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def resident() -> int | None:
    """Bytes of memory that this process holds now; None where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def hold_little() -> None:
    """Let every large tensor go back to the system at once, for a fifth more time in this process.

    Past a first few, glibc serves tensors of up to 32 MB from heaps that it does not shrink (mallopt(3),
    ``M_MMAP_THRESHOLD``): 2 GB beside the 4 GB that calibrating a V2-XL takes.
    """
    if sys.platform == "linux":
        option = getattr(ctypes.CDLL(None), "mallopt", None)
        if option is not None:
            option(_M_MMAP_THRESHOLD, _LARGE)
