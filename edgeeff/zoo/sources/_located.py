"""Weights that nobody brought: those of an installed wheel, and those of the Hugging Face hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgeeff.errors import MissingFileError
from edgeeff.progress import Progress
from edgeeff.zoo.spec import ModelSpec


def from_wheel(spec: ModelSpec) -> Path | None:
    """The weights file that an installed wheel carries for the network, if one does."""
    found = find_spec(spec.weights_package) if spec.weights_package else None
    for folder in (found.submodule_search_locations or []) if found else []:
        files = sorted(Path(folder).glob("models/*.pth"))
        if files:
            return files[0]
    return None


def from_hub(spec: ModelSpec, weights: str | None, progress: Progress) -> Path:
    """The folder of the network's ImageNet weights, or of the repository that ``weights`` names.

    Raises:
        MissingFileError: No repository is known for the network, or it cannot be had.
    """
    from edgeeff.zoo import hub

    if weights is None or weights == "imagenet":
        if spec.hub is None:
            raise MissingFileError(
                f"no weights for {spec.name}: nobody has published any",
                mend="pass --checkpoint FILE, a state_dict of this network",
            )
        weights = spec.hub
    return hub.fetch(weights, progress)
