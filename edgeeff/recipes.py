"""Recipes: which images, how many, which seed, as TOML.

A recipe names its photos by folder, or by the installed package that carries them, and may fill up its
count with seeded crops. Recipes of this project lie in ``calibration/``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path, PurePath

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeeff import patterns, toml
from edgeeff.errors import CalibrationError, OptionError
from edgeeff.images import ImageSet, Labelling, Picture, datasets, open_images, with_crops
from edgeeff.images.suffixes import is_readable
from edgeeff.installing import install_line
from edgeeff.target import resources

_INSTALLED = ("site-packages", "dist-packages")  # where installers put packages
#: Splits of a data set that calibrate, and those that bundles are judged by, by preference.
CALIBRATING, JUDGING = ("train", "training"), ("val", "valid", "validation", "test")


class Source(BaseModel):
    """Photos of one folder (relative to the recipe) or of one installed package.

    ``label`` is a regular expression whose first group, found in a file's name, is its class.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    path: str | None = None
    package: str | None = None
    pattern: list[str] = Field(default_factory=list)
    label: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.package is None):
            raise ValueError("a source has either a path or a package")
        if self.package == "":
            raise ValueError("a package has a name")
        if any(not p or PurePath(p).is_absolute() for p in self.pattern):
            raise ValueError("a pattern is relative to its source's folder, and not empty")
        if any(".." in PurePath(p).parts or "\0" in p for p in self.pattern) or "\0" in (self.path or ""):
            raise ValueError("a pattern stays in its source's folder, and no path holds a NUL character")
        if self.label is not None and patterns.groups(self.label) < 1:
            raise ValueError(f"label {self.label!r} has no group that is the class")
        return self


class Recipe(BaseModel):
    """A recipe file's content. Without ``count`` every photo is taken; ``crops`` fill up to it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    summary: str = ""
    count: int | None = Field(default=None, gt=0, le=10_000_000)
    seed: int = Field(default=0, ge=0)
    crops: bool = False
    source: list[Source] = Field(min_length=1)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        CalibrationError: There is no such file, or it cannot be understood.
    """
    fields = (
        f"a recipe's fields are {', '.join(Recipe.model_fields)}; "
        f"those of a source {', '.join(Source.model_fields)}"
    )
    return toml.read(path, Recipe, CalibrationError, fields=fields)


def bundled_recipe(name: str) -> Path:
    """The path of a recipe that this project ships."""
    return resources("calibration") / f"{name}.toml"


def recipe_photos(path: Path) -> tuple[Recipe, ImageSet]:
    """A recipe, and the photos that its sources name and this machine has.

    Raises:
        CalibrationError: None of its photos is here.
    """
    recipe = read_recipe(path)
    pictures: list[Picture] = []
    labelling = Labelling()
    warnings: list[str] = []
    notes: list[str] = []
    for source in recipe.source:
        folder = _folder(source, path.parent)
        if folder is None:
            warnings.append(f"{path.name}: package {source.package} is not installed; its photos are missing")
            continue
        if source.pattern:
            found, passed = _matching(source.pattern, folder, path)
            warnings += passed
        else:
            opened = open_images(folder)
            # Boxes of several sets would have several sets of classes; a recipe is for photos.
            found = [replace(picture, boxes=None) for picture in opened.pictures]
            labelling = labelling.with_other(opened.labelling)
            warnings += opened.warnings
            notes += opened.notes
        pictures += [_labelled(p, source.label) for p in found] if source.label else found
    if again := len(pictures) - len({(p.path, p.index) for p in pictures}):
        warnings.append(
            f"{path.name}: {again} of {len(pictures)} photos are those of another source; they count twice"
        )
    if not pictures:
        wanted = ", ".join(str(s.package or s.path) for s in recipe.source)
        raise CalibrationError(
            f"none of the photos of {path.name} is on this machine ({wanted})",
            mend=f"pass your own images with --calibration FOLDER, or {install_line('demo')}",
        )
    left = {p.class_name for p in pictures}  # a source's label goes before its subfolders
    labelling = replace(labelling, names=tuple(name for name in labelling.names if name in left))
    return recipe, ImageSet(
        tuple(pictures), labelling=labelling, warnings=tuple(warnings), notes=tuple(notes)
    )


def open_source(
    source: Path | str,
    *,
    count: int | None = None,
    seed: int | None = None,
    splits: Sequence[str] = (),
    root: Path | None = None,
    clips: Collection[str] = (),
) -> ImageSet:
    """Images of a recipe, or of anything that :func:`edgeeff.images.open_images` opens.

    Args:
        source: A recipe ends in ``.toml``.
        count: How many; a recipe has its own. More than there are: all of them, unless crops fill up.
        seed: Of the choice and the crops.
        splits: Which of a data set's are meant, where a .yaml describes it, by preference.
        root: The folder of the photos that a set with boxes names; None: where such sets usually have them.
        clips: Suffixes of videos that are taken from a folder, too, as ``clips`` of the set.

    Raises:
        OptionError: A .yaml, where nobody says which split is meant.
    """
    path = Path(source)
    if root is not None and path.suffix.lower() in (*datasets.SUFFIXES, ".toml"):
        raise OptionError(f"{path} says itself where its photos lie", mend="leave out --root")
    if path.suffix.lower() in datasets.SUFFIXES:
        if not splits:
            raise OptionError(
                f"{path} describes a data set of several splits",
                mend="pass the folder of one split",
            )
        photos = datasets.read(path, splits)
        return replace(photos, pictures=tuple(choose(photos.pictures, count, seed or 0)))
    if path.suffix == ".toml":
        recipe, photos = recipe_photos(path)
        wanted = recipe.count if count is None else count
        chosen = choose(photos.pictures, wanted, recipe.seed if seed is None else seed, recipe.crops)
    else:
        photos = open_images(path, root, clips)
        chosen = choose(photos.pictures, count, seed or 0)
    return replace(photos, pictures=tuple(chosen))


def open_to_judge(source: ImageSet | Path | str, root: Path | None = None) -> ImageSet:
    """Images that bundles are judged by, of what :func:`open_source` opens; of a data set those of its split
    ``val`` (``valid``, ``validation``), else ``test``.
    """
    return source if isinstance(source, ImageSet) else open_source(source, splits=JUDGING, root=root)


def choose(
    pictures: list[Picture] | tuple[Picture, ...], count: int | None, seed: int, crops: bool = False
) -> list[Picture]:
    """A seeded choice of pictures in their own order, filled up with seeded crops if there are too few.

    Raises:
        OptionError: The count is not positive, or the seed is negative.
    """
    if seed < 0 or (count is not None and count < 1):
        raise OptionError(
            f"{count} images with seed {seed}", mend="choose one image or more, and a seed from 0 up"
        )
    if count is None or (count >= len(pictures) and not crops):
        return list(pictures)
    if count >= len(pictures):
        return [*pictures, *with_crops(pictures, count - len(pictures), seed)]
    picked = np.random.default_rng(seed).choice(len(pictures), count, replace=False)
    return [pictures[i] for i in sorted(picked)]


def _folder(source: Source, beside: Path) -> Path | None:
    if source.path is not None:
        return beside / source.path
    return _installed(source.package or "")


def _installed(package: str) -> Path | None:
    """The folder of an installed package; nothing of it is run.

    ``importlib.util.find_spec("a.b")`` would import ``a``, and find it in the current folder first.
    """
    places: list[str] | None = [path for path in sys.path if Path(path).name in _INSTALLED]
    spec = None
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        if not part.isidentifier() or not places:
            return None
        spec = PathFinder.find_spec(name, places)
        places = list(spec.submodule_search_locations or ()) if spec is not None else None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _globbed(folder: Path, pattern: str, recipe: Path) -> list[Path]:
    """The files that a pattern matches, sorted.

    Raises:
        CalibrationError: It is no pattern of paths.
    """
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError, IndexError, OSError, RecursionError) as error:
        raise CalibrationError(
            f"{recipe}: the pattern {pattern!r:.80} cannot be used: {error}",
            mend='write a pattern such as "*.jpg" or "**/*.jpg"',
        ) from None


def _matching(patterns: Sequence[str], folder: Path, recipe: Path) -> tuple[list[Picture], list[str]]:
    """The photos that patterns match, in their order, and a warning of each pattern that matches none.

    Raises:
        CalibrationError: One is no pattern of paths.
    """
    files: list[Path] = []
    warnings = []
    for pattern in patterns:
        matched = [p for p in _globbed(folder, pattern, recipe) if not p.name.startswith(".")]
        photos = [p for p in matched if is_readable(p)]
        if len(photos) < len(matched):
            other = next(p for p in matched if not is_readable(p))
            warnings.append(
                f"{recipe.name}: skipped {len(matched) - len(photos)} files that match {pattern!r} and are "
                f"no images that this Pillow reads ({other.name})"
            )
        elif not photos:
            warnings.append(f"{recipe.name}: no file of {folder} matches {pattern!r}")
        files += photos
    return [Picture(p) for p in dict.fromkeys(files)], warnings


def _labelled(picture: Picture, pattern: str) -> Picture:
    """A picture with the class that a pattern finds in its file's name, if it finds any."""
    found = re.search(pattern, picture.path.name)
    if found is None:
        return picture
    if not (found.group(1) or "").isdecimal() or len(found.group(1)) > 15:
        raise CalibrationError(
            f"label {pattern!r} finds {found.group(1)!r} in {picture.path.name}, which is no class index",
            mend="let the first group of the recipe's label match the digits",
        )
    return replace(picture, label=int(found.group(1)), class_name=None)
