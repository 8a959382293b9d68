"""What decides a result, as plain data: read by whoever plans a unit, and again by whoever does it.

So a worker that sees another checkpoint, other photos or other versions refuses to do a unit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import PIL

from edgeeff import backends, digests, regular
from edgeeff.cache import versions
from edgeeff.calibration.selection import select
from edgeeff.harness.record import environment
from edgeeff.harness.reporting import set_digest
from edgeeff.images import ImageSet
from edgeeff.images.picture import UNLABELLED, Picture, file_digest
from edgeeff.pipeline import artifact, stages, verifying
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.request.kinds import FILE_OR_NAME, LABELS, PATH
from edgeeff.pipeline.request.parts import options as declared
from edgeeff.pipeline.resolve.images import paths
from edgeeff.pipeline.resolve.source import resolve_source
from edgeeff.progress import Silent
from edgeeff.recipes import open_to_judge
from edgeeff.target import TARGETS, load_target
from edgeeff.watched import stamp
from edgeeff.zoo import sources

#: Images whose digests are joined to one, so that a worker looks at its own part alone.
BLOCK = 64
#: What of a machine decides about the last bit of what it computes.
COMPUTES = ("architecture", "cpu_class", "flags", "versions")


@lru_cache(maxsize=1)
def code() -> str:
    """SHA-256 of this package's sources: two checkouts may have one version."""
    whole, folder = hashlib.sha256(), Path(__file__).parent.parent
    for path in sorted(folder.rglob("*.py")):
        whole.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()


def computing() -> dict[str, Any]:
    """What of this machine decides about the last bit of an evaluation."""
    here = environment()
    return {name: here[name] for name in COMPUTES} | {"pillow": PIL.__version__}


def of_build(options: Mapping[str, Any], target: str, name: str) -> dict[str, Any]:
    """All that decides a bundle.

    Args:
        options: Of the build, by their names; ``cpu_class`` is among them, and is not ``auto``.
        target: A name, or the path of a file.
        name: The bundle's.

    Raises:
        EdgeeffError: What an option names is not there, or cannot be read.
    """
    request, silent = BuildRequest.of(**options), Silent()
    asked = resolve_source(request)
    kind, place = sources.locate(asked, silent)
    at, found = Path(place), load_target(target)
    selection = select(*paths(request), request.images.count, request.images.seed)
    plugin = None if target.endswith(".toml") else TARGETS.plugin(target)
    data = {
        "name": name,
        "source": {
            "digest": sources.room(kind).digest(asked, place),
            "kind": kind,
            "called": [at.name, regular.path_of(place).resolve().parent.name],
        },
        "calibration": _looked(selection.calibration),
        "validation": _looked(selection.validation),
        "options": _contents(options),
        "target": artifact.target_facts(found),
        "plugin": str(plugin) if plugin else None,
        "versions": {
            **versions(*artifact.TOOLS, *backends.runtime(found.runtime).tools),
            "stages": stages.versions(),
            "artifact": artifact.VERSION,
            "verifying": verifying.VERSION,
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str, sort_keys=True))
    return plain


def _contents(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they are, but files by their content; network and images are looked at for themselves."""
    found = {}
    for one in declared():
        value = options.get(one.name)
        if one.name not in options or one.name in ("checkpoint", "calibration", "validation"):
            continue
        if one.kind in (PATH, LABELS, FILE_OR_NAME) and isinstance(value, str):
            value = digests.of_regular_file(Path(value)) or value
        found[one.name] = value
    return found


def _looked(images: ImageSet) -> dict[str, Any]:
    """Images by content and names, and what is known of them."""
    names = [str(picture) for picture in images.pictures]
    return {
        "count": len(images),
        "content": images.digest(),
        "names": set_digest(names, None),
        "known": digests.of_bytes("\n".join(map(_known, images.pictures)).encode()),
    }


def _known(picture: Picture) -> str:
    boxes = picture.boxes
    drawn = None if boxes is None else [x.tolist() for x in (boxes.corners, boxes.classes, boxes.crowd)]
    return repr((picture.label, picture.class_name, picture.row, drawn))


def of_images(images: ImageSet) -> tuple[dict[str, Any], list[str]]:
    """Images that bundles are judged by, and the digests of their blocks, which decide together."""
    found = blocks(images.pictures)
    names = [str(picture) for picture in images.pictures]
    known = digests.of_bytes("\n".join(map(_known, images.pictures)).encode())
    facts = {
        "count": len(images),
        "content": digests.of_json(found),
        "names": set_digest(names, None),
        "known": known,
    }
    return facts, found


def are_bare(images: ImageSet) -> bool:
    """Whether nothing is known of any image: what a bundle makes of them says nothing without a reference."""
    return all(p.label == UNLABELLED and p.row is None and p.boxes is None for p in images.pictures)


def blocks(pictures: Sequence[Picture], first: int = 0, last: int | None = None) -> list[str]:
    """The digests of blocks ``first`` to before ``last`` of :data:`BLOCK` images, 16 digits each."""
    whole = -(-len(pictures) // BLOCK)
    found = []
    for number in range(first, whole if last is None else min(last, whole)):
        part = pictures[number * BLOCK : (number + 1) * BLOCK]
        seen = "".join(file_digest(p.path, stamp(p.path)) + repr((p.index, p.crop)) for p in part)
        found.append(digests.of_bytes(seen.encode())[:16])
    return found


def opened(path: str) -> ImageSet:
    """Images to judge by."""
    return open_to_judge(Path(path))


def differing(here: Mapping[str, Any], planned: Mapping[str, Any], below: str = "") -> list[str]:
    """The names of facts that are not those of the plan: ``source.digest``, ``versions.torch``."""
    found = []
    for name in sorted({*here, *planned}):
        one, other = here.get(name), planned.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differing(one, other, f"{below}{name}.")
        else:
            found.append(f"{below}{name}")
    return found
