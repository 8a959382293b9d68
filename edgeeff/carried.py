"""Variants of a bundle's graph that it carries beside its own, for its device to choose among.

Only a device knows which of them is the fastest: ``build_engine.py --autotune`` asks it, and
``import-result`` makes of the answer a tuning that later builds take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Slug = Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class _CarriedFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    name: _Name
    slug: _Slug
    fidelity: dict[str, Any]


class CarryingFile(BaseModel):
    """As a manifest holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    tuned: Annotated[str, Field(min_length=1, max_length=200)]
    own: _Name
    fidelity: dict[str, Any]
    variants: Annotated[list[_CarriedFile], Field(min_length=1, max_length=100)]


@dataclass(frozen=True)
class Carried:
    """One variant.

    Args:
        name: What a tuning calls it.
        slug: The same as a part of file names: ``model.qdq.<slug>.onnx``, ``golden/variants/<slug>/``.
        fidelity: Its hub graph against the float graph on held-out images, in onnxruntime:
            :meth:`edgeeff.harness.verify.Verification.to_json`.
    """

    name: str
    slug: str
    fidelity: Mapping[str, Any]


@dataclass(frozen=True)
class Carrying:
    """All that a bundle carries.

    Args:
        tuned: What a tuning calls the target and the kind of network: ``jetson-int8/unbounded``.
        own: What it calls the bundle's own graph.
        fidelity: Of that graph, measured likewise.
        variants: The others.
    """

    tuned: str
    own: str
    fidelity: Mapping[str, Any]
    variants: tuple[Carried, ...]

    def to_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        return {**vars(self), "variants": [vars(variant) for variant in self.variants]}

    @classmethod
    def from_file(cls, content: CarryingFile | None) -> Carrying | None:
        """The reverse of :meth:`to_json`, of what was checked.

        Raises:
            ValueError: Two variants have one name.
        """
        if content is None:
            return None
        variants = tuple(Carried(v.name, v.slug, v.fidelity) for v in content.variants)
        names = [content.own, *(v.name for v in variants)]
        if len({*names}) < len(names) or len({v.slug for v in variants}) < len(variants):
            raise ValueError(f"variants of one name: {', '.join(names)}")
        return cls(content.tuned, content.own, content.fidelity, variants)


def slug_of(name: str) -> str:
    """A variant's name as a part of a file's: ``stem and depthwise fp16`` is ``stem-and-depthwise-fp16``."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
