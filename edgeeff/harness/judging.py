"""One pass over images: bundles and their reference run on the same pixels, and are scored as they go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import lcm

import numpy as np
import numpy.typing as npt

from edgeeff.backends import Session
from edgeeff.batch import LARGEST
from edgeeff.bundle import Bundle
from edgeeff.errors import ImageError, OptionError
from edgeeff.harness import outcomes, truth
from edgeeff.harness.outcomes import Decided, Outcomes
from edgeeff.images import ImageSet
from edgeeff.images.ahead import Sight, decoded
from edgeeff.preprocess import CHANNELS, Pixels, Preprocess
from edgeeff.tasks import Fidelity, Meaning, Outputs, Scorer, Truth


@dataclass(frozen=True)
class Reference:
    """The float bundle that others are held against, and what runs it."""

    bundle: Bundle
    session: Session


@dataclass(eq=False)
class Lane:
    """One bundle in the pass: what runs, and what is found out about it.

    Args:
        bundle: The bundle.
        session: What runs.
        via: What runs in the bundle's place, if it is not its own runtime.
        meaning: What the outputs are, with the threshold that holds.
        scorer: Adds up scores against what is known.
        known: What is known of each image, as the task's scores want it; None: nothing.
        reference: The float bundle, if any.
        reference_scorer: Adds up its scores; several lanes may share one.
        leads: Whether it is this lane that adds to ``reference_scorer``.
        decided: Of all images of the set; None where the task's decisions are not kept.
        fidelity: The bundle against the reference, so far.
        images: How many were run.
        terms: What each part of images added to ``fidelity``, in order, where that is kept: sums of floats
            are the same only if they are added up in the same order.
    """

    bundle: Bundle
    session: Session
    via: str | None
    meaning: Meaning
    scorer: Scorer
    known: Truth | None
    reference: Reference | None = None
    reference_scorer: Scorer | None = None
    leads: bool = True
    decided: Decided | None = None
    fidelity: Fidelity = field(default_factory=Fidelity)
    images: int = 0
    terms: list[Fidelity] | None = None

    @property
    def size(self) -> int:
        """Images that are scored together: as many as fill a run of bundle and reference, eight at least."""
        both = [self.bundle] if self.reference is None else [self.bundle, self.reference.bundle]
        return _together([one.manifest.batch.size for one in both])

    def asks_as(self, other: Lane) -> bool:
        """Whether both ask the same of the reference."""
        if self.known is None or other.known is None:
            same = self.known is other.known
        else:
            same = truth.as_bytes(self.known) == truth.as_bytes(other.known)
        return same and (self.meaning, self.bundle.manifest.classes) == (
            other.meaning,
            other.bundle.manifest.classes,
        )

    def see(self, sight: Sight, expected: Outputs | None) -> None:
        """Run some images, and score what comes of them in parts of :attr:`size`.

        So sums are added up in the same order, whatever other bundles are in the pass.

        Args:
            sight: The images.
            expected: What the reference gives for them.
        """
        found = self.session.infer(sight.pixels)
        if expected is not None and self.reference is not None and not self.meaning.brings_alike:
            expected = _as_named(self.reference.bundle, expected, self.bundle, found)
        for part in _split(sight.numbers, self.size):
            here = {name: values[part] for name, values in found.items()}
            there = None if expected is None else {name: values[part] for name, values in expected.items()}
            self._score(here, there, sight.numbers[part])
        self.images += len(sight.numbers)

    def _score(self, found: Outputs, expected: Outputs | None, numbers: npt.NDArray[np.int64]) -> None:
        if self.decided is not None:
            self.decided[numbers] = outcomes.decided(self.meaning, found)
        known = np.full(len(numbers), -1, np.int64) if self.known is None else self.known[numbers]
        scored = self.known is not None or self.scorer.unlabelled
        if scored:
            self.scorer.update(found, known)
        if expected is None:
            return
        added = self.meaning.fidelity(*self.meaning.alike(expected, found))
        self.fidelity += added
        if self.terms is not None:
            self.terms.append(added)
        if scored and self.leads and self.reference_scorer is not None:
            self.reference_scorer.update(expected, known)

    def outcomes(self, names: Sequence[str], bad: Collection[int]) -> Outcomes | None:
        """What was decided of each image that was run; None where that is not kept.

        Args:
            names: Of all images.
            bad: The numbers of those that could not be read.
        """
        if self.decided is None:
            return None
        ran = [number for number in range(len(names)) if number not in bad]
        truth = outcomes.true(self.known, len(names))
        images = tuple(names[number] for number in ran)
        labels = self.bundle.manifest.labels
        return Outcomes(images, self.decided[ran], truth[ran], labels, self.meaning.exclusive)


@dataclass(frozen=True)
class How:
    """How bundles are run and judged.

    Args:
        threshold: Of a label's probability, instead of the bundle's.
        threads: Of each runtime.
        via: ``onnxruntime``: a bundle's graph is run, where it holds one.
    """

    threshold: float | None = None
    threads: int = 1
    via: str | None = None


def lane(
    bundle: Bundle, known: Truth | None, count: int, how: How, reference: Reference | None = None
) -> Lane:
    """Open a session of a bundle that is to run on ``count`` images.

    Raises:
        OptionError: The reference cannot be held against the bundle; or nothing of the name ``via`` runs in a
            bundle's place.
        MissingRuntimeError: The runtime is not installed.
    """
    if reference is not None:
        _refuse_unlike(bundle, reference.bundle)
    made = idle(bundle, known, count, how, reference)
    ran, session = _session(bundle, how.threads, how.via)
    return replace(made, session=session, via=ran)


def idle(
    bundle: Bundle,
    known: Truth | None,
    count: int,
    how: How,
    reference: Reference | None = None,
) -> Lane:
    """A lane that runs nothing, and only adds up what others ran.

    Raises:
        OptionError: The threshold means nothing to the bundle's task.
    """
    meaning, classes = bundle.manifest.meaning.with_threshold(how.threshold), bundle.manifest.classes
    kept = outcomes.recorded(meaning, classes)
    return Lane(
        *(bundle, NoSession(), None, meaning, meaning.scorer(classes, bundle.name), known, reference),
        reference_scorer=None if reference is None else meaning.scorer(classes, reference.bundle.name),
        decided=np.full(count, outcomes.UNKNOWN, np.int32) if kept else None,
    )


class NoSession:
    """Where nothing is run."""

    def infer(self, pixels: Pixels) -> Outputs:
        """It never is."""
        raise AssertionError(f"{len(pixels)} images, and nothing that runs them")

    prepare = execute = infer


@dataclass
class Group:
    """Bundles that see the same pixels.

    Args:
        preprocess: How the images become these pixels.
        reference: What each of the bundles is held against; it runs once.
        lanes: One for each of the bundles.
        bad: Images that cannot be decoded so, with the reason, by their numbers.
    """

    preprocess: Preprocess
    reference: Reference | None
    lanes: list[Lane] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)

    def add(self, lane: Lane) -> None:
        """One more bundle; it shares the reference's scores with one that asks the same of it."""
        for other in self.lanes:
            if other.leads and other.asks_as(lane):
                lane.reference_scorer, lane.leads = other.reference_scorer, False
                break
        self.lanes.append(lane)

    def see(self, sight: Sight) -> None:
        """Run some images through all bundles."""
        self.bad.update(sight.bad)
        if not len(sight.numbers):
            return
        expected = None if self.reference is None else self.reference.session.infer(sight.pixels)
        for lane in self.lanes:
            lane.see(sight, expected)


def run(
    images: ImageSet,
    groups: Sequence[Group],
    advance: Callable[[int], None],
    *,
    start: int = 0,
    stop: int | None = None,
    keep: Callable[[int], None] | None = None,
) -> None:
    """Run all images through all bundles; each is decoded once.

    Args:
        images: The images.
        groups: The bundles.
        advance: Called as images are done, with how many.
        start: The first image; what is before it the bundles have seen. A multiple of :func:`together`.
        stop: The image before which it ends; None: it goes on to the last.
        keep: Called where the images before a number are done, with that number.

    Raises:
        ImageError: Not one image could be decoded, of all of them.
    """
    size, some = together(groups), images.pictures[:stop]
    with decoded(some, [group.preprocess for group in groups], size, start) as parts:
        for part in parts:
            for group, sight in zip(groups, part.sights, strict=True):
                group.see(sight)
            if keep is not None:
                keep(part.stop)
            advance(part.stop - part.start)
    if stop is None:
        refuse_none(images, groups)


def together(groups: Sequence[Group]) -> int:
    """Images that are decoded, and run, together."""
    return _together([lane.size for group in groups for lane in group.lanes])


def refuse_none(images: ImageSet, groups: Sequence[Group]) -> None:
    """Refuse a pass in which nothing was seen.

    Raises:
        ImageError: Not one image could be decoded.
    """
    for group in groups:
        if len(group.bad) == len(images):
            raise ImageError(
                f"not one of {len(images)} images could be decoded: {next(iter(group.bad.values()), '')}",
                mend="replace them by images that open",
            )


def _together(sizes: Sequence[int]) -> int:
    """Images that are decoded together for runs of these sizes: whole runs of each, eight at least."""
    whole = lcm(*sizes)
    return whole * max(1, 8 // whole) if whole <= LARGEST else max(sizes)


def _split(numbers: npt.NDArray[np.int64], size: int) -> list[slice]:
    """The parts of some images whose numbers lie between the same two multiples of ``size``."""
    ends = np.flatnonzero(np.diff(numbers // size)) + 1
    bounds = [0, *ends.tolist(), len(numbers)]
    return [slice(first, last) for first, last in pairwise(bounds)]


def _refuse_unlike(bundle: Bundle, floating: Bundle) -> None:
    """Refuse a reference that cannot be held against the bundle.

    Raises:
        OptionError: It takes another size, is built for another task, or gives probabilities where the
            bundle gives logits, or the other way round.
    """
    if _size(floating) != _size(bundle):
        raise OptionError(
            f"{bundle.name} takes {_size(bundle)} images, the reference {floating.name} {_size(floating)}",
            mend="name a reference that was built with the same --size, and with the same --resize-in-model",
        )
    if floating.manifest.task != bundle.manifest.task:
        raise OptionError(
            f"{bundle.name} is built for {bundle.manifest.task}, its reference {floating.name} for "
            f"{floating.manifest.task}",
            mend="build both with the same --task",
        )
    one, other = bundle.manifest.detection, floating.manifest.detection
    facts = [(each and each.geometry, b.manifest.classes) for each, b in ((one, bundle), (other, floating))]
    if one is not None and facts[0] != facts[1]:
        raise OptionError(
            f"{bundle.name} and its reference {floating.name} have other anchors or classes",
            mend="name a reference that was built from the same checkpoint",
        )
    classes = bundle.manifest.classes, floating.manifest.classes
    if bundle.manifest.meaning.by_pixel and classes[0] != classes[1]:
        raise OptionError(
            f"{bundle.name} knows {classes[0]} classes, its reference {floating.name} {classes[1]}",
            mend="name a reference that was built from the same checkpoint",
        )
    if floating.manifest.softmax != bundle.manifest.softmax:
        raise OptionError(
            f"of {bundle.name} and its reference {floating.name} one gives probabilities, the other logits",
            mend="build both with --probabilities, or both without",
        )


def _session(bundle: Bundle, threads: int, via: str | None) -> tuple[str | None, Session]:
    """What runs in the bundle's place, if it is not its own runtime, and the session."""
    if via not in (None, "onnxruntime"):
        raise OptionError(f"--via {via!r}", mend="onnxruntime is what a bundle's ONNX graph can be run by")
    graph = bundle.graph_session(threads) if via else None
    if graph is None:
        return None, bundle.session(threads=threads)
    return f"{graph[0]} in onnxruntime", graph[1]


def _size(bundle: Bundle) -> str:
    preprocess = bundle.manifest.preprocess
    height, width = preprocess.taken
    return f"{height}×{width} {CHANNELS[preprocess.channels]}"


def _as_named(floating: Bundle, expected: Outputs, bundle: Bundle, found: Outputs) -> Outputs:
    """The reference's outputs by the bundle's names: two runtimes may call a single output differently."""
    if len(expected) == len(found) == 1:
        expected = dict(zip(found, expected.values(), strict=True))
    shapes = [{name: values.shape[1:] for name, values in outputs.items()} for outputs in (found, expected)]
    if shapes[0] == shapes[1]:
        return expected
    if len(found) == len(expected) == 1:
        (own, *_), (other, *_) = (next(iter(each.values())) for each in shapes)
        what = f"{bundle.name} knows {own} classes, the reference {floating.name} {other}"
    else:
        own, other = (", ".join(f"{n} {list(s)}" for n, s in each.items()) for each in shapes)
        what = f"{bundle.name} gives {own}, the reference {floating.name} {other}"
    raise OptionError(what, mend="name a reference that was built from the same checkpoint")
