"""Mutations, and what is held against whatever reads them."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeeff.errors import EdgeeffError

#: Mutations of each kind, and the number of the first: another one, other mutations.
EXAMPLES = int(os.environ.get("EDGEEFF_FUZZ", "60"))
FIRST = int(os.environ.get("EDGEEFF_FUZZ_FROM", "0"))
#: Seconds of the processor that a file may take, bytes that reading one may add, and seconds that it may wait
#: for something that never comes.
LONGEST, LARGEST, PATIENCE = 20, 2 << 30, 600
#: What is put in place of a value, or of some characters.
VALUES = [
    None, True, 0, -64, 1, 10**9, 10**400, 1e308, float("inf"), float("nan"), "", "x", "\x1b[2J", "²",
    [], {}, [[]],
]  # fmt: skip
SNIPPETS = [
    b"\0", b"\xff\xfe", b"\x9b31m", "²٣".encode(), b"9" * 20, b"9" * 5000, b"-1", b"nan", b"inf", b"[" * 2000,
    b"{", b'"', b"'", b"\\", b"\r", b"\n\n", b",", b";", b"\t", b"=", b"../", b".", b"**a", b"/dev/zero", b"",
    b"\xff\xff\xff\xff", b"\xff" * 8, b"\x7f", b"(a+)+$", b"x" * 300, b"~nobody/",
]  # fmt: skip

#: What is written over words of binary files: numbers and offsets, little-endian.
WORDS = [
    number.to_bytes(4, "little")
    for number in (0, 1, 16, 1 << 16, 10**6, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
]


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


def overwritten(content: bytes, number: int) -> bytes:
    """One to three bytes, bits or words of four bytes overwritten: what is behind them stays in its place."""
    rng = random.Random(number)
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        change = rng.randrange(4)
        if change == 0:
            data[at] = rng.randrange(256)
        elif change == 1:
            data[at] ^= 1 << rng.randrange(8)
        else:
            at -= at % 4
            data[at : at + 4] = rng.choice(WORDS)[: len(data) - at]
    return bytes(data)


def _retyped(value: object, rng: random.Random) -> object:
    if not isinstance(value, dict | list) or not value or rng.random() < 0.2:
        return rng.choice(VALUES)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [_retyped(v, rng) if i == at else v for i, v in enumerate(value)]
    key = rng.choice(list(value))
    if rng.random() < 0.15:
        return {rng.choice(("", "\x1b[31m", "../x", k)) if k == key else k: v for k, v in value.items()}
    return {k: _retyped(v, rng) if k == key else v for k, v in value.items()}


def retyped(content: bytes, number: int) -> bytes:
    """JSON with one of its values replaced, left out or given another name."""
    return json.dumps(_retyped(json.loads(content), random.Random(number))).encode()


@contextmanager
def _in_time() -> Iterator[None]:
    """Refuse what takes too long, or too much memory."""

    def late(*_: object) -> None:
        raise AssertionError(f"it takes more than {LONGEST} s, or waits")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = [(number, signal.signal(number, late)) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.alarm(PATIENCE)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)  # a busy machine is not the file's fault
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in previous:
            signal.signal(number, handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < LARGEST, f"it takes {grown >> 20} MiB"


@pytest.fixture
def tried() -> Callable[..., None]:
    """``tried(read, path, content)``: the file is read, or refused by an error of ours, and soon."""

    def read_or_refused(read: Callable[[Path], object], path: Path, content: bytes) -> None:
        path.write_bytes(content)
        try:
            with _in_time():
                read(path)
        except EdgeeffError as error:
            assert error.what and error.mend

    return read_or_refused


@pytest.fixture
def fuzz(tried) -> Callable[..., None]:
    """``fuzz(change, read, path, content, fewer=1)``: all mutations; each way to fail is told, with a number.

    What is slow is tried ``fewer`` times less often.
    """

    def all_of_them(
        change: Callable[[bytes, int], bytes],
        read: Callable[[Path], object],
        path: Path,
        content: bytes,
        fewer: int = 1,
    ) -> None:
        failures: dict[tuple[str, str], str] = {}
        for number in range(FIRST, FIRST + max(EXAMPLES // fewer, 1)):
            try:
                tried(read, path, change(content, number))
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                key = type(error).__name__, f"{place.filename}:{place.lineno}"
                failures.setdefault(key, f"mutation {number}: {error!r:.300}")
        assert failures == {}, "\n".join(f"{key}: {told}" for key, told in failures.items())

    return all_of_them


@pytest.fixture
def bytes_changed() -> Callable[[bytes, int], bytes]:
    """``bytes_changed(content, number)``."""
    return mutated


@pytest.fixture
def types_changed() -> Callable[[bytes, int], bytes]:
    """``types_changed(content, number)``: of JSON."""
    return retyped


@pytest.fixture
def bytes_overwritten() -> Callable[[bytes, int], bytes]:
    """``bytes_overwritten(content, number)``: of the same length."""
    return overwritten
