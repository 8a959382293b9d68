"""The store of a board: each bundle whole or absent, within its bound, whoever else uses it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.store import Store, bound


def parts(size=1000, mark=b"a"):
    """The files of something like a bundle, and its digest."""
    files = {"model.bin": mark * size, "golden/inputs.npy": b"g" * 10}
    seals = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = json.dumps({"files": seals}).encode()
    return {"manifest.json": manifest, **files}, hashlib.sha256(manifest).hexdigest()


def receive(store, files, digest, *, finish=True):
    incoming = store.begin(digest, sum(map(len, files.values())))
    try:
        for name, content in files.items():
            incoming.file(name)
            incoming.data(content)
        if finish:
            incoming.finish()
    except Refused:
        incoming.drop()
        raise
    return incoming


def names(folder):
    """The bundles that are there."""
    return {path.name for path in (folder / "bundles").iterdir() if path.is_dir()}


def nothing_half_made(folder):
    return not (folder / "work").exists() or not list((folder / "work").iterdir())


def test_a_bundle_is_there_once_it_is_whole(tmp_path):
    store, (files, digest) = Store(tmp_path, 10**6), parts()
    incoming = receive(store, files, digest, finish=False)
    assert not store.has(digest)
    incoming.finish()
    place = store.use(digest)
    assert {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()} == set(files)
    store.close()
    assert nothing_half_made(tmp_path) and Store(tmp_path, 10**6).has(digest)


@pytest.mark.parametrize("damage", ["cut", "altered", "absent"])
def test_a_bundle_that_came_damaged_does_not_become_one(damage, tmp_path):
    store, (files, digest) = Store(tmp_path, 10**6), parts()
    wrong = dict(files)
    if damage == "absent":
        del wrong["golden/inputs.npy"]
    else:
        wrong["model.bin"] = files["model.bin"][:-1] + (b"" if damage == "cut" else b"x")
    with pytest.raises(Refused, match="did not reach the board whole"):
        receive(store, wrong, digest)
    store.close()
    assert names(tmp_path) == set() and nothing_half_made(tmp_path)


def test_a_bundle_that_was_damaged_there_is_sent_anew(tmp_path):
    files, digest = parts()
    first = Store(tmp_path, 10**6)
    receive(first, files, digest)
    first.close()
    (tmp_path / "bundles" / digest / "model.bin").write_bytes(b"rot")
    store = Store(tmp_path, 10**6)
    assert not store.has(digest) and names(tmp_path) == set()
    receive(store, files, digest)
    assert store.has(digest)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a\0b", "manifest.json"])
def test_no_file_lands_elsewhere(name, tmp_path):
    store, (files, digest) = Store(tmp_path / "s", 10**6), parts()
    incoming = store.begin(digest, 10)
    incoming.file("manifest.json")
    incoming.data(files["manifest.json"])
    with pytest.raises(Refused, match="names a file"):
        incoming.file(name)
    incoming.drop()
    assert not list(tmp_path.glob("*x*")) and not (tmp_path / "x").exists()


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    bundles = [parts(1000, mark) for mark in (b"a", b"b", b"c")]
    for age, (files, digest) in zip((30, 20, 10), bundles, strict=True):
        store = Store(tmp_path, 4200)
        receive(store, files, digest)
        store.close()
        at = time.time() - age
        os.utime(tmp_path / "bundles" / f"{digest}.lock", (at, at))
    reader = Store(tmp_path, 4200)
    reader.use(bundles[0][1])  # the oldest, now used last, and held
    files, digest = parts(1000, b"d")
    receive(Store(tmp_path, 4200), files, digest)
    assert names(tmp_path) == {bundles[0][1], bundles[2][1], digest}


def test_what_is_in_use_stays(tmp_path):
    files, digest = parts()
    holder = Store(tmp_path, 1500)
    receive(holder, files, digest)
    other, late = parts(1000, b"z")
    with pytest.raises(Refused, match="in use fill"):
        receive(Store(tmp_path, 1500), other, late)
    with pytest.raises(Refused, match="does not fit"):
        Store(tmp_path, 100).begin(late, 101)
    holder.close()
    receive(Store(tmp_path, 1500), other, late)
    assert names(tmp_path) == {late}


def test_bounds_that_are_none_are_refused(monkeypatch):
    monkeypatch.setenv("EDGEEFF_STORE_LIMIT", "2 GB")
    with pytest.raises(Refused, match="EDGEEFF_STORE_LIMIT"):
        bound()


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path):
    """A limit on the size of files is what a full disk is to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store, (files, digest) = Store(tmp_path, 10**6), parts(50_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(Refused, match="disk is full") as caught:
            receive(store, files, digest)
        assert "EDGEEFF_HOME" in caught.value.mend
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.close()
    assert names(tmp_path) == set() and nothing_half_made(tmp_path)


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused, match="cannot be written"):
        Store(tmp_path / "file", 10**6).begin(parts()[1], 10)


WRITER = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from tests.devices.test_store import Store, parts, receive
store = Store(pathlib.Path(sys.argv[1]), 4200)
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    files, digest = parts(1000, b"abcd"[number % 4 :][:1])
    if not store.has(digest):
        receive(store, files, digest)
    folder = store.use(digest)
    assert (folder / "model.bin").read_bytes() == files["model.bin"]
    store.release(digest)
store.close()
"""


def writer(folder, rounds):
    root = str(Path(__file__).parent.parent.parent)
    command = [sys.executable, "-c", WRITER, str(folder), root, str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_agents_that_share_a_store_never_see_half_a_bundle(tmp_path):
    """Three use four bundles in a store that holds three: each removes those of others. One is killed."""
    processes = [writer(tmp_path, 40) for _ in range(2)]
    killed = writer(tmp_path, 10**6)
    started = killed.stdout.readline()
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert started == "ready\n" and errors == ["", ""]
    store = Store(tmp_path, 4200)
    for digest in names(tmp_path):
        assert store.has(digest)
        store.release(digest)
    files, digest = parts(1000, b"e")
    receive(store, files, digest)
    store.sweep()  # what the killed one left, and not what is in use
    store.close()
    assert nothing_half_made(tmp_path)
