"""Which two bundles may be held against one another, and what differs between others."""

from __future__ import annotations

from edgeeff.bundle import Bundle, Manifest
from edgeeff.errors import OptionError


def refuse_unlike(new: Bundle, old: Bundle, *, other_target: bool = False) -> list[str]:
    """Refuse two bundles of which one cannot take the other's place.

    Args:
        new: What may take the old one's place.
        old: What is used now.
        other_target: Whether they may be of two targets: another runtime, class of CPU, or number of images
            in a run. Nothing allows another task, other classes or another input.

    Returns:
        What differs and is no reason to refuse them, one sentence each.

    Raises:
        OptionError: They differ; the message says in what.
    """
    one, other = new.manifest, old.manifest
    if differences := _always(one, other):
        raise OptionError(
            f"{new.folder} cannot take the place of {old.folder}: {'; '.join(differences)}",
            mend="compare two bundles of one task, the same classes and the same input",
        )
    differences = _by_target(one, other)
    if differences and not other_target:
        raise OptionError(
            f"{new.folder} and {old.folder} are of two targets: {'; '.join(differences)}",
            mend="compare bundles of one target, or say --other-target if that is what you want to know",
        )
    found = [f"the bundles are of two targets: {text}" for text in differences]
    if one.model != other.model:
        found.append(f"the networks are {one.model}, and {other.model}")
    if one.preprocess.to_json() != other.preprocess.to_json():
        before, after = other.preprocess.to_json(), one.preprocess.to_json()
        names = ", ".join(sorted(k for k in {*before, *after} if before.get(k) != after.get(k)))
        found.append(f"the bundles prepare images differently ({names}): each is measured with its own way")
    if one.meaning.decides and not one.meaning.exclusive and one.threshold != other.threshold:
        found.append(f"the new bundle's threshold is {one.threshold:g}, the old one's {other.threshold:g}")
    return found


def _always(one: Manifest, other: Manifest) -> list[str]:
    found = []
    if one.task != other.task:
        found.append(f"task {one.task}, and {other.task}")
    if one.classes != other.classes:
        found.append(f"{one.classes} classes, and {other.classes}")
    elif unlike := [i for i, (a, b) in enumerate(zip(one.labels, other.labels, strict=True)) if a != b]:
        first = unlike[0]
        found.append(
            f"{len(unlike)} of {one.classes} classes are others, "
            f"the first is {one.labels[first]!r:.60}, and {other.labels[first]!r:.60}"
        )
    if input_of(one) != input_of(other):
        found.append(f"an input of {input_of(one)}, and of {input_of(other)}")
    shapes = [[output.shape[1:] for output in manifest.outputs] for manifest in (one, other)]
    if all(shapes) and shapes[0] != shapes[1]:  # a bundle of schema 1 does not list them
        found.append(f"outputs of shape {_shapes(shapes[0])}, and {_shapes(shapes[1])}")
    return found


def _by_target(one: Manifest, other: Manifest) -> list[str]:
    names = {"target": "target", "runtime": "runtime", "cpu_class": "CPU class"}
    found = [
        f"{words} {getattr(one, name)}, and {getattr(other, name)}"
        for name, words in names.items()
        if getattr(one, name) != getattr(other, name)
    ]
    if one.batch != other.batch:
        found.append(f"runs of {one.batch} images, and of {other.batch}")
    return found


def input_of(manifest: Manifest) -> str:
    """Such as ``224x224, 3 channels``: height and width."""
    (height, width), channels = manifest.preprocess.size, manifest.preprocess.channels
    return f"{height}x{width}, {channels} channel{'s' * (channels > 1)}"


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes)
