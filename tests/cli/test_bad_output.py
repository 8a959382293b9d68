"""Output that cannot be written: refused with status 2, and what was there stays as it was."""

from __future__ import annotations

import resource
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def build(edgeeff, process, ten_photos, small):
    """``build(output)``: a small network to that folder, as lite0; with options of a process, as one."""

    def run(output, *arguments, **options):
        fixed = (
            *small("lite"),
            "--name=lite0",
            "--effort=fast",
            f"--calibration={ten_photos}",
            "--target=cpu-int8",
        )
        verb = process if options else edgeeff
        return verb("build", *fixed, f"--output={output}", *arguments, **options)

    return run


@pytest.fixture
def refused(build):
    def run(output, *arguments, **options) -> str:
        result = build(output, *arguments, **options)
        assert result.status == 2, (result.out, result.err)
        assert "Traceback" not in result.err and result.out == ""
        assert result.err.count("error: ") == 1 and "\n  → " in result.err
        return str(result.err)

    return run


@contextmanager
def mounted(folder: Path, options: str):
    """A file system in memory at that folder; skips where we may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_file_in_the_place_of_the_folder(refused, tmp_path):
    (tmp_path / "dist").write_text("mine")
    assert "dist is a file" in refused(tmp_path / "dist")
    assert "cannot write" in refused(tmp_path / "dist" / "below")
    assert (tmp_path / "dist").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["/proc", "/proc/dist", "/sys/dist"])
def test_a_place_where_nothing_can_be_made(place, refused):
    """Refused before any work: nothing is calibrated for an output that cannot be."""
    error = refused(place)
    assert f"cannot write {place}" in error and "•" not in error


@pytest.mark.parametrize("content", ["file", "folder", "manifest of others"])
def test_a_folder_that_is_not_ours(content, refused, tmp_path):
    theirs = tmp_path / "lite0-cpu-int8"
    if content == "file":
        theirs.write_text("precious")
    else:
        theirs.mkdir()
        (theirs / ("manifest.json" if content != "folder" else "thesis.tex")).write_text('{"precious": 1}')
    before = {path: path.stat().st_ctime_ns for path in tmp_path.rglob("*")}
    assert "lite0-cpu-int8 is there and is not a bundle of ours" in refused(tmp_path)
    assert {path: path.stat().st_ctime_ns for path in tmp_path.rglob("*")} == before


def test_a_read_only_disk(refused, tmp_path):
    with mounted(tmp_path / "dist", "ro,size=1m") as dist:
        error = refused(dist)
        assert "the disk is read-only" in error and "•" not in error
        assert "the disk is read-only" in refused(dist / "deeper")


def test_a_full_disk(refused, tmp_path):
    with mounted(tmp_path / "dist", "size=200k") as dist:
        assert "the disk is full" in refused(dist)
        assert list(dist.iterdir()) == []


def test_a_disk_that_is_full_where_temporary_files_go(refused, tmp_path):
    with mounted(tmp_path / "tmp", "size=64k") as temporary:
        assert "temporary folder" in refused(tmp_path / "dist", env={"TMPDIR": str(temporary)})
        assert not list(temporary.glob("*/*")) and not (tmp_path / "dist").exists()


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(refused, tmp_path):
    """What a quota does, on every machine: a write that the system cuts short with EFBIG."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    error = refused(tmp_path / "dist", "--target=jetson-int8", preexec_fn=limit)
    assert "cannot write" in error
    left = list(tmp_path.rglob("*.*"))
    assert left == [], left


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_no_error(process, ten_photos, lite0_bundles, tmp_path):
    """The work is done without it, and makes the same bundle."""
    (tmp_path / "file").write_text("")
    network = ("--model=lite0", "--size=96", f"--calibration={ten_photos}", "--target=cpu-int8")
    env = {"EDGEEFF_CACHE_DIR": str(tmp_path / "file")}
    result = process("build", *network, f"--output={tmp_path / 'dist'}", env=env)
    assert result.status == 0, result.err
    one, two = (path / "lite0-cpu-int8" / "manifest.json" for path in (lite0_bundles, tmp_path / "dist"))
    assert one.read_bytes() == two.read_bytes()


def test_up_to_a_tenth_of_corrupt_images_are_skipped_and_named(build, folder_of, photos, tmp_path):
    """One that calibrates and one that is held out, of twenty."""
    folder = folder_of(photos, broken=[2, 9])
    result = build(tmp_path / "dist", f"--calibration={folder}", "--json")
    assert result.status == 0, result.err
    for name in ("02.jpg", "09.jpg"):
        assert f"WARNING skipped an image: {folder / name} cannot be decoded" in result.err
    assert [bundle["verification"]["images"] for bundle in result.data] == [3]


#: What the folders of a user may be, where nothing has to be mounted.
PLACES = ("nothing", "file", "mit Leer ä日本", "l" * 230 + "/" + "l" * 230, "")


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"])
def test_folders_of_the_user_that_are_odd(variable, process, lite0_bundles, ten_photos, tmp_path):
    """What is kept in them is not kept, and the work is done; what is full or read-only is too."""
    bundle = lite0_bundles / "lite0-cpu-int8"
    for name in ("mit Leer ä日本", PLACES[3]):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("mine")
    verb = {
        "eval": ["eval", bundle, f"--images={ten_photos}", f"--reference={lite0_bundles / 'lite0-cpu-fp32'}"],
        "emit": [
            *("emit", lite0_bundles / "lite0-jetson-int8" / "model.qdq.onnx", "--target=cpu-int8"),
            *("--model=lite0", f"--output={tmp_path / 'dist'}"),
        ],
    }["emit" if variable in ("TMPDIR", "XDG_CACHE_HOME") else "eval"]
    own = {"EDGEEFF_CACHE_DIR": "", "EDGEEFF_HISTORY": ""}
    with mounted(tmp_path / "full", "size=4k"), mounted(tmp_path / "read-only", "ro,size=1m"):
        (tmp_path / "full" / "file").write_bytes(bytes(4096))
        for name in (*PLACES, "full", "read-only"):
            place = str(tmp_path / name) if name else ""
            done = process(*verb, env={**own, variable: place}, cwd=tmp_path)
            assert "Traceback" not in done.err and done.status == 0, (name, done.err)
            lost = variable in ("HOME", "XDG_STATE_HOME") and name in ("file", "full", "read-only", PLACES[3])
            assert ("not stored in the history" in done.err) == lost, (name, done.err)
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} <= {
        *(n.split("/")[0] for n in PLACES),
        "full",
        "read-only",
        "dist",
    }
