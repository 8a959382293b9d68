"""A bundle's ``plan.json``: which layers were to be INT8, and the scales that they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from edgeeff import regular, text, toml
from edgeeff.errors import BundleError

NAME = "plan.json"


class _Activation(BaseModel):
    scale: float
    zero_point: int
    type: str


class _Layer(BaseModel):
    precision: str
    scale: list[float] = Field(default_factory=list)


class _Plan(BaseModel):
    activations: dict[str, _Activation] = Field(default_factory=dict)
    layers: dict[str, _Layer] = Field(default_factory=dict)


def read(folder: Path) -> dict[str, Any]:
    """The content of a bundle's plan, or nothing where it has none.

    Raises:
        BundleError: The file cannot be read, or is no plan.
    """
    path = folder / NAME
    if not regular.exists(path):
        return {}
    content = text.read_json(path, BundleError)
    try:
        _Plan.model_validate(content)
    except ValidationError as error:
        raise BundleError(
            f"{path} is no plan of a build: {toml.first(error)}",
            mend="copy the bundle again, or build it again",
        ) from None
    return dict(content)
