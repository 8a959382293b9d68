"""Learn all scales, biases and weights together from the float network's outputs (learning/)."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from edgeeff.cache import Bookmark, key_of, versions
from edgeeff.files import writing
from edgeeff.graph.model import constant
from edgeeff.quantization import detecting
from edgeeff.quantization.draft import Draft
from edgeeff.quantization.learning import short
from edgeeff.quantization.learning.subject import Rates, Subject, subject_of

Rate = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

#: Every fifth image judges what was learned.
_ASIDE = 5


def apply(
    draft: Draft,
    *,
    steps: PositiveInt = 300,
    batch: PositiveInt = 8,
    images: PositiveInt = 256,
    weight_rate: Rate = 0.001,
    scale_rate: Rate = 0.0003,
    bias_rate: Rate = 0.0005,
    seed: NonNegativeInt = 0,
) -> Draft:
    """Learn, starting from a plan that is whole.

    Args:
        draft: With ranges, weights and biases decided.
        steps: Of Adam: a budget counts steps, not seconds, so that builds are deterministic.
        batch: Images in a step.
        images: How many to learn from at most; every fifth of them judges.
        weight_rate: Codes a step at most.
        scale_rate: Share of a scale a step at most.
        bias_rate: Share of a layer's mean bias a step at most.
        seed: Of the images' order.

    A detector is left as it is.
    """
    draft.need("learn", ranges=True, weights=True)
    if detecting.is_detector([str(value.name) for value in draft.model.graph.outputs]):
        # At a detector's size it would take hours, and move the codes that its levels share apart.
        draft.progress.tell("learning: not for detectors, whose levels share their weights")
        return replace(draft, notes=(*draft.notes, "not learned: levels share their weights"))
    every = on_disk(image for part in draft.images(images) for image in part)
    kept = [image for i, image in enumerate(every) if (i + 1) % _ASIDE] or every
    aside = every[_ASIDE - 1 :: _ASIDE] or every
    course = short.Course(steps, batch, Rates(weight_rate, scale_rate, bias_rate), seed)
    subject = subject_of(draft)
    draft.progress.stage("learning", steps, "steps")
    bookmark = _bookmark(draft, every, subject, course)
    found = short.learn(subject, kept, aside, course, advance=draft.progress.advance, bookmark=bookmark)
    if bookmark:
        bookmark.drop()
    before, after = (-10 * math.log10(max(error, 1e-12)) for error in (found.before, found.after))
    draft.progress.tell(f"learned  {before:.1f} → {after:.1f} dB on {len(aside)} images kept aside")
    return replace(
        draft,
        activations=found.activations,
        layers=found.layers,
        notes=(*draft.notes, f"learned in {steps} steps"),
    )


def on_disk(images: Iterable[Tensor]) -> list[Tensor]:
    """The same images in a file without a name, mapped: 256 of 600 pixels would take a gigabyte of memory.

    Args:
        images: float32, all of one shape; one at least.

    Raises:
        OutputError: The folder of temporary files is full, or cannot be written.
    """
    shape, count = torch.Size(), 0
    with writing(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for image in images:
            file.write(image.contiguous().numpy().tobytes())
            shape, count = image.shape, count + 1
        file.flush()
        mapped = np.memmap(
            file, np.float32, "r+", shape=(count, *shape)
        )  # outlives the file's name and handle
    return [torch.from_numpy(np.asarray(row)) for row in mapped]


def _bookmark(draft: Draft, images: list[Tensor], subject: Subject, course: short.Course) -> Bookmark | None:
    """Where learning this very thing keeps its state: by all that its outcome depends on."""
    if draft.cache is None:
        return None
    seen = hashlib.sha256()
    for image in images:
        seen.update(image.numpy().tobytes())
    for initializer in draft.model.graph.initializers.values():
        value = constant(initializer)
        seen.update(b"" if value is None else value.tobytes())
    key = key_of(
        plan=subject.plan.to_json(),
        inputs=seen.hexdigest(),
        largest=draft.largest,
        arguments={
            **vars(course),
            "free": subject.free,
            "rates": vars(course.rates),
            "deciding": vars(draft.deciding),
        },
        tools=versions("edgeeff", "torch", "numpy"),
    )
    return Bookmark(draft.cache, "learning", key)
