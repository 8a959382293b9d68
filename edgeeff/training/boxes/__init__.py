"""Boxes as a detector learns them: which anchors they are for, how far off it is, and photos seen anew."""
