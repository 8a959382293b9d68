"""Real launches of real bundles: what is reported, not how fast it was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edgeeff
from edgeeff.bundle import write_bundle
from edgeeff.errors import BundleError, ChangedFileError, EdgeeffError, OptionError
from edgeeff.harness import latency, lock, subjects
from edgeeff.harness.launch import MINIMUM_ROUNDS, benchmark_images
from edgeeff.progress import Recorder, Silent

TRIFLE = {"launches": 2, "seconds": 0.02}


def test_bundles_are_measured_side_by_side(make_bundle):
    seen = []
    report = edgeeff.benchmark(
        [make_bundle("a").folder, make_bundle("b")],
        baseline="b",
        progress=lambda *done: seen.append(done),
        **TRIFLE,
    )
    assert seen == [(1, 2), (2, 2)]
    assert [entry.name for entry in report.entries] == ["a", "b"]
    assert report.baseline == "b"
    a, b = (entry.timing for entry in report.entries)
    assert a.inferences == b.inferences >= 2 * MINIMUM_ROUNDS
    assert 0 < a.wall_ms.p50 <= a.wall_ms.p90 <= a.wall_ms.p99
    assert len(a.cpu_launches_ms) == len(a.wall_launches_ms) == 2
    assert report.ratio("b").value == 1.0
    low, high = report.ratio("a").interval
    assert low <= report.ratio("a").value <= high
    json.dumps(report.to_json(), allow_nan=False)


def test_measuring_ends_when_the_interval_is_narrow_enough(make_bundle, monkeypatch):
    monkeypatch.setattr(latency, "LEAST", 2)
    bundles = [make_bundle("a"), make_bundle("b")]
    wide = edgeeff.benchmark(bundles, seconds=0.02, until=0.999, launches=20)
    assert wide.reached and 2 <= wide.launches < 20
    assert wide.ratio("b").half_width <= 0.999
    monkeypatch.setattr(latency, "LEAST", 6)  # two launches can take the same time to the nanosecond
    narrow = edgeeff.benchmark(bundles[:1], seconds=0.02, until=1e-9, launches=6)
    assert narrow.reached is False and narrow.launches == 6
    told = [[w for w in one.warnings if "was asked for" in w] for one in (wide, narrow)]
    assert told[0] == [] and "after 6 launches" in told[1][0]


def test_the_clock_is_wall_time_where_a_gpu_or_several_threads_compute(make_bundle, tmp_path, monkeypatch):
    cpu, jetson = make_bundle(), make_bundle("jetson", runtime="tensorrt", precision="int8")
    assert latency.clock_of([cpu, jetson], 1) == "cpu" and latency.clock_of([cpu], 2) == "wall"
    (tmp_path / "tensorrt.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert latency.clock_of([cpu, jetson], 1) == "wall" and latency.clock_of([cpu], 1) == "cpu"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a process's life is read from /proc")
def test_another_measurement_is_warned_of_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "lock"))
    heard = Recorder(Silent())
    with lock.alone():
        subjects.warn_of_another(heard)  # our own, as of a gate that measures
        note = (tmp_path / "lock.holder").read_text()
        assert heard.warnings == ()
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        (tmp_path / "lock.holder").write_text(json.dumps({**json.loads(note), "pid": other.pid}))
        subjects.warn_of_another(heard)
        other.communicate(b"\n")
        assert len(heard.warnings) == 1 and f"process {other.pid} of" in heard.warnings[0]
        dead = Recorder(Silent())
        subjects.warn_of_another(dead)
        assert dead.warnings == ()


def test_a_runtime_that_is_not_here_is_not_run(make_bundle):
    bundle = make_bundle("phone")
    jetson = make_bundle("jetson", runtime="tensorrt", precision="int8")
    report = edgeeff.benchmark([bundle, jetson], **TRIFLE)
    assert report.entry("phone").timing is not None
    assert report.entry("jetson").timing is None and report.entry("jetson").not_run
    assert report.clock == "cpu"  # no GPU computes here
    alone = edgeeff.benchmark([jetson], **TRIFLE)
    assert [entry.timing for entry in alone.entries] == [None]


def test_two_bundles_of_one_name_are_told_apart(make_bundle, tmp_path):
    first = make_bundle("twin")
    files = {name: (first.folder / name).read_bytes() for name in first.manifest.files}
    second = write_bundle(tmp_path / "elsewhere", first.manifest, files)
    report = edgeeff.benchmark([first, second], launches=1, seconds=0.02)
    assert len({entry.name for entry in report.entries}) == 2
    assert report.ratio(report.entries[1].name).interval is None
    with pytest.raises(OptionError, match="twice"):
        edgeeff.benchmark([first, first], **TRIFLE)


def test_a_bundle_that_is_replaced_meanwhile_is_not_measured(make_bundle):
    manifest = (bundle := make_bundle()).folder / "manifest.json"

    def replaced(*_: int) -> None:
        manifest.write_bytes(manifest.read_bytes())

    with pytest.raises(ChangedFileError, match="manifest"):
        edgeeff.benchmark([bundle], progress=replaced, **TRIFLE)


def test_an_unknown_baseline_is_refused(make_bundle):
    bundle = make_bundle()
    for baseline in ("other", 1, -1):
        with pytest.raises(OptionError, match="hold the others against"):
            edgeeff.benchmark([bundle], baseline=baseline, **TRIFLE)


def test_an_altered_bundle_keeps_its_kind_of_error(make_bundle):
    bundle = make_bundle()
    path = bundle.folder / next(iter(bundle.manifest.files))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleError, match="SHA-256"):
        edgeeff.benchmark([bundle], **TRIFLE)


def test_a_launch_that_fails_names_the_bundle(make_bundle):
    sound, broken = make_bundle("sound"), make_bundle("broken")
    files = {name: (broken.folder / name).read_bytes() for name in broken.manifest.files}
    files = {n: c if n.startswith("golden/") else c[: len(c) // 3] for n, c in files.items()}
    broken = write_bundle(broken.folder, broken.manifest, files)
    with pytest.raises(EdgeeffError, match="broken"):
        edgeeff.benchmark([sound, broken], **TRIFLE)


def test_images_are_golden_or_seeded_noise(make_bundle, colours):
    golden = colours[0][:4]
    assert (
        benchmark_images(make_bundle("golden"), len(golden) + 2, 0) == np.concatenate([golden, golden[:2]])
    ).all()
    plain = make_bundle("plain", golden=False)
    noise = benchmark_images(plain, 2, 3)
    assert (noise.shape, noise.dtype) == ((2, 8, 8, 3), np.uint8)
    assert (noise == benchmark_images(plain, 2, 3)).all() and (noise != benchmark_images(plain, 2, 4)).any()


needs_proc = pytest.mark.skipif(
    not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(),
    reason="finds children through /proc",
)


@needs_proc
def test_ctrl_c_leaves_no_child(make_bundle):
    parent = long_benchmark(make_bundle())
    children = wait_for(lambda: children_of(parent.pid))
    parent.send_signal(signal.SIGINT)  # to the parent alone, as a supervisor sends it
    parent.communicate(timeout=60)
    assert parent.returncode
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@needs_proc
def test_a_launch_that_is_killed_names_the_bundle_and_the_signal(make_bundle):
    parent = long_benchmark(make_bundle("victim"))
    os.kill(wait_for(lambda: children_of(parent.pid))[0], signal.SIGKILL)
    _, printed = parent.communicate(timeout=60)
    assert "victim ended the process with signal 9" in printed


def long_benchmark(bundle):
    code = f"import edgeeff; edgeeff.benchmark([{str(bundle.folder)!r}], seconds=60.0)"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def children_of(process):
    """Its launches; git, which is asked for the commit, is none."""
    listing = Path(f"/proc/{process}/task/{process}/children")
    children = listing.read_text().split() if listing.exists() else []
    return [int(child) for child in children if b"harness.launch" in command_of(child)]


def command_of(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def wait_for(condition):
    for _ in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing came of it in a minute")
