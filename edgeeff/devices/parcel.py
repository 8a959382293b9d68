"""What is sent to a board to begin with: the agent as a zip file, and the few lines that receive it."""

from __future__ import annotations

import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from edgeeff import backends, digests
from edgeeff import onboard as agent

#: What the loader's own lines begin with: a login shell may print before them.
MARK = "edgeeff-agent "
#: The oldest Python that the agent runs on.
OLDEST = (3, 8)
#: Agents of other versions that stay in a board's store.
_KEPT = 8

#: Run by ``python3 -c`` with the SHA-256 and the size of the agent; any Python from 2.7 on understands it. A
#: board whose disk is full gets the agent into memory, so that it can still say how it does.
LOADER = f"""\
import os, sys
def say(text):
    os.write(1, ("{MARK}" + text + "\\n").encode("ascii"))
if sys.version_info < {OLDEST}:
    say("old " + ".".join(map(str, sys.version_info[:3])))
    sys.exit(3)
import hashlib, signal
digest, size = sys.argv[1], int(sys.argv[2])
cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
folder = os.path.join(os.environ.get("EDGEEFF_HOME") or os.path.join(cache, "edgeeff", "boards"), "agents")
path, content = os.path.join(folder, digest + ".zip"), b""
try:
    with open(path, "rb") as file:
        content = file.read()
    os.utime(path)
except OSError:
    pass
if hashlib.sha256(content).hexdigest() != digest:
    say("send")
    content = b""
    while len(content) < size:
        signal.alarm(10)  # after a cut nothing comes, and nothing ends this
        part = os.read(0, size - len(content))
        if not part:
            sys.exit(4)
        content += part
    signal.alarm(0)
    if hashlib.sha256(content).hexdigest() != digest:
        say("damaged")
        sys.exit(5)
    staged = path + "." + str(os.getpid())
    try:
        os.makedirs(folder, exist_ok=True)
        others = sorted((os.path.join(folder, n) for n in os.listdir(folder)), key=os.path.getmtime)
        for other in others[:-{_KEPT}]:
            os.unlink(other)
        with open(staged, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except OSError:
        try:
            os.unlink(staged)
        except OSError:
            pass
        memory = os.memfd_create("edgeeff")
        with open(memory, "wb", closefd=False) as file:
            file.write(content)
        path = "/proc/self/fd/" + str(memory)
say("ready")
sys.path[:] = [path] + [p for p in sys.path if p]
from edgeeff.onboard.agent import main
main(path)
"""


class Parcel(NamedTuple):
    """The agent.

    Args:
        content: The zip file.
        digest: Its SHA-256.
    """

    content: bytes
    digest: str


@lru_cache(maxsize=1)
def parcel() -> Parcel:
    """The agent of this version: ``edgeeff/onboard``, and what runtimes have for a board."""
    files = contents()
    folders = {parent for name in files for parent in Path(name).parents if parent != Path()}
    whole = {**{f"{folder.as_posix()}/__init__.py": b"" for folder in folders}, **files}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(whole.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return Parcel(made.getvalue(), digests.of_bytes(made.getvalue()))


def contents() -> dict[str, bytes]:
    """The agent's modules by their paths: those of ``onboard``, and what each runtime's folder has for it."""
    own = Path(agent.__file__).parent
    root = own.parent.parent
    paths = [*own.glob("*.py")]
    for name in backends.runtime_names():
        runtime = backends.runtime(name)
        part = runtime.onboard() if runtime.plugin is None else None
        if part is None or part.__file__ is None:
            continue
        folder = Path(part.__file__).parent
        paths += [Path(part.__file__), *(folder / f"{other}.py" for other in getattr(part, "CARRIES", ()))]
        paths += folder.glob("device/onboard/*.py")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
