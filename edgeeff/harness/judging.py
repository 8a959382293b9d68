"""One pass over images: a bundle and its reference run on the same pixels, and are scored as they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import lcm

import numpy as np
import numpy.typing as npt

from edgeeff.backends import Session
from edgeeff.batch import LARGEST
from edgeeff.bundle import Bundle
from edgeeff.errors import ImageError, OptionError
from edgeeff.images import ImageSet
from edgeeff.preprocess import CHANNELS, Preprocess
from edgeeff.tasks import Fidelity, Meaning, Outputs, Scorer


@dataclass(frozen=True)
class Judged:
    """A bundle that runs, and its scores against the labels."""

    bundle: Bundle
    session: Session
    scorer: Scorer


@dataclass
class Judge:
    """What is found out about a bundle.

    Args:
        own: The bundle.
        reference: The float bundle that it is held against, if any.
        meaning: What the outputs are, with the threshold that holds.
        via: What runs in the bundle's place, if it is not its own runtime.
        fidelity: The bundle against the reference, so far.
        images: How many were run.
    """

    own: Judged
    reference: Judged | None
    meaning: Meaning
    via: str | None
    fidelity: Fidelity = field(default_factory=Fidelity)
    images: int = 0

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        floating: Bundle | None,
        *,
        threshold: float | None,
        threads: int,
        via: str | None,
    ) -> Judge:
        """Open a session of each.

        Raises:
            OptionError: The reference cannot be held against the bundle; or nothing of the name ``via`` runs
                in a bundle's place.
            MissingRuntimeError: A runtime is not installed.
        """
        if floating is not None:
            _refuse_unlike(bundle, floating)
        meaning, classes = bundle.manifest.meaning.with_threshold(threshold), bundle.manifest.classes
        ran, session = _session(bundle, threads, via)
        own = Judged(bundle, session, meaning.scorer(classes, bundle.name))
        reference = None
        if floating is not None:
            scorer = meaning.scorer(classes, floating.name)
            reference = Judged(floating, floating.session(threads=threads), scorer)
        return cls(own, reference, meaning, ran)

    def hold(
        self,
        images: ImageSet,
        preprocess: Preprocess,
        known: npt.NDArray[np.int64] | None,
        advance: Callable[[int], None],
    ) -> None:
        """Run all images.

        Args:
            images: Those that cannot be decoded are then in its ``bad``.
            preprocess: How their files are read.
            known: What is known of each image, as the task's scores want it; None: nothing.
            advance: Called after each batch with the images that are done since.

        Raises:
            ImageError: Not one image could be decoded.
        """
        done = 0
        for pixels, numbers in images.batches(preprocess, self._at_a_time()):
            here = np.full(len(numbers), -1, np.int64) if known is None else known[numbers]
            self._batch(pixels, here, scored=known is not None)
            self.images += len(pixels)
            advance(self.images + len(images.bad) - done)
            done = self.images + len(images.bad)
        if done < len(images):
            advance(len(images) - done)  # a last batch that is bad throughout is never yielded
        if not self.images:
            raise ImageError(
                f"not one of {len(images)} images could be decoded: {next(iter(images.bad.values()), '')}",
                mend="replace them by images that open",
            )

    def _batch(self, pixels: npt.NDArray[np.uint8], known: npt.NDArray[np.int64], *, scored: bool) -> None:
        own, reference = self.own, self.reference
        scored = scored or own.scorer.unlabelled
        found = own.session.infer(pixels)
        if scored:
            own.scorer.update(found, known)
        if reference is None:
            return
        expected = _as_named(reference.bundle, reference.session.infer(pixels), own.bundle, found)
        self.fidelity += self.meaning.fidelity(expected, found)
        if scored:
            reference.scorer.update(expected, known)

    def _at_a_time(self) -> int:
        """Images that are decoded together: as many as fill a run of each bundle, eight at least."""
        both = (self.own, self.reference)
        sizes = [one.bundle.manifest.batch.size for one in both if one is not None]
        return lcm(*sizes) * max(1, 8 // lcm(*sizes)) if lcm(*sizes) <= LARGEST else max(sizes)


def _refuse_unlike(bundle: Bundle, floating: Bundle) -> None:
    """Refuse a reference that cannot be held against the bundle.

    Raises:
        OptionError: It takes another size, is built for another task, or gives probabilities where the
            bundle gives logits, or the other way round.
    """
    if _size(floating) != _size(bundle):
        raise OptionError(
            f"{bundle.name} takes {_size(bundle)} images, the reference {floating.name} {_size(floating)}",
            mend="name a reference that was built with the same --size",
        )
    if floating.manifest.task != bundle.manifest.task:
        raise OptionError(
            f"{bundle.name} is built for {bundle.manifest.task}, its reference {floating.name} for "
            f"{floating.manifest.task}",
            mend="build both with the same --task",
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
    height, width = preprocess.size
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
