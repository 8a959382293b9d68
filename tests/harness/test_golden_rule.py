"""One rule decides on the host and on a device: the same cases through both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeeff.backends.tensorrt import device
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.bundle import write_bundle
from edgeeff.harness.golden import check_golden

random = np.random.default_rng(7)
LOGITS = random.normal(size=(8, 40)).astype(np.float32)


def noise(decibels, seed):
    """Of such a size that adding it to the logits leaves so many dB, on each image."""
    found = np.random.default_rng(seed).normal(size=LOGITS.shape)
    found *= np.linalg.norm(LOGITS, axis=1, keepdims=True) / np.linalg.norm(found, axis=1, keepdims=True)
    return (found * 10 ** (-np.asarray(decibels, float).reshape(-1, 1) / 20)).astype(np.float32)


def lucky(usual, exact, images):
    """dB of each image: a few are hit exactly, or miss by far."""
    return [exact if i in images else usual for i in range(len(LOGITS))]


#: What the hub adds to the float logits, what the artifact adds to the hub's, and whether it passes.
CASES = {
    "the same": (noise(25, 1), 0 * LOGITS, True),
    "a step of rounding": (noise(25, 1), noise(30, 2), True),
    "at the bound": (noise(25, 1), noise(19.1, 2), True),
    "under it": (noise(25, 1), noise(18.5, 2), False),
    "far under it": (noise(25, 1), noise(10, 2), False),
    "of a sensitive network as far as independent errors": (noise(18, 1), noise(15.2, 2), True),
    "of a sensitive network further": (noise(18, 1), noise(13, 2), False),
    "two unlucky images of a sensitive network": (
        noise(20, 1),
        noise(lucky(19, 10.5, (2, 5)), 2),
        True,
    ),
    "half of the images wrong": (noise(20, 1), noise(lucky(25, 5, (0, 2, 4, 6)), 2), False),
    "a single image wrong": (noise(20, 1), noise(lucky(25, 0, (3,)), 2), False),
    "as near to float as the hub": (noise(17, 1), noise(17, 2) - noise(17, 1), True),
    "a scale 30 % off": (noise(25, 1), 0.3 * LOGITS, False),
    "classes in another order": (noise(25, 1), LOGITS[:, ::-1] - LOGITS, False),
    "without quantisation": (0 * LOGITS, noise(18.5, 2), False),
    "not a number": (noise(25, 1), np.where(np.arange(40) == 3, np.nan, 0 * LOGITS), False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rule(case):
    quantised, other, passes = CASES[case]
    found = rule.compare("int8", LOGITS + quantised + other, LOGITS + quantised, LOGITS)
    assert found["passed"] == passes, found
    # The verdict can be had again from the figures that a device sends home.
    assert rule.passes("int8", json.loads(json.dumps(found)), LOGITS + quantised, LOGITS) == passes


def test_the_copy_in_a_bundle_says_the_same(tmp_path):
    """The file as it is shipped, beside none of ours."""
    (tmp_path / "onboard").mkdir()
    for name in ("onboard/__init__.py", "onboard/boxes.py", "onboard/rule.py"):
        assert name in device.FILES
        (tmp_path / name).write_bytes((Path(device.__file__).parent / name).read_bytes())
    arrays = {}
    for i, (quantised, other, _) in enumerate(CASES.values()):
        arrays |= {f"hub{i}": LOGITS + quantised, f"out{i}": LOGITS + quantised + other}
    np.savez(tmp_path / "cases.npz", **arrays)
    np.save(tmp_path / "float.npy", LOGITS)
    script = (
        "import json, sys, numpy as np; from onboard import rule\n"
        "assert not {'edgeeff', 'onnx', 'torch'} & set(sys.modules)\n"
        "z, f = np.load('cases.npz'), np.load('float.npy')\n"
        f"n = range({len(CASES)})\n"
        "print(json.dumps([rule.compare('int8', z['out%d' % i], z['hub%d' % i], f)['passed'] for i in n]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == [passes for *_, passes in CASES.values()]


@pytest.mark.parametrize("case", ["under it", "two unlucky images of a sensitive network"])
def test_the_host_decides_by_it(case, make_bundle, monkeypatch, tmp_path):
    quantised, other, passes = CASES[case]
    bundle = make_bundle()
    files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files}
    inputs = np.repeat(np.load(bundle.folder / "golden" / "inputs.npy"), 2, axis=0)
    arrays = {"inputs": inputs, "hub": LOGITS + quantised, "float": LOGITS}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        files[f"golden/{name}.npy" if name == "inputs" else f"golden/{name}/logits.npy"] = (
            tmp_path / f"{name}.npy"
        ).read_bytes()
    bundle = write_bundle(bundle.folder, bundle.manifest, files)

    class Artifact:
        def infer(self, pixels):
            return {"logits": LOGITS + quantised + other}

    monkeypatch.setattr(type(bundle), "session", lambda self, threads=1: Artifact())
    check = check_golden(bundle)
    assert (check.status == "ok") == passes
    assert ("unlucky images" in check.summary) == passes


def test_scripts_before_it_are_still_understood():
    """A verify.json of an older bundle has no typical image."""
    hub = LOGITS + noise(25, 1)
    for decibels, passes in ((20, True), (18, False)):
        figures = rule.compare("int8", hub + noise(decibels, 2), hub, LOGITS) | {"typical_db": None}
        assert rule.passes("int8", figures, hub, LOGITS) == passes


def boxes(seed, jitter=0.0, scores=0.0, images=4, count=6):
    """``detections`` [images, 8, 6] of the same objects, moved by so many pixels and with other scores."""
    objects, noise = np.random.default_rng(11), np.random.default_rng(seed)
    found = np.zeros((images, 8, 6), np.float32)
    found[..., 5] = -1
    corners = objects.uniform(0, 80, (images, count, 2))
    found[:, :count, :2], found[:, :count, 2:4] = corners, corners + objects.uniform(20, 60, corners.shape)
    found[:, :count, :4] += noise.normal(size=(images, count, 4)) * jitter
    found[:, :count, 4] = (
        objects.uniform(0.2, 0.9, (images, count)) + noise.normal(size=(images, count)) * scores
    )
    found[:, :count, 5] = objects.integers(0, 3, (images, count))
    return found


def changed(found, change):
    found = found.copy()
    change(found)
    return found


def _swap_sides(found):
    found[..., :4] = found[..., [1, 0, 3, 2]]


def _shift_classes(found):
    found[..., 5] += found[..., 5] >= 0


def _order(found):
    found[:] = found[:, ::-1].copy()


def _drop(found):
    found[:, :3, 4:] = 0, -1


def _halve(found):
    found[..., :4] /= 2


def _nothing(found):
    found[..., 4:] = 0, -1


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (_order, True),
        (_swap_sides, False),
        (_shift_classes, False),
        (_drop, False),
        (_halve, False),
        (_nothing, False),
    ],
)
def test_boxes_are_judged_as_boxes(change, passes):
    reference, hub = boxes(0), boxes(1, 0.5, 0.01)
    own = boxes(2, 0.5, 0.01)
    assert rule.compare("int8", own, hub, reference, 0.3, "detections")["passed"]
    found = rule.compare("int8", changed(own, change), hub, reference, 0.3, "detections")
    assert found["passed"] == passes
    assert (found["agreement_hub"] == 1) == passes


def test_no_boxes_where_none_are_expected_is_right():
    nothing = changed(boxes(0), _nothing)
    assert rule.compare("int8", nothing, nothing, nothing, 0.3, "detections")["passed"]
    assert not rule.compare("int8", boxes(0), nothing, nothing, 0.3, "detections")["passed"]


def test_background_does_not_hide_what_a_detector_finds():
    """A thousand anchors of background, of which one finds something; an artifact that loses it fails."""
    logits = np.full((2, 1000, 3), -9, np.float32) + random.normal(size=(2, 1000, 3)).astype(np.float32) / 9
    codes = random.normal(size=(2, 1000, 4)).astype(np.float32)
    logits[:, 7, 1] = 2
    reference = {"class_logits": logits, "box_codes": codes}
    hub = {"class_logits": logits + 0.01, "box_codes": codes + 0.001}
    lost = {"class_logits": np.where(logits > 0, -9, logits), "box_codes": codes}
    moved = {
        "class_logits": logits,
        "box_codes": codes + np.float32([0.9, 0, 0, 0]) * (np.arange(1000) == 7)[:, None],
    }
    elsewhere = {"class_logits": logits, "box_codes": codes + 0.5 * (np.arange(1000) != 7)[:, None]}
    results = {
        name: rule.compare_all("int8", found, hub, reference, {})["passed"]
        for name, found in {"same": hub, "lost": lost, "moved": moved, "elsewhere": elsewhere}.items()
    }
    assert results == {"same": True, "lost": False, "moved": False, "elsewhere": True}
