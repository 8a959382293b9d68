"""Which layers of a build stay float: those the user names, and those that a budget takes.

The validation images are parted: the search judges by one half, the finished bundle is verified on the other.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeeff.bundle import Bundle
from edgeeff.cache import kept, key_of
from edgeeff.calibration.selection import bad_from_json, bad_to_json, pixels
from edgeeff.errors import VerificationError
from edgeeff.harness import latency, machine
from edgeeff.images import ImageSet
from edgeeff.pipeline import scratch
from edgeeff.preprocess import Pixels
from edgeeff.quantization.budget import Budget, Choice, Cost, Judged, asked, curve_line, judge, meets
from edgeeff.target import Target
from edgeeff.tasks import only

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.pipeline.steps import Work

#: Images that verify at most, that the search looks at, and of either where top-1 is to be judged.
JUDGED, SEARCHED, LABELLED = 100, 50, 2000
#: The classes of images, and the photos that they are of.
Known = tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]
#: Processes that time a bundle, and for how many seconds each.
LAUNCHES, SECONDS = 5, 1.0


@dataclass(frozen=True)
class Floating:
    """The layers that stay float, and how those that a budget took were found."""

    layers: frozenset[str] = frozenset()
    choice: Choice | None = None


def halves(validation: ImageSet, budget: Budget | None) -> tuple[ImageSet, ImageSet]:
    """The images that the search judges by, and those that verify; without a budget all verify."""
    if budget is None:
        return _part(validation, 0, 0), _part(validation, None, JUDGED)
    labelled = budget.max_drop is not None
    search = _part(validation, 1, LABELLED if labelled else SEARCHED)
    return search, _part(validation, 0, LABELLED if labelled else JUDGED)


def known(images: ImageSet, numbers: list[int], budget: Budget | None) -> Known:
    """The classes of some images, if a budget asks for them, and the photos that they are of."""
    asked_for = images.labels if budget is not None and budget.max_drop is not None else None
    labels = None if asked_for is None else asked_for[numbers]
    photos = [(images.pictures[n].path, images.pictures[n].index) for n in numbers]
    order = {photo: i for i, photo in enumerate(dict.fromkeys(photos))}
    return labels, np.array([order[photo] for photo in photos], np.int64)


def floating(work: Work, target: Target, raw: bool, facts: dict[str, object]) -> Floating:
    """The layers of a target that stay float.

    Args:
        work: The build.
        target: An int8 one.
        raw: Whether the graph's input is raw pixels.
        facts: What its plan depends on.

    Raises:
        OptionError: A layer is not in the network, or the images are too few to judge by.
        VerificationError: The budget cannot be met.
    """
    options = work.options
    if not options.keep_float and options.budget is None:
        return Floating()
    from edgeeff.quantization import precision

    named = precision.matching(options.keep_float, precision.layer_names(work.network.model()))
    if options.budget is None:
        return Floating(named)
    search = halves(work.images.validation, options.budget)[0]
    key = key_of(
        facts=facts,
        named=sorted(named),
        budget=vars(options.budget),
        images=search.digest(),
        labels=classes_digest(work.classes_named(work.images.validation).labels),
        machine=machine.describe().cpu if options.budget.max_cost is not None else None,
    )
    trial = _Trial(work, target, raw, named, options.budget)
    entry = kept(work.cache, work.progress, "floating", key, trial.choice)
    work.name_skipped(work.images.validation, bad_from_json(search, entry["bad.json"].decode()))
    choice = Choice.from_json(json.loads(entry["choice.json"]))
    work.progress.tell(f"{target.name}: {choice.line}")
    return Floating(named | frozenset(choice.layers), choice)


def hold(budget: Budget, choice: Choice, found: Judged, name: str) -> list[str]:
    """Hold a finished bundle against its budget, on images that the search did not see.

    Returns:
        A warning where it is under the budget by less than these images can tell.

    Raises:
        VerificationError: It is not within the budget.
    """
    if meets(budget, _exact(found), confident=True):
        return []
    if meets(budget, found, confident=False):
        return [
            f"on the {found.images} images that verify: {found.line}; {asked(budget)} was met on those of "
            "the search, and the difference is within their interval"
        ]
    raise VerificationError(
        f"{name}: {asked(budget)} was met on the images of the search, but not on the {found.images} others: "
        f"{found.line}; {curve_line(choice.curve)}",
        mend="pass more images with --validation; nothing was written",
    )


@dataclass
class _Trial:
    """The search's view of one target of a build."""

    work: Work
    target: Target
    raw: bool
    named: frozenset[str]
    budget: Budget

    def choice(self) -> dict[str, bytes]:
        """What the search found, and which of its images it could not read, as an entry of the cache."""
        found = json.dumps(self.choose().to_json()).encode()
        return {"choice.json": found, "bad.json": bad_to_json(self.images).encode()}

    def choose(self) -> Choice:
        from edgeeff.graph.execute import execute, prepare
        from edgeeff.quantization import precision
        from edgeeff.quantization.search import Search

        draft = self.work.draft(self.target, self.raw, self.named)
        order = precision.candidates(draft)
        program = prepare(draft.model)
        self.work.progress.stage("searching the layers that must stay float", total=len(self.images))
        float_logits = np.concatenate([execute(program, x).numpy() for x in self._inputs()])
        shares = precision.multiply_adds(draft.model)

        def look(layers: tuple[str, ...]) -> Judged:
            self.work.progress.stage(f"searching: {len(layers)} layers in float", total=len(self.images))
            plan = precision.kept(draft, layers)
            logits = [precision.simulated(program, plan, x)["logits"].numpy() for x in self._inputs()]
            return judge(float_logits, np.concatenate(logits), *self._known)

        def confirm(layers: tuple[str, ...]) -> Judged:
            graph, _ = self.work.quantised(self.target, self.raw, self.named | frozenset(layers))
            logits = [only(self.work.infer(graph, [batch], self.raw)) for batch in self._batches()]
            return judge(float_logits, np.concatenate(logits), *self._known)

        def cost(layers: tuple[str, ...]) -> Cost:
            proxy = Cost(
                sum(shares[name] for name in layers),
                "by share of multiply-adds, as this runtime cannot be timed here",
            )
            return (self._measured(layers) or proxy) if layers else Cost(0.0, "with no layer in float")

        return Search(order, self.budget, look, confirm, cost).run()

    @cached_property
    def images(self) -> ImageSet:
        """Those that the search judges by."""
        return halves(self.work.classes_named(self.work.images.validation), self.budget)[0]

    @cached_property
    def _known(self) -> Known:
        """Of those of them that can be decoded."""
        numbers: list[int] = []
        for _ in self._batches(lambda _, found: numbers.extend(found.tolist())):
            pass
        return known(self.images, numbers, self.budget)

    def _batches(
        self, watch: Callable[[Pixels, npt.NDArray[np.int64]], None] | None = None
    ) -> Iterator[Pixels]:
        return pixels(self.images, self.work.preprocess, rest=self.work.images.calibration, watch=watch)

    def _inputs(self) -> Iterator[Tensor]:
        import torch

        prepare = self.work.preprocess.raw if self.raw else self.work.preprocess.normalise
        for batch in self._batches():
            yield torch.from_numpy(prepare(batch))
            self.work.progress.advance(len(batch))

    def _measured(self, layers: tuple[str, ...]) -> Cost | None:
        """Latency against the build with none of them in float, interleaved; None where it cannot run."""
        self.work.progress.stage(f"timing {len(layers)} layers in float")
        with tempfile.TemporaryDirectory() as folder:
            bundles = [self._bundle(Path(folder) / "plain", ()), self._bundle(Path(folder) / "mixed", layers)]
            report = latency.benchmark(bundles, launches=LAUNCHES, seconds=SECONDS)
            ratio = report.ratio("mixed", "plain")
        if ratio is None:
            return None
        between = (ratio.interval.low - 1, ratio.interval.high - 1) if ratio.interval else None
        return Cost(ratio.value - 1, "measured here", between)

    def _bundle(self, folder: Path, layers: tuple[str, ...]) -> Bundle:
        return scratch.bundle(self.work, self.target, self.raw, folder, self.named | frozenset(layers))


def _part(images: ImageSet, half: int | None, most: int) -> ImageSet:
    """The first images of every second one, or of all; none of them looked at yet."""
    pictures = images.pictures if half is None else images.pictures[half::2]
    return replace(images, pictures=pictures[:most], bad={})


def _exact(found: Judged) -> Judged:
    return replace(found, sqnr_error=0.0)


def classes_digest(labels: npt.NDArray[np.int64] | None) -> str | None:
    """Part of a key: the class of each image, None without any."""
    return None if labels is None else key_of(labels=labels.tolist())
