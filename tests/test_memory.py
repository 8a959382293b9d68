"""What a process may take of memory, by trees of /proc and /sys as containers and batch systems have them."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from edgeeff import memory

GB = 1 << 30


@pytest.fixture(autouse=True)
def eight(monkeypatch):
    """A machine of 8 GiB."""
    monkeypatch.setattr(memory, "installed", lambda: 8 * GB)


@pytest.mark.parametrize(
    ("groups", "limits", "allowed"),
    [
        # Version 2: a service's own limit, one of a group above it, none; what a container sees.
        ("0::/a.slice/b.service", {"a.slice/b.service/memory.max": 2 * GB}, 2),
        ("0::/a.slice/b.service", {"a.slice/memory.max": GB, "a.slice/b.service/memory.max": 2 * GB}, 1),
        ("0::/a.slice/b.service", {"a.slice/memory.max": "max", "a.slice/b.service/memory.max": "max"}, 8),
        ("0::/", {"memory.max": 3 * GB}, 3),
        ("0::/../../other", {"memory.max": 3 * GB, "other/memory.max": GB}, 3),
        ("0::/docker/0123", {"memory.max": 3 * GB}, 3),
        # Version 1, where "no limit" is a number; and both at once.
        ("5:cpu:/x\n4:memory:/job/7", {"memory/job/7/memory.limit_in_bytes": 4 * GB}, 4),
        ("4:memory:/docker/0123", {"memory/memory.limit_in_bytes": 4 * GB}, 4),
        ("4:cpu,memory:/", {"memory/memory.limit_in_bytes": 9223372036854771712}, 8),
        ("4:memory:/a\n0::/b", {"memory/a/memory.limit_in_bytes": 5 * GB, "b/memory.max": 6 * GB}, 5),
        # Of another controller, damaged, or nothing there.
        ("5:cpu:/x", {"cpu/x/memory.max": GB, "memory.max": GB}, 8),
        ("0::/a", {"a/memory.max": "much"}, 8),
        ("no line of it", {}, 8),
        (None, {"memory.max": GB}, 8),
    ],
)
def test_limits_of_control_groups(tmp_path, groups, limits, allowed):
    for name, limit in limits.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"{groups}\n")
    assert memory.allowed(tmp_path) == allowed * GB


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({"proc/meminfo": "MemFree: 5 kB\nMemAvailable: 3145728 kB\n"}, 3 * GB),
        ({"proc/meminfo": "MemAvailable: much\n"}, None),
        ({}, None),
        # A group's limit, less what it takes, and more what it only caches.
        ({"proc/self/cgroup": "0::/", "memory.max": 4 * GB, "memory.current": 3 * GB}, GB),
        (
            {
                **{"proc/self/cgroup": "0::/", "memory.max": 4 * GB, "memory.current": 3 * GB},
                **{
                    "memory.stat": f"anon 7\ninactive_file {GB}\n",
                    "proc/meminfo": "MemAvailable: 3145728 kB",
                },
            },
            2 * GB,
        ),
        ({"proc/self/cgroup": "0::/", "memory.max": "max", "memory.current": 3 * GB}, None),
        (
            {
                "proc/self/cgroup": "4:memory:/",
                "memory/memory.limit_in_bytes": GB,
                "memory/memory.usage_in_bytes": 2 * GB,
            },
            0,
        ),
    ],
)
def test_what_is_free(tmp_path, monkeypatch, files, available):
    monkeypatch.setattr(memory, "addresses_left", lambda: None)
    for name, content in files.items():
        path = tmp_path / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    assert memory.available(tmp_path) == available


class Knot:
    """What only a search for cycles frees."""

    def __init__(self):
        self.own = self


def test_a_process_that_has_not_grown_is_not_searched(monkeypatch):
    """It would take a sixth of a second each time; one that has grown gives back what nothing refers to."""
    held = [100 * GB]
    monkeypatch.setattr(memory, "resident", lambda: held[0])
    memory.give_back()
    gc.disable()
    try:
        knot = weakref.ref(Knot())
        held[0] += 1 << 20
        memory.give_back()
        assert knot() is not None
        held[0] = 0  # less than before, and then more than that
        memory.give_back()
        held[0] = 1 << 30
        memory.give_back()
        assert knot() is None
    finally:
        gc.enable()
        monkeypatch.setattr(memory, "_left", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_addresses_that_a_limit_leaves():
    code = """
import resource
from edgeeff import memory
before = memory.addresses_left()
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
left = memory.addresses_left()
held = bytearray(512 << 20)
print(before, left, left - memory.addresses_left())
"""
    before, left, taken = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert before == "None" and 1 << 30 < int(left) < 2 << 30
    assert 512 << 20 <= int(taken) <= 520 << 20


@pytest.fixture
def unfrozen():
    """Without what the tests' own settings froze."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_what_is_there_is_not_walked_within_and_is_garbage_again_after(unfrozen):
    knot = Knot()
    gone = weakref.ref(knot)
    with memory.settled():
        del knot
        gc.collect()
        assert gone() is not None
        later = weakref.ref(Knot())
        with memory.settled():  # within another one nothing is changed
            pass
        gc.collect()
        assert later() is None and gc.get_freeze_count()
    gc.collect()
    assert gone() is None and not gc.get_freeze_count()


def test_nothing_looks_for_garbage_within_and_it_is_looked_for_again_after():
    with pytest.raises(ValueError), memory.uncollected():
        assert not gc.isenabled()
        with memory.uncollected():
            pass
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()
