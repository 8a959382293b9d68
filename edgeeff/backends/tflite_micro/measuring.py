"""The arena that a .tflite takes in tflite-micro, measured: the interpreter says it, and is run in just that.

The interpreter ends its process where an arena is far too small (it dereferences what it could not allocate)
and prints what it allocated past Python; so it works in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgeeff.errors import EdgeeffError, GraphError

#: Seconds for one network: loading it twice and running it once.
_PATIENCE = 600.0
#: The child: what it printed of the large arena is read from a file, and so is what the small one must be.
_CHILD = """
import os, re, sys, tempfile
from tflite_micro.python.tflite_micro import runtime

def allocations(arena):
    interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=arena)
    interpreter.invoke()
    with tempfile.TemporaryFile() as kept:
        error = os.dup(2)
        os.dup2(kept.fileno(), 2)
        interpreter.print_allocations()
        os.dup2(error, 2)
        kept.seek(0)
        said = kept.read().decode(errors="replace")
    sys.stderr.write(said)
    sys.stderr.flush()
    return said

try:
    taken = re.search("Arena allocation total ([0-9]+)", allocations(int(sys.argv[2])))
    if taken:
        allocations(int(taken[1]))
except (RuntimeError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""
_PRINTED = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True)
class Arena:
    """What tflite-micro's interpreter of this machine (64 bits, reference kernels) takes of its arena.

    Args:
        size: Bytes, all in all: it was run in an arena of just that size.
        activations: Of them for activations, which share memory.
        lasting: For what stays: the interpreter's structures, multipliers of each channel.
    """

    size: int
    activations: int
    lasting: int


def measure(model: bytes, generous: int) -> Arena:
    """Load a model in a process of its own, and run it once in the arena that it says it took.

    Args:
        model: A .tflite file.
        generous: Bytes that are enough for it in any case.

    Raises:
        GraphError: The interpreter refuses the model.
        EdgeeffError: It crashed, or did not answer, or took something else of the smaller arena.
    """
    with TemporaryDirectory(prefix="edgeeff-arena-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        done = _run(path, generous)
    found = [(name, int(size)) for name, size in _PRINTED.findall(done.stderr)]
    if done.returncode == 0 and [name for name, _ in found] == ["total", "head", "tail"] * 2:
        (_, size), (_, activations), (_, lasting), *again = found
        if [value for _, value in again] == [size, activations, lasting]:
            return Arena(size, activations, lasting)
    said = " ".join(done.stderr.split())[-300:] or f"status {done.returncode}"
    if done.returncode == 1:
        raise GraphError(f"tflite-micro refuses the model: {said}", mend="report it with the model")
    how = f"crashed (signal {-done.returncode})" if done.returncode < 0 else "did not say its arena"
    raise EdgeeffError(
        f"tflite-micro {how}: {said}", mend="report it with the model and the version of tflite-micro"
    )


def _run(path: Path, arena: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _CHILD, str(path), str(arena)]
    # Where tflite-micro was found through sys.path alone, the child looks there too; never in this folder.
    places = [place for place in sys.path if place]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env=environment,
            cwd=path.parent,
        )
    except subprocess.TimeoutExpired:
        raise EdgeeffError(
            f"tflite-micro did not run the model within {_PATIENCE:.0f} s", mend="build a smaller network"
        ) from None
