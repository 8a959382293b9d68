"""Images varied: the teacher says what any image should give, and few would be learned by heart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: The largest shift of an image in either direction, pixels: as many images more.
SHIFT = 8
#: An image's contrast is multiplied by something between these.
CONTRAST = (0.8, 1.1)
#: Images of a batch that get a rectangle of another one.
MIXED = 0.5


def vary(images: Sequence[Tensor], index: int, random: np.random.Generator) -> Tensor:
    """One of some images, varied.

    Mirrored or not, shifted by a few pixels (what leaves at one side is mirrored back), its contrast changed,
    and in half of the cases a rectangle of another image put in (CutMix, Yun et al. 2019).
    """
    image = images[index]
    if random.random() < 0.5:
        image = image.flip(2)
    down, right = (int(v) for v in random.integers(0, 2 * SHIFT + 1, 2))
    height, width = image.shape[1:]
    wide = torch.nn.functional.pad(image[None], (SHIFT, SHIFT, SHIFT, SHIFT), mode="reflect")[0]
    image = wide[:, down : down + height, right : right + width] * float(random.uniform(*CONTRAST))
    if random.random() < 0.5:
        other = images[int(random.integers(len(images)))]
        rows, columns = (int(side * random.uniform(0.3, 0.7)) for side in (height, width))
        top, left = int(random.integers(height - rows)), int(random.integers(width - columns))
        image = image.clone()
        image[:, top : top + rows, left : left + columns] = other[:, top : top + rows, left : left + columns]
    return image


def vary_pixels(
    images: npt.NDArray[np.uint8], mean: Sequence[float], random: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], list[bool]]:
    """A batch of images as :func:`vary` varies them, on pixels; and which of them are still of one class.

    Args:
        images: uint8 [N, H, W, C].
        mean: Of each channel: what contrast leaves as it is.
        random: Decides.
    """
    made, whole = np.empty_like(images), []
    height, width = images.shape[1:3]
    middle = np.asarray(mean, np.float32)
    shift = min(SHIFT, height - 1, width - 1)
    for number, image in enumerate(images):
        if random.random() < 0.5:
            image = image[:, ::-1]
        down, right = random.integers(0, 2 * shift + 1, 2)
        wide = np.pad(image, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
        seen = wide[down : down + height, right : right + width].astype(np.float32)
        seen = (seen - middle) * np.float32(random.uniform(*CONTRAST)) + middle
        made[number] = np.clip(np.rint(seen), 0, 255)
    # Rectangles come from images as they were varied, the next one in the batch.
    donors = np.roll(made, -1, axis=0).copy()
    for number in range(len(made)):
        mixed = len(made) > 1 and random.random() < MIXED
        if mixed:
            rows, columns = (int(side * random.uniform(0.3, 0.7)) for side in (height, width))
            top, left = int(random.integers(height - rows)), int(random.integers(width - columns))
            part = np.s_[number, top : top + rows, left : left + columns]
            made[part] = donors[part]
        whole.append(not mixed)
    return made, whole
