"""``python scripts/npm.py FOLDER``: the packages of FOLDER/package-lock.json into FOLDER/node_modules.

What ``npm ci`` does, for a machine without npm: each archive is held against the lock's SHA-512 before
anything of it is unpacked, and no script of a package runs. Archives are kept in the user's cache. The
registry is the one that the user's npm is configured with, else the public one.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

PUBLIC = "https://registry.npmjs.org/"
SECONDS = 60


def registry(folder: Path) -> str:
    """Where packages come from: the environment, .npmrc of the folder or of the user, or the public one."""
    for name, value in os.environ.items():
        if name.lower() == "npm_config_registry" and value:
            return f"{value.rstrip('/')}/"
    for path in (folder / ".npmrc", Path.home() / ".npmrc"):
        found = (
            re.search(r"^registry\s*=\s*(\S+)", path.read_text(), re.MULTILINE) if path.is_file() else None
        )
        if found:
            return f"{found[1].rstrip('/')}/"
    return PUBLIC


def install(folder: Path) -> list[str]:
    """Fetch what is not there; returns the packages that were unpacked, as name@version.

    Raises:
        OSError: The registry cannot be reached, or has no such archive.
        ValueError: An archive is not the one of the lock.
    """
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    made = []
    for place, package in lock["packages"].items():
        if not place:  # the folder itself
            continue
        name, version = place.rpartition("node_modules/")[2], package["version"]
        target = folder / place
        if _version(target) != version:
            _unpack(_archive(registry(folder), name, version, package["integrity"]), target)
            made.append(f"{name}@{version}")
    return made


def _version(target: Path) -> str | None:
    description = target / "package.json"
    if not description.is_file():
        return None
    return str(json.loads(description.read_text(encoding="utf-8")).get("version"))


def _archive(source: str, name: str, version: str, integrity: str) -> bytes:
    """One package's archive, from the cache or the registry."""
    kind, _, digest = integrity.partition("-")
    if kind != "sha512":
        raise ValueError(f"{name}@{version}: package-lock.json pins no sha512")
    wanted = base64.b64decode(digest)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeeff-npm"
    kept = cache / f"{wanted.hex()[:32]}.tgz"
    if kept.is_file() and hashlib.sha512(content := kept.read_bytes()).digest() == wanted:
        return content
    address = f"{source}{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:
        content = answer.read()
    if hashlib.sha512(content).digest() != wanted:
        raise ValueError(f"{address} is not the archive of package-lock.json: its SHA-512 is another")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
        file.write(content)
    Path(file.name).replace(kept)
    return bytes(content)


def _unpack(content: bytes, target: Path) -> None:
    """An archive's files, below its one folder, in place of whatever is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=target.parent) as made,
        tarfile.open(fileobj=io.BytesIO(content)) as tar,
    ):
        for member in tar:
            parts = Path(member.name).parts[1:]
            if not member.isfile() or not parts or ".." in parts:
                continue
            path = Path(made, "package", *parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None
            path.write_bytes(source.read())
            path.chmod(0o755 if member.mode & 0o100 and parts[0] == "bin" else 0o644)
        shutil.rmtree(target, ignore_errors=True)
        try:
            Path(made, "package").replace(target)
        except OSError:  # another process was first
            if not target.is_dir():
                raise


def main(folders: list[str]) -> int:
    """For each folder of the command line."""
    for folder in folders:
        try:
            for package in install(Path(folder)):
                print(f"{folder}: {package}")
        except (OSError, ValueError) as error:
            print(f"{folder}: NOT installed: {error} (the tests that use it are skipped)", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
