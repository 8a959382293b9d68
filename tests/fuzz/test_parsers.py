"""Mutations of the files that users bring: each is read, or refused by an error of ours, and soon.

``EDGEEFF_FUZZ=20000`` (or ``make fuzz``) tries that many of each kind instead of a few.
"""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeeff import labels, planned
from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError, EdgeeffError
from edgeeff.images import open_images
from edgeeff.preprocess import Preprocess
from edgeeff.recipes import open_source
from edgeeff.target import load_target
from edgeeff.unpacking import npy

EXAMPLES = int(os.environ.get("EDGEEFF_FUZZ", "60"))
#: What is put in place of a value, or of some characters.
VALUES = [
    None,
    True,
    0,
    -64,
    1,
    10**9,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x",
    [],
    {},
    [[]],
    "²",
]
SNIPPETS = [
    b"\0", b"\xff\xfe", b"\x9b31m", "²٣".encode(), b"9" * 20, b"9" * 5000, b"-1", b"nan", b"inf", b"[" * 2000,
    b"{", b'"', b"'", b"\\", b"\r", b"\n\n", b",", b";", b"\t", b"=", b"../", b".", b"**a", b"/dev/zero", b"",
]  # fmt: skip

MANIFEST = {
    "schema_version": 1,
    "name": "x",
    "model": "b0",
    "target": "cpu-int8",
    "runtime": "openvino",
    "precision": "int8",
    "input": "float32",
    "softmax": False,
    "cpu_class": "",
    "preprocess": Preprocess((8, 8), (1.0,) * 3, (2.0,) * 3).to_json(),
    "labels": ["a", "b"],
    "classes": 2,
    "runtime_properties": {},
    "digests": {},
    "tools": {},
    "files": {"model.xml": "00"},
}
PLAN = {
    "scheme": "s",
    "activations": {"a": {"scale": 0.5, "zero_point": 3, "type": "uint8"}},
    "layers": {"c": {"precision": "int8", "scale": [0.1], "codes_sha256": "00"}},
}
RECIPE = """summary = "s"
count = 4
seed = 1
crops = true
[[source]]
path = "."
pattern = ["*.png", "**/*.jpg"]
label = '^(\\d+)'
"""
TARGET = (Path(__file__).parents[2] / "targets" / "cpu-int8.toml").read_bytes()


def _npz() -> bytes:
    held = io.BytesIO()
    np.savez(held, images=np.zeros((3, 4, 4, 3), np.uint8), labels=np.arange(3))
    return held.getvalue()


def _npy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros((3, 4), np.float32))
    return held.getvalue()


def _manifest(path: Path) -> object:
    bundle = Bundle.load(path.parent)
    return bundle.altered(), bundle.manifest.meaning, bundle.manifest.to_json()


#: The file's name, what is right, and what reads it.
KINDS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "manifest": ("manifest.json", json.dumps(MANIFEST).encode(), _manifest),
    "plan": ("plan.json", json.dumps(PLAN).encode(), lambda path: planned.read(path.parent)),
    "list": ("l.txt", b"a.png,0\nb.png,1\n# c\nc d.png\t2\n", open_images),
    "table": ("l.csv", b'path,class\n"a.png",cat\nb.png,dog\n', open_images),
    "npz": ("a.npz", _npz(), open_images),
    "npy": ("a.npy", _npy(), lambda path: npy(path, BundleError, "-")),
    "labels": ("l.txt", b"cat\ndog\n", labels.read),
    "labels.json": ("l.json", b'{"0": "cat", "1": "dog"}', labels.read),
    "labels.csv": ("l.csv", b"index,label\n0,cat\n1,dog\n", labels.read),
    "recipe": ("r.toml", RECIPE.encode(), open_source),
    "target": ("t.toml", TARGET, lambda path: load_target(str(path))),
}


def mutated(content: bytes, number: int) -> bytes:
    """One to four changes of bytes: cut off, overwritten, left out, doubled, or a snippet put in."""
    rng = random.Random(number)
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 2, 8))
        change = rng.randrange(6)
        if change == 0:
            del data[at:]
        elif change == 1:
            data[at : at + length] = rng.randbytes(length)
        elif change == 2:
            del data[at : at + length]
        elif change == 3:
            data[at:at] = data[at : at + 8 * length]
        else:
            data[at : at + length] = rng.choice(SNIPPETS)
    return bytes(data)


def retyped(value: object, rng: random.Random) -> object:
    """JSON with one of its values replaced, left out or given another name."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
        return rng.choice(VALUES)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [retyped(v, rng) if i == at else v for i, v in enumerate(value)]
    key = rng.choice(list(value))
    if rng.random() < 0.15:
        return {rng.choice(("", "\x1b[31m", "../x", k)) if k == key else k: v for k, v in value.items()}
    return {k: retyped(v, rng) if k == key else v for k, v in value.items()}


def read_or_refused(kind: str, content: bytes, folder: Path) -> None:
    name, _, read = KINDS[kind]
    path = folder / name
    path.write_bytes(content)
    try:
        read(path)
    except EdgeeffError as error:
        assert error.what and error.mend


def tries(test: Callable[..., None]) -> Callable[..., None]:
    """Seeded numbers of mutations, as many as are asked for."""
    setting = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    decorated: Callable[..., None] = setting(given(number=st.integers(0, 2**48))(test))
    return decorated


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_is_read(kind, tmp_path):
    name, content, read = KINDS[kind]
    (tmp_path / name).write_bytes(content)
    for photo in ("a.png", "b.png", "0.png"):
        (tmp_path / photo).write_bytes(b"-")
    read(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
@tries
def test_changed_bytes(kind, number, tmp_path):
    read_or_refused(kind, mutated(KINDS[kind][1], number), tmp_path)


@pytest.mark.parametrize("kind", ["manifest", "plan", "labels.json"])
@tries
def test_other_types(kind, number, tmp_path):
    content = json.loads(KINDS[kind][1])
    read_or_refused(kind, json.dumps(retyped(content, random.Random(number))).encode(), tmp_path)
