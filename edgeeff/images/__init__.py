"""Where images come from: one photo, a folder, a list file or an .npz; decoding and batching.

A folder whose photos lie in subfolders is labelled by them, a list file by what follows each path: by the
network's labels, or by numbers from 0 (:mod:`edgeeff.images.classes`). An .npz holds ``images`` uint8
[N, H, W, 3] and, if it is labelled, ``labels`` [N].
"""

from __future__ import annotations

from edgeeff.images.classes import Labelling
from edgeeff.images.decoding import decode
from edgeeff.images.image_set import ImageSet
from edgeeff.images.opening import open_images
from edgeeff.images.picture import UNLABELLED, Picture, with_crops
from edgeeff.images.suffixes import SUFFIXES

__all__ = [
    "SUFFIXES",
    "UNLABELLED",
    "ImageSet",
    "Labelling",
    "Picture",
    "decode",
    "open_images",
    "with_crops",
]
