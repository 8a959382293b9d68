"""A model repository of Triton that ``tritonserver --model-repository=FOLDER`` starts as it is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .sealed import RefusedError

CONFIG = "config.pbtxt"


def refuse(bundle: Path, manifest: dict[str, Any], models: Path) -> None:
    """Refuse what :func:`write` would, before minutes of building."""
    name = str(manifest["name"])
    source = _source(bundle, name)
    if name in (".", "..") or not (source / CONFIG).is_file():
        raise RefusedError(f"{source} has no {CONFIG}; build the bundle again with this version of edgeeff")
    found = models / name
    ours = found.is_dir() and not found.is_symlink() and (found / CONFIG).is_file()
    if found.is_symlink() or (found.exists() and not (ours and _first(found) == _first(source))):
        raise RefusedError(
            f"{found} is there already, and not of this bundle; take it away, or name another folder"
        )


def write(bundle: Path, manifest: dict[str, Any], models: Path, engine: Path) -> Path:
    """Put a bundle's engine, configuration and labels into a repository, whole or not at all.

    Args:
        bundle: Its folder.
        manifest: Its ``manifest.json``; the files were held against it.
        models: The repository; it is made, and may hold other models.
        engine: What the server is to run.

    Returns:
        The model's folder.
    """
    refuse(bundle, manifest, models)
    name = str(manifest["name"])
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".edgeeff-", dir=str(models)) as scratch:
        made = Path(scratch) / "new"
        (made / "1").mkdir(parents=True)
        for path in _source(bundle, name).iterdir():
            shutil.copyfile(str(path), str(made / path.name))
        shutil.copyfile(str(engine), str(made / "1" / "model.plan"))
        final = models / name
        if final.is_dir():
            final.rename(Path(scratch) / "old")
        made.rename(final)
    return final


def _source(bundle: Path, name: str) -> Path:
    return bundle / "deploy" / "triton" / "tensorrt" / name


def _first(folder: Path) -> bytes:
    return (folder / CONFIG).read_bytes().split(b"\n", 1)[0]
