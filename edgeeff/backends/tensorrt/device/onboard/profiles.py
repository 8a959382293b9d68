"""How many images a run of an engine takes: fixed by the graph, or a range that the builder is given.

A bundle whose graphs leave it open holds ``profile.json``: the input's name, its dimensions for one image,
and the least, the best and the greatest number of images, for which TensorRT chooses its kernels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from . import recipes
from .sealed import RefusedError

FILE = "profile.json"


class Profile(NamedTuple):
    """The numbers of images that an engine is built for.

    Args:
        input: The input's name.
        image: Its dimensions for one image.
        least, best, most: Images in a run; the kernels are chosen for ``best``.
    """

    input: str
    image: tuple[int, ...]
    least: int
    best: int
    most: int

    @property
    def images(self) -> tuple[int, int, int]:
        """Least, best and greatest number."""
        return self.least, self.best, self.most

    def shapes(self) -> list[str]:
        """For trtexec."""
        return recipes.shapes(self.input, self.image, self.images)

    def text(self) -> str:
        """The content of ``profile.json``."""
        return json.dumps(self._asdict(), indent=2, sort_keys=True) + "\n"


def read(folder: Path, files: Any, asked: str | None = None) -> Profile | None:
    """The bundle's profile, or the one ``asked`` for as ``MIN,OPT,MAX``; None of a fixed number of images."""
    if not isinstance(files, dict) or FILE not in files:
        if asked:
            raise RefusedError(
                "--profile: this bundle's graphs take a fixed number of images; build it with --batch dynamic"
            )
        return None
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        profile = Profile(**{**found, "image": tuple(found["image"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{FILE} cannot be understood ({error}); copy the bundle again") from None
    if not asked:
        return profile
    try:
        least, best, most = (int(part) for part in asked.split(","))
    except ValueError:
        raise RefusedError(f"--profile {asked}: write three numbers such as 1,4,8") from None
    if not 1 <= least <= best <= most <= 1024:
        raise RefusedError(f"--profile {asked}: write numbers that rise, from 1 to 1024")
    return profile._replace(least=least, best=best, most=most)


def give(profile: Profile | None, builder: Any, network: Any, config: Any) -> None:
    """Tell the builder; of a network whose dimensions are all fixed there is nothing to tell."""
    if profile is None:
        return
    source = network.get_input(0)
    if source.name != profile.input or tuple(source.shape) != (-1, *profile.image):
        raise RefusedError(f"{FILE} is of {profile.input} {profile.image}, the graph takes {source.name}")
    chosen = builder.create_optimization_profile()
    chosen.set_shape(source.name, *((images, *profile.image) for images in profile.images))
    if config.add_optimization_profile(chosen) < 0:
        raise RefusedError(f"TensorRT does not take the profile {profile.images}")
