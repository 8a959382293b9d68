"""Masks as a segmenter learns them: photos and masks opened, seen anew together, and how far off it is."""
