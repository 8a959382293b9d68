from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeeff.cache import Cache, key_of, versions
from edgeeff.errors import OptionError

PARTS = {"graph.onnx": b"some bytes" * 20, "facts.json": b'{"classes": 10}'}


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def test_what_was_put_is_got(cache):
    assert cache.get("graph", "k") is None
    cache.put("graph", "k", PARTS)
    assert cache.get("graph", "k") == PARTS
    assert cache.get("statistics", "k") is None
    cache.put("graph", "k", {"other": b""})
    assert cache.get("graph", "k") == {"other": b""}


def test_same_parts_same_bytes(cache, tmp_path):
    cache.put("graph", "k", PARTS)
    other = Cache(tmp_path / "other")
    other.put("graph", "k", dict(reversed(PARTS.items())))
    assert (other.folder / "graph" / "k.zip").read_bytes() == (cache.folder / "graph" / "k.zip").read_bytes()


def test_every_single_damaged_byte(cache):
    cache.put("graph", "k", PARTS)
    path = cache.folder / "graph" / "k.zip"
    whole = path.read_bytes()
    for position in range(len(whole)):
        for flip in (0x01, 0x08, 0x80, 0xFF):
            broken = bytearray(whole)
            broken[position] ^= flip
            path.write_bytes(broken)
            assert cache.get("graph", "k") in (None, PARTS), (position, flip)


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.99])
def test_a_truncated_entry_reads_as_absent(keep, cache):
    cache.put("graph", "k", PARTS)
    path = cache.folder / "graph" / "k.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert cache.get("graph", "k") is None
    cache.put("graph", "k", PARTS)
    assert cache.get("graph", "k") == PARTS


def test_the_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path, limit=3500)
    for i, name in enumerate("abc"):
        cache.put("graph", name, {"x": bytes(1000)})
        os.utime(tmp_path / "graph" / f"{name}.zip", (i, i))
    assert cache.get("graph", "a") is not None  # used now, and so the youngest
    cache.put("graph", "d", {"x": bytes(1000)})
    assert sorted(key for _, key, _ in cache.entries()) == ["a", "c", "d"]
    assert sum(size for _, _, size in cache.entries()) <= 3500


def test_entries_and_clear(cache):
    cache.put("graph", "b", PARTS)
    cache.put("hub", "a", PARTS)
    (cache.folder / "graph" / ".edgeeff-left").write_bytes(bytes(100))
    listed = cache.entries()
    assert [(stage, key) for stage, key, _ in listed] == [("graph", "b"), ("hub", "a")]
    assert cache.clear() == sum(size for _, _, size in listed) + 100
    assert cache.entries() == [] and cache.get("graph", "b") is None
    assert Cache(cache.folder / "nowhere").clear() == 0


def test_what_the_folder_cannot_hold_is_held_in_memory(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for cache in (Cache(tmp_path / "file" / "cache"), Cache(tmp_path / "small", limit=100)):
        cache.put("graph", "k", PARTS)
        assert cache.entries() == []
        assert cache.get("graph", "k") == PARTS
        assert Cache(cache.folder, cache.limit).get("graph", "k") is None
        cache.clear()
        assert cache.get("graph", "k") is None


def test_the_environment_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("EDGEEFF_CACHE_LIMIT", "1000")
    assert Cache.default() == Cache(tmp_path, 1000)
    monkeypatch.delenv("EDGEEFF_CACHE_LIMIT")
    assert Cache.default().limit == 4 << 30
    for wrong in ("1 GB", "-1", "", "²"):
        monkeypatch.setenv("EDGEEFF_CACHE_LIMIT", wrong)
        with pytest.raises(OptionError, match="EDGEEFF_CACHE_LIMIT"):
            Cache.default()


def test_keys_hang_on_content_alone():
    assert key_of(a=1, b={"x": 2, "y": [3]}) == key_of(b={"y": [3], "x": 2}, a=1)
    assert len({key_of(a=1), key_of(a="1"), key_of(b=1), key_of(a=None), key_of()}) == 5


def test_versions_of_what_is_installed():
    found = versions("numpy", "no-such-distribution")
    assert list(found) == ["numpy"] and found["numpy"][0].isdigit()


def test_writers_that_crowd_each_other_out(tmp_path):
    """Each removes what another may just be looking at."""
    cache = Cache(tmp_path, limit=5000)

    def work(number):
        for i in range(40):
            cache.put("graph", f"{number}-{i % 7}", {"x": bytes([number]) * 900})
            found = cache.get("graph", f"{number}-{i % 7}")
            assert found is None or found == {"x": bytes([number]) * 900}
            cache.entries()
            if i % 20 == 19:
                cache.clear()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert not list(tmp_path.glob("*/.edgeeff-*"))


CHILD = """
import sys
from pathlib import Path
from edgeeff.cache import Cache
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
for i in range(10**9):
    cache.put("graph", str(i % 5), {"x": bytes([i % 256]) * 3_000_000, "n": str(i % 256).encode()})
"""


def test_a_kill_at_any_moment_leaves_no_damaged_entry(cache):
    moments = random.Random(0)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(cache.folder)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0, 0.15))
            child.send_signal(signal.SIGKILL)
            child.wait()
        for stage, key, _ in cache.entries():
            found = cache.get(stage, key)
            assert found is not None
            assert found["x"] == bytes([int(found["n"])]) * 3_000_000
    cache.clear()
    assert not list(cache.folder.glob("*/*")) and not list(cache.folder.glob("*/.*"))


def test_what_killed_writers_left_goes_with_the_next_entry_once_it_is_old(tmp_path):
    cache = Cache(tmp_path)
    cache.put("stage", "a", {"part": b"x"})
    young, old = tmp_path / "stage" / ".edgeeff-young", tmp_path / "stage" / ".edgeeff-old"
    for path in (young, old):
        path.write_bytes(b"half an entry")
    os.utime(old, (0, 0))
    cache.put("stage", "b", {"part": b"y"})
    assert young.exists() and not old.exists()
    assert cache.get("stage", "a") == {"part": b"x"}
