"""Kills and replaced files at random moments: nothing half, nothing poisoned, nothing wrong.

``EDGEEFF_FAULTS=200`` tries that many moments instead of a few; ``EDGEEFF_FAULTS_SEED`` others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from edgeeff.bundle import Bundle
from edgeeff.zoo import checkpoints

MOMENTS = int(os.environ.get("EDGEEFF_FAULTS", "8"))
SEED = int(os.environ.get("EDGEEFF_FAULTS_SEED", "0"))

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, bytes]:
    """Whatever lies below a folder, but what an interrupted writer may leave to be swept."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".edgeeff-") for part in path.relative_to(folder).parts)
    }


def content(path: Path) -> bytes:
    """A file's bytes; of a report without its record, which says when and by which run it was written."""
    if path.name != "verification.json":
        return path.read_bytes()
    return json.dumps({**json.loads(path.read_text()), "record": None}).encode()


@dataclass(frozen=True)
class Site:
    """Two checkpoints of one network, photos, and what undisturbed builds make of them."""

    checkpoints: tuple[Path, Path]
    photos: Path
    bundles: tuple[dict[str, bytes], dict[str, bytes]]
    cache: Path
    output: Path
    seconds: float

    def restore(self) -> None:
        """The first checkpoint and the photos as they were."""
        shutil.copy(self.checkpoints[0], self.checkpoints[0].parent / "net" / "best.pt")
        shutil.rmtree(self.photos)
        shutil.copytree(self.photos.with_name("pristine"), self.photos)

    def arguments(self, checkpoint: Path, photos: Path, output: Path) -> list[str]:
        options = ["--model=lite0", "--size=64", "--target=cpu-int8", "--golden=1", "--name=net"]
        return ["build", *options, f"--checkpoint={checkpoint}", f"--calibration={photos}", f"-o{output}"]


@pytest.fixture(scope="module")
def site(process, folder_of, photos, tmp_path_factory) -> Site:
    """Both builds, and how long one takes."""
    place: Path = tmp_path_factory.mktemp("site")
    network = checkpoints.read(None, "lite0").network((64, 64))
    state = network.state_dict()
    first, second = place / "a.pt", place / "b.pt"
    torch.save(state, first)
    last = list(state)[-1]
    torch.save({**state, last: state[last] + torch.arange(1000.0) / 100}, second)
    images = place / "photos"
    shutil.copytree(folder_of(photos[:3]), images)
    shutil.copytree(images, place / "pristine")
    made, taken = [], 0.0
    site = Site((first, second), images, ({}, {}), place / "cache", place / "dist0", 0.0)
    for number, checkpoint in enumerate((first, second)):
        begin = time.monotonic()
        output = place / f"dist{number}"
        # One name and folder, whatever it holds: they are part of what is built.
        (place / "net").mkdir(exist_ok=True)
        shutil.copy(checkpoint, place / "net" / "best.pt")
        result = process(
            *site.arguments(place / "net" / "best.pt", images, output),
            env={"EDGEEFF_CACHE_DIR": str(place / "cache")},
        )
        assert result.status == 0, result.err
        taken = max(taken, time.monotonic() - begin)
        made.append(files(output))
    assert made[0] != made[1]
    return Site((first, second), images, (made[0], made[1]), place / "cache", place / "dist0", taken)


def killed(process: subprocess.Popen[str], after: float) -> bool:
    """Kill a process after some seconds; whether it was still there."""
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def assert_unpoisoned(cache: Path, clean: dict[str, bytes]) -> None:
    """Every entry of a cache is what an undisturbed build keeps."""
    for name, content in files(cache).items():
        if name.endswith(".zip"):
            assert content == clean[name], name


def assert_right(output: Path, allowed: tuple[dict[str, bytes], ...]) -> None:
    """A bundle that stands is one of those, whole."""
    if found := files(output):
        assert Bundle.load(output / "net-cpu-int8").altered() == []
        assert found in allowed


def _build(site: Site, place: Path, warm: bool) -> tuple[list[str], dict[str, str]]:
    """A build into a cache that is empty or full."""
    cache = place / "cache"
    if warm:
        shutil.copytree(site.cache, cache)
    return (
        site.arguments(site.checkpoints[0].parent / "net" / "best.pt", site.photos, place / "dist"),
        {"EDGEEFF_CACHE_DIR": str(cache)},
    )


def test_kills_at_random_moments(site, start, process, tmp_path):
    """Of builds, of evaluations, of clearing the cache, and of two builds in one folder at once."""
    rng = random.Random(SEED)
    clean = files(site.cache)
    site.restore()
    died = 0
    for number in range(MOMENTS):
        place = tmp_path / str(number)
        place.mkdir()
        kind = rng.choice(("cold", "warm", "warm", "eval", "clear", "two"))
        arguments, env = _build(site, place, kind != "cold")
        if kind == "eval":
            shutil.copytree(site.output, place / "dist")
            bundle = place / "dist" / "net-cpu-int8"
            arguments = ["eval", str(bundle), f"--images={site.photos}", f"--reference={bundle}"]
        elif kind == "clear":
            arguments = ["cache", "clear"]
        running = [start(*arguments, env=env) for _ in range(2 if kind == "two" else 1)]
        moment = rng.uniform(0.2, site.seconds if kind in ("cold", "two") else site.seconds / 2)
        died += killed(running[0], moment)
        for other in running[1:]:  # the other one is not disturbed
            _, err = other.communicate(timeout=300)
            assert other.returncode == 0, err
            assert files(place / "dist") == site.bundles[0]
        assert_unpoisoned(place / "cache", clean)
        assert_right(place / "dist", (site.bundles[0],))
        if number % 10 == 0 or number == MOMENTS - 1:  # what is left serves the next build, which is right
            arguments, env = _build(site, place, False)
            result = process(*arguments, env=env)
            assert result.status == 0, result.err
            assert files(place / "dist") == site.bundles[0]
            assert not list((place / "dist").glob(".edgeeff-*"))
        shutil.rmtree(place)
    assert died > MOMENTS // 4


def _rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _renamed(path: Path, content: bytes) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def _halved(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])


CHANGES: tuple[Callable[[Path, bytes], None], ...] = (_rewritten, _renamed, _halved)


def test_files_replaced_at_random_moments(site, start, process, tmp_path):
    """The checkpoint or a photo: refused, or a bundle of what it was or of what it is; the cache is right."""
    rng = random.Random(SEED)
    clean = files(site.cache)
    refused = 0
    for number in range(MOMENTS):
        place = tmp_path / str(number)
        place.mkdir()
        # At the paths of the undisturbed builds: the cache keeps where a network was found.
        site.restore()
        checkpoint = site.checkpoints[0].parent / "net" / "best.pt"
        env = {"EDGEEFF_CACHE_DIR": str(place / "cache")}
        running = start(*site.arguments(checkpoint, site.photos, place / "dist"), env=env)
        time.sleep(rng.uniform(0.2, site.seconds))
        change = rng.choice(CHANGES)
        of_photos = rng.random() < 0.4
        if of_photos:
            one, other = sorted(site.photos.iterdir())[:2]
            change(one, other.read_bytes())
        else:
            change(checkpoint, site.checkpoints[1].read_bytes())
        _, err = running.communicate(timeout=300)
        assert "Traceback" not in err, err
        assert running.returncode in (0, 2), err
        refused += running.returncode == 2
        if running.returncode:
            assert not files(place / "dist"), err
        elif not of_photos:
            assert_right(place / "dist", site.bundles)
        # Whatever was kept is what an undisturbed build keeps: of either checkpoint, of these photos.
        if not of_photos:
            assert_unpoisoned(place / "cache", clean)
        shutil.rmtree(place / "dist", ignore_errors=True)
        site.restore()
        result = process(*site.arguments(checkpoint, site.photos, place / "dist"), env=env)
        assert result.status == 0, result.err
        found = files(place / "dist")
        assert [name for name, data in found.items() if data != site.bundles[0][name]] == [], (number, change)
        assert found.keys() == site.bundles[0].keys()
        shutil.rmtree(place)
    assert refused
