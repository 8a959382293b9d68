"""Masks: a class for each pixel, and where a network's pixels lie in a photo. numpy alone is needed."""

from __future__ import annotations

from edgeeff.segmentation.masks import Mask, Share, classes_of, void_of

__all__ = ["Mask", "Share", "classes_of", "void_of"]
