from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeeff.errors import OutputError
from edgeeff.files import TEMPORARY, scratch_folder, sweep, write_file, write_folder, writing


def entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "deep" / "er" / "a.bin"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert entries(path.parent) == ["a.bin"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_whoever_may_read_a_new_file_is_the_umask_s_to_say(mask, mode, tmp_path):
    """HTML, SARIF and tuning files were 0600 whatever the umask (issue 14)."""
    script = (
        "import os, sys, pathlib; from edgeeff.files import write_file, write_folder;"
        "os.umask(int(sys.argv[1]));"
        "write_file(pathlib.Path('page.html'), b'1'); write_file(pathlib.Path('page.html'), b'2');"
        "write_folder(pathlib.Path('bundle'), {'manifest.json': b'{}'})"
    )
    subprocess.run([sys.executable, "-c", script, str(mask)], cwd=tmp_path, check=True)
    for path in (tmp_path / "page.html", tmp_path / "bundle" / "manifest.json"):
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(call, tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_file(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OutputError, match=r"cannot write .*a\.bin: the disk is full"):
        write_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and entries(tmp_path) == ["a.bin"]


def test_an_interrupt_leaves_nothing_either(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.bin", b"new")
    assert entries(tmp_path) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        write_file(tmp_path / "a" / "b", b"")
    with pytest.raises(OutputError, match="cannot write"), scratch_folder(tmp_path / "a"):
        pass


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"),
     (errno.EACCES, "permission is denied"), (errno.EIO, "Input/output error")],
)  # fmt: skip
def test_refusals_say_how_to_mend_them(number, reason, tmp_path):
    with pytest.raises(OutputError, match=reason) as caught, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "choose another folder" in caught.value.mend


@pytest.mark.parametrize("name", ["pipe", "link", "folder", "/dev/null", "/dev/stdout", "nul\0"])
def test_what_is_no_regular_file_is_not_replaced(name, tmp_path):
    """As root ``--markdown /dev/stdout`` would put a file in the place of the machine's device."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"no regular file|is a folder|NUL"):
        write_file(tmp_path / name, b"content")
    assert entries(tmp_path) == ["folder", "link", "pipe"]


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OutputError):
        write_file(tmp_path / "circle" / "report.html", b"content")


def test_a_full_disk(tmp_path):
    """A real one: /dev/full takes nothing."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the disk is full"):
        write_folder(tmp_path, {"full": b"some bytes"})


def test_scratch_goes_at_the_end(tmp_path):
    parent = tmp_path / "dist"
    with scratch_folder(parent) as scratch:
        assert scratch.is_dir() and scratch.name.startswith(TEMPORARY)
        write_folder(scratch, {"a": b"1", "b/c": b"2"})
        assert (scratch / "b" / "c").read_bytes() == b"2"
    assert entries(parent) == []


def test_scratch_goes_after_a_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path) as scratch:
        write_folder(scratch, {"a": b"1"})
        raise KeyboardInterrupt
    assert entries(tmp_path) == []


SWEEPER = "import sys, pathlib, edgeeff.files as f; f.sweep(pathlib.Path(sys.argv[1]))"


def test_sweeping_leaves_what_is_in_use_and_what_is_not_ours(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "notes.lock").write_text("")
    with scratch_folder(tmp_path) as scratch:
        write_folder(scratch, {"a": b"1"})
        subprocess.run([sys.executable, "-c", SWEEPER, str(tmp_path)], check=True)
        assert (scratch / "a").read_bytes() == b"1"
    assert entries(tmp_path) == ["bundle", "notes.lock"]


CHILD = """
import sys, time
from pathlib import Path
from edgeeff.files import scratch_folder, write_folder
with scratch_folder(Path(sys.argv[1])) as scratch:
    write_folder(scratch, {"a": b"1"})
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_swept(tmp_path):
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        sweep(tmp_path)
        assert len([n for n in entries(tmp_path) if not n.endswith(".lock")]) == 1  # its owner lives
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(entries(tmp_path)) == 2
    sweep(tmp_path)
    assert entries(tmp_path) == []


def test_a_lock_without_its_folder_is_swept(tmp_path):
    """Killed between taking the lock and making the folder."""
    (tmp_path / f"{TEMPORARY}0123.lock").write_bytes(b"")
    sweep(tmp_path)
    assert entries(tmp_path) == []
