"""What is said of the images of a build."""

from __future__ import annotations


def photos_line(count: int) -> str:
    """What a float build says that no images were passed to."""
    return (
        f"verify   on {count} photos of installed packages, since no images were passed (--validation FILES)"
    )
