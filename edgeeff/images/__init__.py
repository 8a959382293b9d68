"""Where images come from: one photo, a folder, a list file or an .npz; decoding and batching.

A folder whose photos lie in subfolders is labelled by them (sorted names are classes 0, 1, …). A list file
has one path a line, with the class index after it if there is one. An .npz holds ``images`` uint8
[N, H, W, 3] and, if it is labelled, ``labels`` [N].
"""

from __future__ import annotations

from edgeeff.images.decoding import SUFFIXES, decode
from edgeeff.images.image_set import ImageSet
from edgeeff.images.opening import open_images
from edgeeff.images.picture import UNLABELLED, Picture, with_crops

__all__ = ["SUFFIXES", "UNLABELLED", "ImageSet", "Picture", "decode", "open_images", "with_crops"]
