"""Several runs in flight: how many there are, and what is counted. No figure is held against another."""

import json
import threading

import numpy as np
import pytest

from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.harness.throughput import throughput
from edgeeff.harness.throughput_launch import of_queue, of_threads, prepare
from edgeeff.progress import Recorder

TRIFLE = {"launches": 1, "seconds": 0.01}


def test_images_a_second_are_counted_for_each_bundle(make_bundle):
    bundles = [make_bundle("ir", "cpu-fp32", batch=Batch(4)), make_bundle("lite")]
    jetson = make_bundle("jetson", runtime="tensorrt", precision="int8")
    report = throughput([*bundles, jetson], requests=2, threads=2, baseline="lite", **TRIFLE)
    ir, lite, absent = report.entries
    assert (report.launches, report.requests, ir.images, lite.images) == (1, 2, 4, 1)
    assert len(ir.launches) == 1 and min(*ir.launches, *lite.launches) > 0
    assert ir.images_per_second.value == pytest.approx(np.exp(np.mean(np.log(ir.launches))))
    assert lite.ratio.value == 1.0 and ir.ratio.value > 0
    assert absent.not_run and absent.images_per_second is None
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["record"]["kind"] == "throughput"
    assert [entry["status"] for entry in data["entries"]] == ["ok", "ok", "NOT RUN"]
    for wrong in ({"requests": 0}, {"threads": 0}, {"baseline": "other"}, {"timeout": -1.0}):
        with pytest.raises(OptionError):
            throughput(bundles, **(TRIFLE | wrong))


@pytest.mark.parametrize(
    ("requests", "threads", "says"),
    [(3, 2, "lite: 2 runs in flight, not 3"), (2, 3, "lite: 1 of 3 threads run nothing")],
)
def test_fewer_runs_or_threads_than_asked_for_are_warned_of(make_bundle, requests, threads, says):
    bundles = [make_bundle("ir", "cpu-fp32"), make_bundle("lite")]
    heard = Recorder()
    report = throughput(bundles, requests=requests, threads=threads, progress=heard, **TRIFLE)
    (told,) = (text for text in report.warnings if "runs in flight" in text)
    assert told.startswith(says) and told in heard.warnings


def test_a_queue_is_timed_while_all_requests_are_busy():
    """Of 3 requests the fourth start is the first that waited; then one run ends for each that starts."""
    started = []

    def flood(runs):
        while runs(len(started)):
            started.append(len(started))
        return [0, 1, 2, *(100 * n for n in range(1, len(started) - 2))]

    wall, cpu = of_queue(flood, 3).window(0.0)
    assert len(started) == 2 * 3 + 2
    assert wall == 100 and cpu >= 0


def test_threads_run_at_the_same_time():
    together = threading.Barrier(3, timeout=60)
    wall, cpu = of_threads([together.wait] * 3).window(0.0)  # one alone would wait for ever
    assert wall > 0 and cpu >= 0

    def broken():
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        of_threads([broken, lambda: None]).window(0.0)


def test_requests_of_openvino_are_its_own(make_bundle):
    made, cost = prepare(make_bundle("ir", "cpu-fp32"), 1, threads=2, requests=3, seed=0)
    assert made.window(0.0)[0] > 0 and min(cost.load_ms, cost.first_ms) > 0
    queue = make_bundle("other", "cpu-fp32").queue(2, 3)
    assert len(queue.queue) == 3
    compiled = queue.session.request.get_compiled_model()
    assert compiled.get_property("NUM_STREAMS") == 2  # a stream for each thread at most
    assert make_bundle("lite").queue(2, 3) is None
