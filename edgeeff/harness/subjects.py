"""The bundles that a measurement is of: read, named apart, and with how many images each of them runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgeeff import backends, inference_device
from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError
from edgeeff.harness import lock, where
from edgeeff.harness.fresh_process import common_device
from edgeeff.progress import Recorder


def warn_of_plugins(bundles: Sequence[Bundle], recorder: Recorder) -> None:
    """What bundles say of the plug-ins that they need, each sentence once."""
    for text in dict.fromkeys(text for bundle in bundles for text in bundle.plugin_warnings()):
        recorder.warn(text)


def warn_of_another(recorder: Recorder) -> None:
    """Warn where a process that still lives measures here too, as the lock of this machine says.

    Who measures on a board holds the board's lock, and nobody else measures there.
    """
    who = lock.holder()
    if who is not None and who.pid != os.getpid() and Path(f"/proc/{who.pid}").exists():
        recorder.warn(f"another measurement runs on this machine, and both disturb one another: {who}")


def warn_of_place(bundles: Sequence[Bundle], recorder: Recorder) -> None:
    """Warn of what makes figures of bundles doubtful where they are measured."""
    if common_device(bundles) is None:
        warn_of_another(recorder)
    for text in (*where.class_warnings(bundles), *no_times(bundles)):
        recorder.warn(text)


def no_times(bundles: Sequence[Bundle]) -> list[str]:
    """A sentence for each runtime whose times here are not those of its device."""
    known = backends.runtime_names()
    of = {b.manifest.runtime: b.name for b in reversed(bundles) if b.manifest.runtime in known}
    said = {name: backends.runtime(runtime).no_times for runtime, name in of.items()}
    return [f"the times of {name} say nothing of its device: {why}" for name, why in said.items() if why]


def in_runs(bundles: Sequence[Bundle], images: int | None, recorder: Recorder) -> list[int]:
    """How many images a run of each bundle is measured with.

    Args:
        bundles: One of a fixed batch is measured with that, whatever is asked for, and is warned of.
        images: Asked for of those that take any number up to their own; None: the most that each takes.
        recorder: Hears the warning.

    Raises:
        OptionError: More than a bundle takes, or none, or no bundle takes another number than its own.
    """
    fixed = [bundle for bundle in bundles if not bundle.manifest.batch.dynamic]
    if images is not None:
        others = [bundle for bundle in fixed if bundle.manifest.batch.size != images]
        of = ", ".join(f"{bundle.name} takes {bundle.manifest.batch.size}" for bundle in others)
        if others and len(fixed) == len(bundles):
            raise OptionError(
                f"--images {images}, and no bundle takes a number of its own choice: {of} images in a run",
                mend=f"leave out --images, or build with --batch dynamic:{max(images, 2)}",
            )
        if others:
            recorder.warn(f"not measured with {images} images in a run, as the batch is fixed: {of}")
    return [in_a_run(bundle, images) for bundle in bundles]


def in_a_run(bundle: Bundle, images: int | None) -> int:
    """How many images a run of the bundle is measured with.

    Args:
        bundle: Of a fixed batch that is the number, whatever is asked for.
        images: Asked for of a bundle that takes any number up to its own; None: its own.

    Raises:
        OptionError: More than the bundle takes, or none.
    """
    batch = bundle.manifest.batch
    if images is None or not batch.dynamic:
        return batch.size
    if not 1 <= images <= batch.size:
        raise OptionError(
            f"{images} images in a run, and {bundle.name} takes {batch}",
            mend=f"give 1 to {batch.size}, or build it with --batch dynamic:{max(images, 1)}",
        )
    return images


def opened(
    bundles: Sequence[Bundle | Path | str], *, launches: int, seconds: float, threads: int
) -> list[Bundle]:
    """The bundles that are to be measured.

    Raises:
        OptionError: None, or a number that makes no sense, or bundles that are on several devices; or a
            device that chooses one itself.
        BundleError: One cannot be read.
    """
    inference_device.refuse_choosing()
    if not bundles:
        raise OptionError("no bundle to measure", mend="name at least one bundle")
    for name, value, least in (("launches", launches, 1), ("threads", threads, 1)):
        if value < least:
            raise OptionError(f"{name} is {value}", mend=f"give at least {least}")
    if not 0 < seconds < float("inf"):
        raise OptionError(f"seconds is {seconds}", mend="give a positive number of seconds")
    loaded = [bundle if isinstance(bundle, Bundle) else Bundle.load(bundle) for bundle in bundles]
    common_device(loaded)
    return loaded


def distinct_names(bundles: Sequence[Bundle]) -> list[str]:
    """The bundles' names; those of one name are told apart by their folders."""
    counts = Counter(bundle.name for bundle in bundles)
    names = [b.name if counts[b.name] == 1 else f"{b.name} ({b.folder})" for b in bundles]
    if len(set(names)) < len(names):
        raise OptionError(
            f"a bundle is named twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}",
            mend="name each bundle once",
        )
    return names


def place_of(names: Sequence[str], baseline: int | str) -> int:
    """The place of the bundle that others are held against, given by its name or its place.

    Raises:
        OptionError: There is no such bundle.
    """
    if isinstance(baseline, int) and 0 <= baseline < len(names):
        return baseline
    if isinstance(baseline, str) and baseline in names:
        return names.index(baseline)
    raise OptionError(
        f"no bundle {baseline!r} to hold the others against", mend=f"choose one of {', '.join(names)}"
    )
