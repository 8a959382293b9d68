"""One launch: the order of loading, rounds that fit together, and what becomes of a process that fails."""

import math
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeeff.errors import EdgeeffError, OptionError
from edgeeff.harness.fresh_process import How, start
from edgeeff.harness.launches import Launch, Run, measure
from edgeeff.onboard import resident


def run(wall, cpu=None, images=1):
    return Run(tuple(wall), tuple(cpu or wall), images, True, 0, 1.0, 1.0, None)


def test_the_figure_is_the_median_over_rounds_of_the_log_ratio():
    # Medians of 200 and 300 would say 1.5; of the rounds, each but one is slower by 1.2.
    base, test = [100, 200, 250, 300, 50], [120, 240, 300, 360, 900]
    launch = Launch(0, {0: run(base, [10] * 5), 1: run(test, [20] * 5, images=2)}, {2: "no engine"})
    assert launch.log_ratio(1, 0, "wall") == pytest.approx(math.log(1.2 / 2))
    assert launch.log_ratio(1, 0) == pytest.approx(math.log(2 / 2))
    assert launch.log_ratio(0, 1, "wall") == pytest.approx(math.log(2 / 1.2))
    with pytest.raises(OptionError, match="no engine"):
        launch.log_ratio(2, 0)
    coarse = replace(launch, runs={**launch.runs, 0: run(base, [0, 10, 10, 10, 10])})
    with pytest.raises(EdgeeffError, match="too coarse"):
        coarse.log_ratio(1, 0)


def test_the_order_of_loading_changes_with_the_launch(make_bundle):
    bundles = [make_bundle("a"), make_bundle("b"), make_bundle("jetson", runtime="tensorrt")]
    how = How(seconds=0.01)
    first, second = (measure(bundles[:2], [1, 1], how, number) for number in (0, 1))
    assert [first.runs[i].place for i in (0, 1)] == [second.runs[i].place for i in (1, 0)] == [0, 1]
    third = measure(bundles, [1, 1, 1], how, 2)
    assert list(third.not_run) == [2] and sorted(third.runs) == [0, 1]
    for launch in (first, second, third):
        a, b = launch.runs[0], launch.runs[1]
        assert len(a.wall_ns) == len(a.cpu_ns) == len(b.wall_ns) >= 10
        assert min(a.load_ms, a.first_ms, b.load_ms, b.first_ms) > 0
        assert math.isfinite(launch.log_ratio(0, 1, "wall"))


FAILING = """
import json, os, sys, time
sys.stderr.write("a runtime's last words\\n")
print(json.dumps({"event": "loading", "bundle": 1}), flush=True)
%s
"""


@pytest.mark.parametrize(
    ("ends", "says"), [("time.sleep(60)", "did not end within 3 s"), ("os._exit(7)", "exit status 7")]
)
def test_a_hang_and_a_crash_are_pinned_on_the_bundle(ends, says, make_bundle, tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(FAILING % ends)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bundles = [make_bundle("alpha"), make_bundle("beta")]
    with pytest.raises(EdgeeffError, match=f"loading alpha .*{says}.*\na runtime's last words"):
        start("failing", bundles, [1, 1], How(timeout=3), number=1)  # beta was loaded first


def test_what_a_runtime_prints_is_no_event_and_fills_no_memory(make_bundle, tmp_path, monkeypatch):
    code = """
import sys
print('a {runtime}\\n{}\\n[]\\n{"event": 1}')
print('{"event": "not run", "bundle": 0}\\n{"event": "done"}', flush=True)
sys.stderr.write("x" * 1_000_000 + "\\nlast words")
sys.exit(int(sys.argv[1].endswith("=2")))  # of two threads
"""
    (tmp_path / "chatty.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bundles = [make_bundle("alpha")]
    assert start("chatty", bundles, [1], How()) == [{"event": "not run", "bundle": 0}, {"event": "done"}]
    with pytest.raises(EdgeeffError, match=r"exit status 1:\n…x+\nlast words") as caught:
        start("chatty", bundles, [1], How(threads=2))
    assert len(str(caught.value)) < 1000


def test_a_bundle_without_a_result_is_an_error_and_not_left_out(make_bundle, tmp_path, monkeypatch):
    code = """
import json
for event in ({"event": "samples", "bundle": 0}, {"event": "loaded", "bundle": 1}, {"event": "done"}):
    print(json.dumps(event))
"""
    (tmp_path / "silent.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bundles = [make_bundle("alpha"), make_bundle("beta")]
    with pytest.raises(EdgeeffError, match="without a result of beta"):
        start("silent", bundles, [1, 1], How())


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import os, time
from edgeeff.onboard.ending import end_with
end_with(os.getppid())
print(flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_measurement_leaves_no_process_behind():
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
        assert parent.stdout.read() == ""
    for _ in range(200):
        with suppress(FileNotFoundError):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        break
    else:
        pytest.fail("it still runs")


def test_patience_is_generous_and_can_be_said():
    assert How(seconds=2.0).patience(3) == 420
    assert How(seconds=2.0, timeout=7.5).patience(3) == 7.5


def test_memory_of_a_step():
    with resident.growth() as grown:
        block = np.ones(30_000_000, np.uint8)
    if grown.peak_mb is not None:
        assert 29 <= grown.peak_mb <= 60
    del block


@pytest.mark.parametrize(
    ("before", "after", "peak"),
    [
        ((100, 100), (180, 300), 200),  # the mark was set back: it stood at what is resident
        ((100, 250), (180, 250), None),  # it was not, and the step stayed below it
        ((100, 250), (180, 300), 200),  # it was not, and the step rose above it
        ((100, 100), (90, 100), 0),
    ],
)
def test_memory_is_none_where_the_kernel_does_not_say(tmp_path, before, after, peak):
    status = tmp_path / "proc/self/status"
    with resident.growth(tmp_path) as nothing:
        pass
    status.parent.mkdir(parents=True)
    text = "Name:\tpython\nVmHWM:\t{1} kB\nVmRSS:\t{0} kB\n"
    status.write_text(text.format(*before))
    with resident.growth(tmp_path) as grown:
        status.write_text(text.format(*after))
    assert nothing.peak_mb is None
    assert grown.peak_mb == (peak if peak is None else peak * 1024 / 1e6)
