"""What the user says of a network ─▶ what is known of it, before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeeff import regular
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.watched import Watched, refusal
from edgeeff.zoo import sources
from edgeeff.zoo.sources import Asked, Identity

VERSION = 5
TOOLS = ("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim", "safetensors", "h5py")
_FILE = "identity.json"


@dataclass(frozen=True)
class Source:
    """A network that was found and identified.

    Args:
        asked: What the user says of it.
        identity: What is known of it.
        digest: SHA-256 of what it is made from.
    """

    asked: Asked
    identity: Identity
    digest: str

    def refuse_changed(self, watched: Watched) -> None:
        """Refuse to go on where its files changed, or where their folder holds one more.

        Raises:
            ChangedFileError: They did.
        """
        room, source = sources.room(self.identity.kind), self.identity.source
        watched.refuse_changed()
        files = room.files(source)  # a callable's digest costs an export, and its code was imported once
        again = files and regular.exists(regular.path_of(source))
        if again and room.digest(self.asked, source) != self.digest:
            raise refusal([Path(source)])


def identify(asked: Asked, context: Context) -> Source:
    """Find a network, and what is known of it.

    Raises:
        EdgeeffError: There is no such source, or it is damaged, unsafe to load, or no EfficientNet, or it
            changed while it was read.
    """
    kind, place = sources.locate(asked, context.progress)
    room = sources.room(kind)
    context.progress.stage(f"reading {Path(place).name}")
    context.watched.add(room.files(place))
    with context.watched:
        digest: str = room.digest(asked, place)
        found = run(_stage(asked, kind, place, digest), context)
    identity = sources.with_imagenet_labels(asked, replace(found, source=place))
    return Source(asked, identity, digest)


def _stage(asked: Asked, kind: str, place: str, digest: str) -> Stage[Identity]:
    return Stage(
        "identity",
        VERSION,
        TOOLS,
        facts={
            "source": digest,
            "name": Path(place).name,  # a file's name and its folder's say what the file does not
            "folder": regular.path_of(place).resolve().parent.name,
            "asked": {**vars(asked), "source": None, "weights": None, "module": None},
            "kind": kind,
        },
        make=partial(_identify, asked, kind, place),
        encode=_encode,
        decode=_decode,
    )


def _identify(asked: Asked, kind: str, place: str) -> Identity:
    found: Identity = sources.room(kind).identify(asked, place)
    return Identity.from_json(found.to_json())  # the very same as one from the cache, lists and tuples too


def _encode(identity: Identity) -> dict[str, bytes]:
    return {_FILE: identity.to_json().encode()}


def _decode(parts: Mapping[str, bytes]) -> Identity:
    return Identity.from_json(parts[_FILE].decode())
