"""Units of a matrix over bundles that are there: on Dask's processes, and on boards that are lost.

A board is a process of this machine here: what is tested is who measures what, how often, and when.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from edgeeff.bundle import Bundle
from edgeeff.errors import ClusterError, DeviceError
from edgeeff.harness import fresh_process, record
from edgeeff.harness.accuracy import evaluate
from edgeeff.matrix import boards, cluster, facts, planning
from edgeeff.matrix.cluster import Where
from edgeeff.matrix.planning import Plan
from edgeeff.matrix.running import Run
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Unit

HOW = {"threads": 1, "threshold": None, "white": None}


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "results")
    found.prepare()
    return found


def built(store, bundle):
    """A bundle as the result of a build."""
    unit = Unit("build", bundle.name, bundle.manifest.target, facts={"digest": bundle.digest()})
    with store.making(unit.key) as folder:
        shutil.copytree(bundle.folder, folder / "bundle" / bundle.folder.name)
        said = {"bundle": f"bundle/{bundle.folder.name}", "digest": bundle.digest()}
        store.put(unit.key, folder, said)
    return unit


@pytest.fixture
def photos(colours, tmp_path):
    folder = tmp_path / "photos"
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        path = folder / ("red", "green", "blue")[label] / f"{i:02}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
    return folder


def evaluated(builds, photos, shards, device=""):
    """The units that evaluate a bundle against a reference, in shards."""
    seen, blocks = facts.of_images(facts.opened(str(photos)))
    said = {"how": HOW, "images": seen, "computing": facts.computing()}
    needs = {"bundle": builds[0].key, "reference": builds[1].key}
    payload = {"images": str(photos), "blocks": blocks}
    own = (builds[0].model, builds[0].target)
    parts = [
        Unit("shard", *own, facts={**said, "shard": [n, shards]}, payload=payload, needs=needs)
        for n in range(shards)
    ]
    whole = Unit("eval", *own, device, said, payload, needs, tuple(part.key for part in parts))
    return [*builds, *parts, whole]


def compared(report):
    return {name: value for name, value in report.items() if name != "record"}


class _Board:
    """A board of this machine's processes, which is lost before some launches, and seen by a referee."""

    def __init__(self, address, referee):
        self.name, self._referee = address, referee

    def environment(self):
        self._referee.reach(self.name)
        return record.environment()

    def doubts(self):
        return []

    def temperatures(self):
        return {}

    def launch(self, kind, bundles, images, *, threads, seconds, seed, patience, requests=None):
        with self._referee.busy(self.name):
            how = fresh_process.How(threads, seconds, seed, patience)
            return fresh_process._here(
                f"edgeeff.harness.{kind}", [Bundle.load(p) for p in bundles], images, how, patience
            )

    @contextmanager
    def lock(self, wait):
        yield

    def close(self):
        self._referee.closed.append(self.name)


class Referee:
    """Sees how many run on each board at once, and loses boards."""

    def __init__(self, lose=(), dead=()):
        self.lose, self.dead, self.launches, self.most = set(lose), set(dead), [], {}
        self.reached, self.closed, self._at, self._lock = [], [], {}, threading.Lock()

    def reach(self, name):
        self.reached.append(name)
        if name in self.dead:
            raise DeviceError(f"{name} does not answer", mend="switch it on")

    @contextmanager
    def busy(self, name):
        with self._lock:
            self.launches.append(name)
            number = len(self.launches)
            self._at[name] = self._at.get(name, 0) + 1
            self.most[name] = max(self.most.get(name, 0), self._at[name])
        try:
            if number in self.lose:
                raise DeviceError(f"the connection to {name} broke", mend="try again")
            yield
        finally:
            with self._lock:
                self._at[name] -= 1


def no_pool():
    raise AssertionError("nothing is to be computed")


def test_a_board_that_is_lost_is_tried_again_and_one_that_is_gone_stops_no_other(store, make_bundle):
    build = built(store, make_bundle("one"))
    how = {"launches": 1, "seconds": 0.05, "threads": 1, "timeout": 60.0}
    needs = {"bundle": build.key}
    units = [
        Unit("bench", "one", "cpu", board, {"how": how, "device": board, "n": n}, {"number": n}, needs)
        for board, runs in (("test:a", 1), ("test:b", 1), ("test:gone", 2))
        for n in range(runs)
    ]
    referee = Referee(lose={1}, dead={"test:gone"})

    def opener(address):
        return _Board(address, referee)

    run = Run(Plan((build, *units), ()), store, no_pool, opener, pause=0.01)
    run.run()
    states = [run.states[unit.key] for unit in units]
    assert [state.status for state in states] == ["made"] * 2 + ["failed"] * 2, [s.outcome for s in states]
    assert referee.most == {"test:a": 1, "test:b": 1}
    assert len(referee.launches) == 2 + 1  # each once, and one that was lost
    assert referee.reached.count("test:gone") == boards.ATTEMPTS  # not again for its second unit
    assert "was not reached" in states[-1].outcome.what
    keys = [state.outcome.key for state in states[:2]]
    assert all(store.read(key)["report"]["record"]["kind"] == "latency" for key in keys)
    # Again: what is there is taken, though no board answers for the rest.
    again = Run(Plan((build, *units), ()), store, no_pool, opener, pause=0.01)
    again.run()
    assert [again.states[unit.key].status for unit in units] == ["there"] * 2 + ["failed"] * 2
    assert len(referee.launches) == 3


@pytest.mark.slow
def test_shards_on_processes_of_dask_merge_to_the_same_report_though_a_worker_is_killed(
    store, make_bundle, photos
):
    noisy = np.eye(3) + np.random.default_rng(0).normal(0, 0.2, (3, 3))
    bundle, reference = make_bundle("noisy", classifier=noisy), make_bundle("float")
    builds = [built(store, bundle), built(store, reference)]
    units = evaluated(builds, photos, 4)
    odd = Unit("eval", "odd", "cpu", payload={"images": str(photos)})
    killed = []

    def hear(state):
        if not killed and state.unit.kind == "shard" and state.status == "running":
            killed.append(pool.pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    with cluster.opened(Where(workers=2), store) as pool:
        run = Run(Plan((*units, odd), ()), store, lambda: contextmanager(lambda: (yield pool))(), hear=hear)
        run.run()
    assert killed and run.states[units[-1].key].status == "made", run.states[units[-1].key].outcome
    found = store.read(units[-1].key)["report"]
    assert compared(found) == compared(evaluate(bundle, photos, reference=reference).to_json())
    assert not any(store.read(unit.key) for unit in units if unit.kind == "shard")  # merged, and gone
    assert run.states[odd.key].status == "failed"  # an error of ours is told, not raised
    assert (store.folder / "failures" / f"{odd.key}.json").is_file()
    # A second run finds it there, and opens no pool.
    again = Run(Plan(tuple(units), ()), store, no_pool)
    again.run()
    assert again.states[units[-1].key].status == "there"


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (Where(scheduler="tcp://127.0.0.1:9"), "has no TLS"),
        (Where(scheduler="127.0.0.1:9"), "no address of a scheduler"),
        (Where(scheduler="tls://127.0.0.1:9"), "wants a certificate of its client"),
    ],
)
def test_a_scheduler_that_is_not_secured_is_refused(where, what, store):
    with pytest.raises(ClusterError, match=what), cluster.opened(where, store):
        pass


def test_photos_that_a_worker_sees_otherwise_are_refused(store, make_bundle, photos):
    from edgeeff.matrix import work

    builds = [built(store, make_bundle("one")), built(store, make_bundle("float"))]
    *_, shard, whole = evaluated(builds, photos, 1)
    (photos / "red" / "00.ppm").write_bytes(b"P6 8 8 255\n" + bytes(192))
    assert "other photos" in work.run(shard.job(), str(store.folder))["what"]
    found = work.run(planning.replace(whole, parts=()).job(), str(store.folder))
    assert (found["status"], found["kind"]) == ("failed", "ClusterError")
