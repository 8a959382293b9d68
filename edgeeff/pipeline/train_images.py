"""The images that the quantised network is trained on: opened, without those that judge, and streamed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff import digests
from edgeeff.calibration import clips
from edgeeff.calibration.selection import BAD_SHARE
from edgeeff.errors import CalibrationError, LabelsError
from edgeeff.images import ImageSet, ahead
from edgeeff.images.picture import UNLABELLED, Picture
from edgeeff.images.survey import survey
from edgeeff.pipeline import held_out
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.options import TrainOptions
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.recipes import choose, open_source, recipe_photos

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.quantization.learning.training import Batch, Stream

#: Images kept aside to judge by, of one in ten at most; their pixels together; and frames taken of clips.
ASIDE, ASIDE_PIXELS, FRAMES = 96, 96 * 320 * 320, 4000
#: Images of a step, and their pixels together, as far as two remain.
BATCH, BATCH_PIXELS = 8, 8 * 320 * 320
#: Images whose pixels are looked for among those to train on: none behind them judges (held_out.halves).
_LOOKED_FOR = 2 * held_out.LABELLED
#: Steps whose images are decoded as one row.
_ROUND = 32
_SEED = 0
_SHOWS = "shows what an image that judges shows"


@dataclass(frozen=True)
class TrainImages:
    """Images to train on, and how.

    Args:
        images: All, with their classes where labels count.
        options: What the user says.
        judging: SHA-256 of the pixels of images that judge, at the network's size.
    """

    images: ImageSet
    options: TrainOptions
    judging: frozenset[str] = frozenset()

    def facts(self) -> dict[str, Any]:
        """What the outcome depends on, as plain data."""
        labels = held_out.known_digest(self.images) if self.options.labels else None
        return {
            **vars(self.options),
            "images": self.images.digest(),
            "labels": labels,
            "judging": digests.of_bytes("".join(sorted(self.judging)).encode()),
        }

    def parts(self, preprocess: Preprocess) -> tuple[ImageSet, ImageSet]:
        """Those to learn from, and those kept aside: a seeded choice."""
        height, width = preprocess.size
        most = max(8, min(ASIDE, ASIDE_PIXELS // (height * width)))
        order = np.random.default_rng(_SEED).permutation(len(self.images)).tolist()
        count = max(1, min(most, len(order) // 10))
        pictures = self.images.pictures
        sets = ([pictures[i] for i in part] for part in (order[count:], order[:count]))
        learned, aside = (replace(self.images, pictures=tuple(part), bad={}) for part in sets)
        return learned, aside


def batch_size(preprocess: Preprocess) -> int:
    """Images of a step: fewer of large ones, so that memory is bounded."""
    height, width = preprocess.size
    return max(2, min(BATCH, BATCH_PIXELS // (height * width)))


def open_to_train(
    source: Path,
    options: TrainOptions,
    validation: ImageSet,
    names: Sequence[str],
    preprocess: Preprocess,
    context: Context,
    *,
    chosen: bool,
) -> TrainImages:
    """Open images to train on; those that judge are left out.

    Args:
        source: A folder, a list, an .npz, a data set's file or a recipe.
        options: How is trained.
        validation: The images that judge.
        names: The network's classes.
        preprocess: From a photo to the network's input.
        context: Hears what was opened.
        chosen: Whether the user named the images that judge: then it is a mistake that they are here too.

    Raises:
        CalibrationError: Fewer than two are left, or they are of another kind than those that calibrate.
        MissingFileError: There is nothing there, or no image in it.
    """
    found = _opened(source, preprocess, context)
    context.watched.add(picture.path for picture in found.pictures)
    found = _without(found, validation, context, chosen=chosen)
    if len(found) < 2:
        raise CalibrationError(
            f"--train {source}: {len(found)} images to train on", mend="pass more: hundreds are few"
        )
    seen = survey(found.pictures, preprocess)
    if seen.preprocess.white != preprocess.white:
        raise CalibrationError(
            f"--train {source}: its images have another depth than those that calibrate "
            f"(white {seen.preprocess.white:g}, {preprocess.white or 255:g} there)",
            mend="pass images of one kind, or say what is white with --white",
        )
    for line in dict.fromkeys((*found.notes, *seen.lines)):
        context.say_once(line)
    context.warn_all((*found.warnings, *seen.warnings))
    if options.labels:
        found = _labelled(found, names, context)
    if (count := len(validation)) > _LOOKED_FOR:
        context.say_once(
            f"train    of {count} validation images the first {_LOOKED_FOR}, more than a build judges by, "
            "are looked for by their pixels, the others by their files alone"
        )
    return TrainImages(found, options, _digests_of(validation, preprocess))


def _opened(source: Path, preprocess: Preprocess, context: Context) -> ImageSet:
    if source.suffix.lower() == ".toml":
        recipe, photos = recipe_photos(source)
        pictures = choose(photos.pictures, recipe.count, recipe.seed, recipe.crops)
        return replace(photos, pictures=tuple(pictures))
    found = open_source(source, splits=("train", "training"), clips=clips.SUFFIXES)
    if not found.clips:
        return found
    viewing = clips.Viewing(preprocess, context.progress, context.watched.add)
    frames = clips.choose(found.clips, FRAMES, _SEED, viewing)
    return replace(
        found,
        pictures=(*found.pictures, *frames.pictures),
        clips=(),
        warnings=(*found.warnings, *frames.warnings),
        notes=(*found.notes, *frames.notes),
    )


def _without(found: ImageSet, validation: ImageSet, context: Context, *, chosen: bool) -> ImageSet:
    """The images but for those whose files judge, and for copies."""
    judging = {_content(picture) for picture in validation.pictures}
    kept: dict[tuple[str, Any, Any], Picture] = {}
    left = 0
    for picture in found.pictures:
        content = _content(picture)
        left += content in judging
        if content not in judging:
            kept.setdefault(content, picture)
    if left and not kept:
        raise CalibrationError(
            f"all {left} images to train on judge as well",
            mend="pass others with --train, or others to judge by with --validation",
        )
    if left:
        text = f"{left} of {len(found)} images to train on judge as well: they are left out of the training"
        if chosen:
            context.warn(text)
        else:  # held out of those that calibrate, which are good to train on
            context.say_once(text)
    if copies := len(found) - left - len(kept):
        context.say_once(f"train    {copies} images are copies of others, and are taken once")
    return replace(found, pictures=tuple(kept.values()))


def _content(picture: Picture) -> tuple[str, Any, Any]:
    return picture.content, picture.index, picture.crop


def _labelled(found: ImageSet, names: Sequence[str], context: Context) -> ImageSet:
    """With the network's classes; without any where they fit none of them, with a warning."""
    why = "none of the images has a class"
    try:
        known = held_out.with_classes(found, names, context)
        if known.labels is not None:
            return known
    except LabelsError as error:
        why = error.what
    context.warn(f"--train-labels is without effect, the images are taken as unlabelled: {why}")
    bare = (replace(p, label=UNLABELLED, class_name=None, row=None) for p in found.pictures)
    return ImageSet(tuple(bare))


def _digests_of(validation: ImageSet, preprocess: Preprocess) -> frozenset[str]:
    """SHA-256 of the pixels of images that judge: the same image may lie in a file of another kind."""
    part = replace(validation, pictures=validation.pictures[:_LOOKED_FOR], bad={})
    return frozenset(
        digests.of_bytes(image.tobytes()) for batch, _ in part.batches(preprocess, BATCH) for image in batch
    )


def aside(train: TrainImages, images: ImageSet, preprocess: Preprocess, *, raw: bool) -> list[Tensor]:
    """The images kept aside as inputs of a graph, float32 [C, H, W] each.

    What cannot be decoded, or shows the pixels of an image that judges, is left out and named in ``bad``.

    Raises:
        CalibrationError: None is left.
    """
    import torch

    prepare = preprocess.raw if raw else preprocess.normalise
    found: list[Tensor] = []
    for batch, numbers in images.batches(preprocess, BATCH):
        shown = [_judges(train, image) for image in batch]
        named = [images.pictures[n] for n, same in zip(numbers, shown, strict=True) if same]
        images.bad.update({str(p): f"{p} {_SHOWS}" for p in named})
        values = torch.from_numpy(prepare(batch))
        found += [value for value, same in zip(values, shown, strict=True) if not same]
    if not found:
        raise CalibrationError(
            f"none of the {len(images)} images kept aside can be judged by: "
            f"{'; '.join(list(images.bad.values())[:3])}",
            mend="pass more images with --train; one in ten is kept aside",
        )
    return found


def _judges(train: TrainImages, image: Pixels) -> bool:
    return digests.of_bytes(image.tobytes()) in train.judging


def stream(train: TrainImages, images: ImageSet, preprocess: Preprocess, *, raw: bool) -> Stream:
    """Batches without end: seeded orders of all images one after the other, each image varied.

    Decoded ahead by threads, so that never more than a few batches are held. What cannot be decoded, or shows
    the pixels of an image that judges, is left out and named in ``bad``. A batch is a function of the images
    and its number alone.
    """
    size = batch_size(preprocess)

    def batches(start: int) -> Generator[Batch, None, None]:
        step = start
        while True:
            stop = step - step % _ROUND + _ROUND
            chosen = [images.pictures[i] for i in _order(len(images), step * size, stop * size)]
            with ahead.decoded(chosen, [preprocess], size) as parts:
                for part in parts:
                    yield _batch(train, images, chosen, part.sights[0], preprocess, step, raw=raw)
                    step += 1

    return batches


def _order(count: int, start: int, stop: int) -> list[int]:
    """The numbers of images at some places of one seeded order after another."""
    found: list[int] = []
    for turn in range(start // count, (stop - 1) // count + 1):
        order = np.random.default_rng([_SEED, turn]).permutation(count)
        found += order[max(start - turn * count, 0) : stop - turn * count].tolist()
    return found


def _batch(
    train: TrainImages,
    images: ImageSet,
    chosen: Sequence[Picture],
    sight: ahead.Sight,
    preprocess: Preprocess,
    step: int,
    *,
    raw: bool,
) -> Batch:
    import torch

    from edgeeff.quantization.learning.training import Batch
    from edgeeff.quantization.learning.varying import vary_pixels

    images.bad.update({str(chosen[number]): why for number, why in sight.bad.items()})
    kept: list[Pixels] = []
    classes: list[int] = []
    for image, number in zip(sight.pixels, sight.numbers.tolist(), strict=True):
        if _judges(train, image):
            images.bad[str(chosen[number])] = f"{chosen[number]} {_SHOWS}"
        else:
            kept.append(image)
            classes.append(chosen[number].label)
    if not kept or len(images.bad) > max(1.0, BAD_SHARE * len(images)):
        raise CalibrationError(
            f"{len(images.bad)} of {len(images)} images cannot be trained on: "
            f"{'; '.join(list(images.bad.values())[:3])}",
            mend="take them out; up to a tenth are skipped",
        )
    random = np.random.default_rng([_SEED, 1, step])
    varied, whole = vary_pixels(np.stack(kept), preprocess.mean, random)
    values = torch.from_numpy((preprocess.raw if raw else preprocess.normalise)(varied))
    known = [label if same else UNLABELLED for label, same in zip(classes, whole, strict=True)]
    return Batch(list(values), known if train.options.labels else None)
