"""A long evaluation that is cut off goes on where it was: its state in one file, written from time to time.

The state holds sums, decisions and the place in the images, no image and no object: an .npz that is read
without unpickling. Its name is the digest of all that the result depends on, so that only the same
evaluation finds it.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from edgeeff.errors import DeviceError, EdgeeffError
from edgeeff.files import TEMPORARY, replacing
from edgeeff.harness import states
from edgeeff.harness.judging import Group, Lane
from edgeeff.harness.states import Arrays
from edgeeff.harness.stopping import Stop
from edgeeff.harness.truth import as_bytes
from edgeeff.images import ImageSet
from edgeeff.watched import stamp

#: Raised when the file holds something else, or the same images would give other sums.
VERSION = 1
#: Seconds between two writings, and how many times the last one's duration at least.
EVERY, TIMES = 10.0, 20.0
#: Seconds after which a state that nobody went on from is swept: 30 days.
_OLD = 30 * 86_400.0
#: What reading a file raises that is damaged, or is another one.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def folder() -> Path:
    """Where states lie: ``evaluations`` in the user's state folder (``XDG_STATE_HOME``)."""
    return Path(platformdirs.user_state_dir("edgeeff", appauthor=False)) / "evaluations"


@dataclass(frozen=True)
class Resume:
    """How an evaluation goes on.

    Args:
        folder: Where its state lies.
        anew: Throw the state of an earlier run away.
    """

    folder: Path
    anew: bool = False

    @classmethod
    def of(cls, given: Resume | Path | str | None) -> Resume | None:
        """A bare folder means that an earlier run is continued."""
        return given if given is None or isinstance(given, Resume) else cls(Path(given))


def key(images: ImageSet, groups: Sequence[Group], facts: Mapping[str, Any]) -> str:
    """The digest of all that a pass depends on.

    Args:
        images: By path, row, crop, time and size.
        groups: By preprocessing, bundles, threshold, and what is known of each image.
        facts: All else, as plain data: versions, threads.
    """
    digest = hashlib.sha256()

    def add(data: Any) -> None:
        digest.update(json.dumps(data, sort_keys=True, default=str).encode() + b"\n")

    add({"version": VERSION, **facts})
    for picture in images.pictures:
        add([str(picture.path.absolute()), picture.index, picture.crop, stamp(picture.path)])
    for group in groups:
        add(group.preprocess.to_json())
        for lane in group.lanes:
            both = [lane.bundle] if lane.reference is None else [lane.bundle, lane.reference.bundle]
            add([*(one.digest() for one in both), lane.via, vars(lane.meaning), lane.known is None])
            digest.update(as_bytes(lane.known))
    return digest.hexdigest()


@dataclass
class Keeper:
    """Keeps the state of one pass in a file.

    Args:
        path: The file.
        key: The pass that it belongs to.
        groups: The bundles, whose sums are kept.
        total: How many images there are.
        tell: Called with what was decided.
        warn: Called with what went wrong.
        stop: Whether the process was told to stop.
    """

    path: Path
    key: str
    groups: Sequence[Group]
    total: int
    tell: Callable[[str], None]
    warn: Callable[[str], None]
    stop: Stop = field(default_factory=Stop)
    _next: float = field(default_factory=lambda: time.monotonic() + EVERY)
    _off: bool = False

    @classmethod
    def of(
        cls,
        place: Path,
        images: ImageSet,
        groups: Sequence[Group],
        facts: Mapping[str, Any],
        tell: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> Keeper:
        """The keeper of a pass whose state lies in the folder ``place``."""
        found = key(images, groups, facts)
        return cls(place / f"{found}.npz", found, groups, len(images), tell, warn)

    def restore(self, *, anew: bool = False) -> int:
        """Take up the state of an earlier run, if there is one; returns the image to go on from.

        Args:
            anew: Throw it away instead.
        """
        if anew:
            self.remove()
        if not self.path.is_file():
            return 0
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            start = self._take(arrays)
        except DAMAGED as error:
            self.warn(
                f"the state of an earlier run that was cut off cannot be used, and this one begins anew "
                f"({self.path}: {error})"
            )
            self.remove()
            return 0
        self.tell(f"an earlier run was cut off: goes on from image {start} of {self.total}")
        return start

    def _take(self, arrays: Arrays) -> int:
        said = json.loads(bytes(arrays["meta"]).decode())
        if said["key"] != self.key:
            raise ValueError("it is another evaluation's")
        if not 0 < said["next"] <= self.total:
            raise ValueError(f"it stands at image {said['next']} of {self.total}")
        taken = []
        for number, lane in enumerate(self._lanes()):
            own = {name: arrays[f"{number}/{name}"] for name in said["lanes"][number]["arrays"]}
            taken.append((lane, states.filled(lane, own), said["lanes"][number]))
        bad = [{int(n): str(why) for n, why in one.items()} for one in said["bad"]]
        for lane, (scorer, other, decided), one in taken:  # nothing is taken unless all of it can be
            lane.scorer, lane.decided, lane.images = scorer, decided, int(one["images"])
            lane.fidelity = states.read(one["fidelity"])
            if lane.leads:
                lane.reference_scorer = other
        for group, found in zip(self.groups, bad, strict=True):
            group.bad = found
            leading = [lane for lane in group.lanes if lane.leads]
            for lane in group.lanes:
                if not lane.leads:
                    lane.reference_scorer = next(one.reference_scorer for one in leading if one.asks_as(lane))
        return int(said["next"])

    def keep(self, done: int) -> None:
        """Write the state, if it is time to, or if the process is to stop, which it then does.

        Args:
            done: All images before this number are in it.
        """
        begun, stopped = time.monotonic(), self.stop.signal is not None
        if not self._off and done < self.total and (stopped or begun >= self._next):
            try:
                self._write(done)
            except (EdgeeffError, OSError) as error:
                self._off = True
                self.warn(f"if this run is cut off, it cannot be gone on with: {error}")
            ended = time.monotonic()
            self._next = ended + max(EVERY, TIMES * (ended - begun))
        if stopped:
            if not self._off and done < self.total:
                self.tell(f"stopped: the same command goes on from image {done} of {self.total}")
            self.stop.follow()

    def _write(self, done: int) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {}
        lanes = []
        for number, lane in enumerate(self._lanes()):
            own = states.arrays(lane)
            arrays |= {f"{number}/{name}": array for name, array in own.items()}
            fidelity = states.written(lane.fidelity)
            lanes.append({"images": lane.images, "fidelity": fidelity, "arrays": list(own)})
        said = {"key": self.key, "next": done, "bad": [group.bad for group in self.groups], "lanes": lanes}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(self.path.parent)
        arrays["meta"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
        save: Callable[..., None] = np.savez
        with replacing(self.path) as file:
            save(file, **arrays)

    def remove(self) -> None:
        """The pass is over."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _lanes(self) -> list[Lane]:
        return [lane for group in self.groups for lane in group.lanes]


@contextmanager
def told_if_lost(keeper: Keeper | None, tell: Callable[[str], None]) -> Iterator[None]:
    """Where a board is lost meanwhile, say that the same command goes on from what is kept."""
    try:
        yield
    except DeviceError:
        if keeper is not None and keeper.path.is_file():
            tell("the board was lost: the same command goes on from the images that were done")
        raise


def _sweep(place: Path) -> None:
    """Remove what was never gone on from."""
    for path in place.iterdir():
        known = path.suffix == ".npz" or path.name.startswith(TEMPORARY)
        with suppress(OSError):
            if known and time.time() - path.stat().st_mtime > _OLD:
                path.unlink()
