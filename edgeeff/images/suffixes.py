"""Which files are images by their names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath

from PIL import features

#: Suffixes that Pillow reads wherever it is installed.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif"),
        *(".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    }
)
#: Suffixes that it reads where it was built with the library, by the library's name.
_OPTIONAL = {
    "avif": (".avif", ".avifs"),
    "jpg_2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
}
#: Photos all the same, for other programs.
_FOREIGN = frozenset(
    {*(".heic", ".heif", ".hif", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2")}
    | {*(".psd", ".svg", ".exr", ".hdr", ".dcm")}
)
#: What people keep beside photos, and nobody takes for one.
_DOCUMENTS = frozenset(
    {*(".md", ".rst", ".txt", ".pdf", ".html", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".xml")}
    | {*(".csv", ".tsv", ".xlsx", ".py", ".ipynb", ".sh", ".log", ".names", ".sha256", ".md5")}
)
_DOCUMENT_NAMES = frozenset({"license", "licence", "readme", "notice", "copying", "checksums", "makefile"})


@lru_cache(maxsize=1)
def readable() -> frozenset[str]:
    """The suffixes of images that can be read here, lower case."""
    here = [suffix for library, names in _OPTIONAL.items() if features.check(library) for suffix in names]
    return SUFFIXES | frozenset(here)


def is_readable(name: str | PurePath) -> bool:
    """Whether a file of that name is an image that can be read here."""
    return PurePath(name).suffix.lower() in readable()


def is_image(name: str | PurePath) -> bool:
    """Whether a file of that name is an image at all."""
    suffix = PurePath(name).suffix.lower()
    return suffix in readable() or suffix in _FOREIGN or any(suffix in names for names in _OPTIONAL.values())


def is_document(name: str | PurePath) -> bool:
    """Whether a file of that name is text or data that lies beside photos."""
    path = PurePath(name)
    return path.suffix.lower() in _DOCUMENTS or path.name.lower() in _DOCUMENT_NAMES


def is_video(name: str | PurePath) -> bool:
    """Whether a file of that name is a video."""
    from edgeeff import streams  # only messages ask

    return PurePath(name).suffix.lower() in streams.SUFFIXES
