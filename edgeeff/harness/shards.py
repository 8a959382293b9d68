"""An evaluation in parts, each in a process or on a machine of its own, that merge to the result of one.

A shard is a range of the images that begins where a run of the artifact begins, so that the same images share
a run. Its state holds what the scorers added up, and of sums of floats each term: these are added up again in
the order of the images, since another order gives other last bits. Counts, and the sums of probabilities
(multiples of 2⁻³⁸ or so, far from 2¹⁵), are exact in any order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from edgeeff import digests, regular, shortage
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import OptionError, ReportError
from edgeeff.files import replacing
from edgeeff.harness import judging, opening, reporting, states
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.harness.judging import Group, How, Lane, Reference
from edgeeff.harness.opening import Asked
from edgeeff.harness.record import Record, environment, record
from edgeeff.harness.resuming import DAMAGED
from edgeeff.harness.truth import as_bytes
from edgeeff.images import ImageSet
from edgeeff.progress import Progress, Recorder
from edgeeff.recipes import open_to_judge
from edgeeff.watched import Watched

#: Raised when the file holds something else, or the same images would give other sums.
VERSION = 1
#: What of a machine decides about the last bit of a result.
_DECIDES = ("architecture", "cpu_class", "flags", "versions")


@dataclass(frozen=True)
class Shard:
    """One of ``of`` parts of the images, counted from 0."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """From ``2/8``, the second of eight.

        Raises:
            OptionError: It is written in another way.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise OptionError(f"shard {text!r:.40}", mend="write 2/8 for the second of eight")
        return cls(int(found[1]) - 1, int(found[2]))

    def images(self, total: int, together: int) -> tuple[int, int]:
        """The first image, and the one before which it ends, where so many images run together.

        Of few images some shards are empty.
        """
        runs = -(-total // together)
        first, last = (runs * number // self.of for number in (self.number, self.number + 1))
        return min(first * together, total), min(last * together, total)

    def __str__(self) -> str:
        return f"{self.number + 1}/{self.of}"


@dataclass(frozen=True)
class Judged:
    """What is evaluated, and how: the same for all of its shards.

    Args:
        bundle: The bundle.
        reference: The float bundle that it is held against, if any.
        white: The value that is white in images of more than 8 bits, instead of the bundle's.
        how: Threshold, threads, and what runs.
    """

    bundle: Bundle
    reference: Bundle | None = None
    white: float | None = None
    how: How = field(default_factory=How)

    @property
    def bundles(self) -> list[Bundle]:
        """Both, or the one."""
        return [self.bundle, *([self.reference] if self.reference else [])]

    def asked(self, images: ImageSet) -> Asked:
        """The bundle with the images as it reads them."""
        (one,) = opening.ask(
            [self.bundle], self.reference, opening.known([self.bundle], images, None), self.white
        )
        return one


@shortage.told("judging a bundle", shortage.RUNNING)
def evaluate(
    what: Judged,
    source: ImageSet | Path | str,
    shard: Shard,
    into: Path,
    progress: Progress | None = None,
    check: Callable[[int, int], None] | None = None,
) -> None:
    """Run a bundle over one shard of some images, and write what was added up to a file.

    Args:
        what: The bundle, and how it runs.
        source: All images, or what :func:`edgeeff.recipes.open_to_judge` takes.
        shard: Which of them are run.
        into: The file, an .npz, which is whole or not there.
        progress: Told of each batch.
        check: Called with the first image, and with the one before which the shard ends, before any is run;
            raises where they are not those that were meant.

    Raises:
        EdgeeffError: As :func:`edgeeff.evaluate` raises it.
    """
    images, listener = open_to_judge(source), Recorder.of(progress)
    watched = Watched()
    watched.add(one.folder / MANIFEST for one in what.bundles)
    asked = what.asked(images)
    lanes = opening.lanes_of([asked], what.reference, what.how)
    groups = opening.grouped([asked], lanes)
    lane = groups[0].lanes[0]
    lane.terms = []
    start, stop = shard.images(len(images), judging.together(groups))
    some = asked.images.pictures[start:stop]
    watched.add(path for one in some for path in (one.path, one.mask) if path)
    if check is not None:
        check(start, stop)
    listener.stage(f"judging {what.bundle.name}, shard {shard}", stop - start)
    with watched:
        if start < stop:
            judging.run(images, groups, listener.advance, start=start, stop=stop)
    watched.refuse_changed()
    arrays = states.arrays(lane)
    if lane.decided is not None:
        arrays["decided"] = lane.decided[start:stop]
    said = {
        "key": _key(what, asked, groups[0]),
        "start": start,
        "stop": stop,
        "images": lane.images,
        "bad": groups[0].bad,
        "via": lane.via,
        "terms": [states.written(term) for term in lane.terms],
        "environment": environment(),
        "pillow": PIL.__version__,
    }
    arrays["meta"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    save: Callable[..., None] = np.savez_compressed
    with replacing(into) as file:
        save(file, **arrays)


@shortage.told("merging an evaluation", shortage.RUNNING)
def merge(what: Judged, source: ImageSet | Path | str, files: Sequence[Path]) -> AccuracyReport:
    """The report of all shards: that of one process but for its run and its time.

    No runtime is needed here.

    Args:
        what: As it was given to each shard.
        source: All images, as they were given to each shard.
        files: What the shards wrote, in any order.

    Raises:
        ReportError: A file is damaged, or is of another evaluation; a shard is missing or there twice; or
            shards were run by processors or versions that compute differently.
        ImageError: Not one image could be decoded.
    """
    images = open_to_judge(source)
    asked = what.asked(images)
    lane = _without_runtime(what, asked)
    group = Group(asked.looked.preprocess.unnormalised(), lane.reference, [lane])
    parts = sorted((_read(path) for path in files), key=lambda part: (part.said["start"], part.said["stop"]))
    _refuse_others(parts, _key(what, asked, group), len(images))
    for part in parts:
        try:
            part.into(lane, group)
        except DAMAGED as error:
            raise part.damaged(error) from None
    judging.refuse_none(images, [group])
    report = reporting.report(asked.images, asked.looked, lane, group, [str(p) for p in images.pictures])
    return replace(report, record=_record(what, parts[0].said["environment"]))


@dataclass(frozen=True)
class _Part:
    """What a shard wrote."""

    path: Path
    said: Mapping[str, Any]
    arrays: states.Arrays

    def into(self, lane: Lane, group: Group) -> None:
        """Add it to what the shards before it added up."""
        said, seen = self.said, self.arrays
        states.add(lane.scorer, seen, states.OWN)
        if lane.reference_scorer is not None:
            states.add(lane.reference_scorer, seen, states.REFERENCE)
        if lane.decided is not None:
            lane.decided[said["start"] : said["stop"]] = seen["decided"]
        for term in said["terms"]:
            lane.fidelity += states.read(term)
        lane.images += int(said["images"])
        lane.via = said["via"]
        group.bad.update({int(number): str(why) for number, why in said["bad"].items()})

    def damaged(self, error: Exception) -> ReportError:
        return ReportError(f"{self.path} is no shard of an evaluation: {error}", mend="run that shard again")


def _read(path: Path) -> _Part:
    try:
        with regular.opened(path) as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = json.loads(bytes(arrays.pop("meta")).decode())
        if not all(type(said[name]) is int for name in ("start", "stop", "images")):
            raise ValueError("its images are no numbers")
        return _Part(path, said, arrays)
    except DAMAGED as error:
        raise _Part(path, {}, {}).damaged(error) from None


def _refuse_others(parts: Sequence[_Part], key: str, total: int) -> None:
    """Refuse files that are not the shards of this evaluation, each once, of machines that compute alike."""
    end = 0
    for part in parts:
        if part.said.get("key") != key:
            raise ReportError(
                f"{part.path} is a shard of another evaluation: of other images, labels, bundles or options",
                mend="run that shard again",
            )
        if part.said["start"] != end:
            what = "missing" if part.said["start"] > end else "there twice"
            raise ReportError(
                f"shards do not follow one another: images from {min(end, part.said['start'])} are {what}",
                mend="name what each shard wrote, once",
            )
        end = part.said["stop"]
    if end != total or not parts:
        raise ReportError(f"shards end at image {end} of {total}", mend="run the shards that are missing")
    first = _computing(parts[0].said)
    for part in parts[1:]:
        differing = [name for name, value in _computing(part.said).items() if value != first[name]]
        if differing:
            raise ReportError(
                f"{parts[0].path.name} and {part.path.name} were run by machines of other "
                f"{', '.join(differing)}: they may compute other last bits",
                mend="run all shards of an evaluation on machines that are alike",
            )


def _computing(said: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: said["environment"].get(name) for name in _DECIDES}
    return found | {"pillow": said["pillow"]}


def _key(what: Judged, asked: Asked, group: Group) -> str:
    """The digest of all that a shard's result depends on, but for the machine and which shard it is."""
    names = [str(picture) for picture in asked.images.pictures]
    meaning = asked.bundle.manifest.meaning.with_threshold(what.how.threshold)
    said = {
        "version": VERSION,
        "bundles": [one.digest() for one in what.bundles],
        "preprocess": group.preprocess.to_json(),
        "meaning": repr(meaning),
        "threads": what.how.threads,
        "via": what.how.via,
        "images": [len(names), reporting.set_digest(names, asked.known)],
        "known": digests.of_bytes(as_bytes(asked.known)),
    }
    return digests.of_json(said)


def _without_runtime(what: Judged, asked: Asked) -> Lane:
    """A lane that only adds up."""
    reference = None if what.reference is None else Reference(what.reference, judging.NoSession())
    return judging.idle(asked.bundle, asked.known, len(asked.images), what.how, reference)


def _record(what: Judged, where: Mapping[str, Any]) -> Record:
    """The record of a report whose images another machine may have run."""
    return replace(record("accuracy", what.bundles), environment=where)
