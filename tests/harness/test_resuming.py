"""An evaluation that is cut off and started again gives what it would have given."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.harness import resuming
from edgeeff.harness.accuracy import evaluate_all
from edgeeff.progress import Silent

#: Of one process: the bundles, images and reference that its arguments name, killed after some images.
SCRIPT = """
import os, signal, sys
from edgeeff.harness import resuming
from edgeeff.harness.accuracy import evaluate_all
resuming.EVERY = resuming.TIMES = 0.0
last, folder, images, reference, *bundles = sys.argv[1:]
def count(done, total):
    if done >= int(last):
        os.kill(os.getpid(), signal.SIGKILL)
evaluate_all(bundles, images, reference=reference, progress=count, warn=lambda _: None, resume=folder)
"""

#: The same, told to stop by a signal, and writing its state only then.
SIGNALS = SCRIPT.replace("resuming.EVERY = resuming.TIMES = 0.0\n", "").replace(
    "    if done >= int(last):\n        os.kill(os.getpid(), signal.SIGKILL)\n",
    "    for _ in range({times} * (done == int(last))):\n        signal.raise_signal({number})\n",
)


class Told(Silent):
    def __init__(self):
        self.told = []

    def tell(self, text):
        self.told.append(text)


def said(reports):
    data = [report.to_json() for report in reports]
    for one in data:
        del one["record"]
    arrays = [(r.outcomes.images, r.outcomes.decided.tolist(), r.outcomes.truth.tolist()) for r in reports]
    return data, arrays


@pytest.fixture
def asked(make_bundle, colours, tmp_path):
    """Bundles of several batches and preprocessings, a reference, and images of which two are broken."""
    noisy = np.eye(3) + np.random.default_rng(0).normal(0, 0.2, (3, 3))
    exif = replace(make_bundle("one").manifest.preprocess, exif=True)
    bundles = [
        make_bundle("three", classifier=noisy, batch=Batch(3)),
        make_bundle("turned", classifier=noisy, preprocess=exif),
    ]
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = []
    for i, (pixels, label) in enumerate(zip(*colours, strict=True)):
        (folder / f"{i:02}.ppm").write_bytes(b"P6 8 8 255\n" + pixels.tobytes())
        rows.append(f"{i:02}.ppm,{label}" if i % 7 else f"{i:02}.ppm")
    (folder / "05.ppm").write_bytes(b"no image")
    (folder / "40.ppm").write_bytes(b"no image")
    (folder / "list.csv").write_text("path,index\n" + "\n".join(rows))
    return {"bundles": bundles, "images": folder / "list.csv", "reference": make_bundle("float")}


def begun(asked, folder, monkeypatch, last=24):
    """A run that is left after ``last`` images; its state stays."""
    monkeypatch.setattr(resuming, "EVERY", 0.0)
    monkeypatch.setattr(resuming, "TIMES", 0.0)

    def stop(done, total):
        if done >= last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_all(**asked, progress=stop, warn=lambda _: None, resume=folder)
    (state,) = folder.iterdir()
    return state


def run(asked, folder, **more):
    heard, warned = Told(), []
    reports = evaluate_all(**{**asked, **more}, progress=heard, warn=warned.append, resume=folder)
    return said(reports), heard.told, warned


def test_a_killed_run_goes_on_and_gives_the_same(asked, tmp_path):
    folder = tmp_path / "states"
    paths = [folder, asked["images"], asked["reference"].folder, *(b.folder for b in asked["bundles"])]
    whole, told, _ = run(asked, None)
    assert told == []
    killed = subprocess.run([sys.executable, "-c", SCRIPT, "24", *map(str, paths)], check=False)
    assert killed.returncode == -signal.SIGKILL and len(list(folder.iterdir())) == 1
    found, told, _ = run(asked, folder)
    assert found == whole
    assert told == ["an earlier run was cut off: goes on from image 24 of 60"]
    assert list(folder.iterdir()) == []  # nothing is left of a run that ended
    assert run(asked, folder)[1] == []


@pytest.mark.parametrize(
    ("number", "moments"),
    [
        (signal.SIGTERM, [(24, False)]),
        (signal.SIGINT, [(24, False), (60, True), (60, False)]),
    ],
)
def test_what_was_done_when_it_was_told_to_stop_is_kept(number, moments, asked, tmp_path):
    """After so many images, once or twice (then at once); with the last image nothing is left to keep.

    In processes of their own, as a user's is: there a signal does what it does to a process.
    """
    folder = tmp_path / "states"
    paths = [folder, asked["images"], asked["reference"].folder, *(b.folder for b in asked["bundles"])]
    for last, twice in moments:
        told = SIGNALS.format(times=1 + twice, number=int(number))
        ended = subprocess.run(
            [sys.executable, "-c", told, str(last), *map(str, paths)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == -number, ended.stderr
        assert ("KeyboardInterrupt" in ended.stderr) == (number == signal.SIGINT)
    found, told, _ = run(asked, folder)
    assert found == run(asked, None)[0]
    assert told == ["an earlier run was cut off: goes on from image 48 of 60"]


def test_a_state_that_cannot_be_used_is_said_and_not_used(asked, tmp_path, monkeypatch):
    folder = tmp_path / "states"
    state = begun(asked, folder, monkeypatch)
    content, whole = state.read_bytes(), run(asked, None)[0]
    state.unlink()
    other = begun({**asked, "reference": asked["bundles"][0]}, folder, monkeypatch)
    foreign, broken = other.read_bytes(), bytearray(content)
    other.unlink()
    broken[len(content) // 2 :: 97] = bytes(len(broken[len(content) // 2 :: 97]))
    objects = io.BytesIO()
    np.savez(objects, meta=np.array([{}], object))
    for damaged in (content[:-400], bytes(broken), b"", foreign, objects.getvalue()):
        state.write_bytes(damaged)
        (reports, _), told, warned = run(asked, folder)
        assert told == [] and sum("begins anew" in text for text in warned) == 1
        for one, other in zip(reports, whole[0], strict=True):
            assert "begins anew" in one["warnings"][0]
            assert {**one, "warnings": one["warnings"][1:]} == other


def test_what_the_result_depends_on_is_another_run(asked, tmp_path, monkeypatch):
    folder = tmp_path / "states"
    state = begun(asked, folder, monkeypatch)
    image = asked["images"].parent / "50.ppm"
    changes = [{"bundles": asked["bundles"][:1]}, {"threads": 2}, {"labels": [0] * 60}]
    for more in changes:
        assert run(asked, folder, **more)[1] == [], more
    image.write_bytes(image.read_bytes())
    assert run(asked, folder)[1] == []
    assert state.exists()
    os.utime(state, (time.time() - 40 * 86_400,) * 2)
    begun({**asked, "bundles": asked["bundles"][:1]}, folder, monkeypatch)
    assert not state.exists()  # what nobody goes on from does not stay for ever


def test_where_no_state_can_be_written_the_run_goes_on(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "EVERY", 0.0)
    (tmp_path / "file").write_text("")
    (reports, _), _, warned = run(asked, tmp_path / "file" / "states")
    assert sum("cannot be gone on with" in text for text in warned) == 1
    assert all("cannot be gone on with" in one["warnings"][0] for one in reports)


def test_nothing_is_kept_of_a_short_run_or_of_bad_input(asked, tmp_path):
    with pytest.raises(OptionError):
        evaluate_all([], asked["images"], resume=tmp_path / "states")
    run(asked, tmp_path / "states")
    assert not (tmp_path / "states").exists()


@pytest.mark.slow
def test_killed_at_any_moment_it_gives_the_same(asked, tmp_path):
    """Twenty times, by another process, whatever it is doing: also in the middle of writing its state."""
    folder, chance = tmp_path / "states", random.Random(0)
    paths = [folder, asked["images"], asked["reference"].folder, *(b.folder for b in asked["bundles"])]
    whole = run(asked, None)[0]
    slow = SCRIPT.replace("    if done", "    import time; time.sleep(0.3)\n    if done")
    for _ in range(20):
        running = subprocess.Popen([sys.executable, "-c", slow, "1000", *map(str, paths)])
        time.sleep(chance.uniform(0.5, 4.0))
        running.kill()
        running.wait()
    found, told, _ = run(asked, folder)
    assert found == whole and len(told) <= 1
