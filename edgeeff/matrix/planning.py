"""From a matrix to its units of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edgeeff.errors import EdgeeffError, MatrixError, MissingRuntimeError
from edgeeff.matrix import facts
from edgeeff.matrix.file import LOCAL, MOST, Matrix, Model, label
from edgeeff.matrix.units import Unit
from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build
from edgeeff.pipeline.resolve.targets import has_arena
from edgeeff.progress import Progress, Silent
from edgeeff.target import load_target


@dataclass(frozen=True)
class Broken:
    """A cell that cannot be planned, and why: the others go on."""

    name: str
    kind: str
    what: str
    mend: str


@dataclass(frozen=True)
class Plan:
    """What is to be there in the end.

    Args:
        units: All of them, each after those that it needs. A shard is no end in itself.
        broken: Cells that are not.
    """

    units: tuple[Unit, ...]
    broken: tuple[Broken, ...]

    def by_key(self) -> dict[str, Unit]:
        """The units by their keys."""
        return {unit.key: unit for unit in self.units}


@dataclass
class _Looked:
    """What was found out of images, once for each set."""

    computing: Mapping[str, Any]
    images: dict[Path, tuple[dict[str, Any], list[str]]] = field(default_factory=dict)
    #: The sets of which no image has a label, and the references that so have nothing to be judged by.
    bare: set[Path] = field(default_factory=set)
    not_judged: dict[str, None] = field(default_factory=dict)


def plan(
    matrix: Matrix,
    computing: Mapping[str, Any],
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> Plan:
    """All units of a matrix.

    Units of a board lack its environment, which decides their keys: :func:`on_board` adds it.

    Args:
        matrix: The matrix.
        computing: What of the machines that evaluate decides about results (:func:`facts.computing`).
        only: Patterns of cells' names, ``lite0/cpu-*`` or ``*/eval@local``; none: all. What a cell needs is
            done too.
        progress: Told of what is looked at.

    Raises:
        MatrixError: No cell is left, or there are too many.
        MissingRuntimeError: What builds is not installed.
    """
    if absent := missing_for_build():
        raise MissingRuntimeError(
            f"building needs {', '.join(absent)}: not installed", mend=f"install it: {INSTALL_BUILD_WING}"
        )
    heard = progress or Silent()
    heard.stage(f"looking at what {len(matrix.models)} models are made from")
    looked = _Looked(computing)
    units: list[Unit] = []
    broken: list[Broken] = []
    for model in matrix.models:
        _of_model(matrix, model, looked, units, broken)
        if len(units) > MOST:
            raise MatrixError(f"{matrix.path} has more than {MOST} cells", mend="split it")
    if looked.not_judged:
        heard.tell(
            f"{', '.join(looked.not_judged)} left out: the images bear no labels, "
            f"and a reference is not held against itself"
        )
    kept = _chosen(units, only)
    named = tuple(one for one in broken if not only or _matches(one.name, only))
    if not kept and not named:
        names = ", ".join(dict.fromkeys(unit.name for unit in units[:3]))
        what = f"no cell is called {', '.join(only)}" if only else "all cells are excluded"
        raise MatrixError(f"{matrix.path}: {what}", mend=f"cells are called as in {names or 'the file'}")
    return Plan(tuple(kept), named)


def _of_model(matrix: Matrix, model: Model, looked: _Looked, units: list[Unit], broken: list[Broken]) -> None:
    """The units of one model: builds, and what is measured of them.

    The first build exports the network for all, and the first in INT8 calibrates for all: others come after.
    """
    builds: dict[str, Unit] = {}
    exports: str | None = None
    calibrates: str | None = None
    order = sorted(model.targets, key=lambda target: target != matrix.reference)
    for target in order:
        called = label(target)
        if matrix.excluded(model.name, called, "build"):
            continue
        try:
            options = {"cpu_class": looked.computing["cpu_class"], **_own_options(model, target)}
            if options["cpu_class"] == "auto":
                options["cpu_class"] = looked.computing["cpu_class"]
            found = facts.of_build(options, target, model.name)
        except EdgeeffError as error:
            broken.append(
                Broken(f"{model.name}/{called}/build", type(error).__name__, error.what, error.mend)
            )
            continue
        payload = {"options": options, "target": target, "called": model.name}
        integer = load_target(target).precision == "int8"
        after = calibrates if integer and calibrates else exports
        unit = Unit("build", model.name, called, facts=found, payload=payload, after=after)
        builds[called], exports = unit, exports or unit.key
        if integer:
            calibrates = calibrates or unit.key
    units += builds.values()
    reference = builds.get(label(matrix.reference)) if matrix.reference else None
    for called, build in builds.items():
        held = reference if reference is not None and reference is not build else None
        try:
            units += _measured(matrix, model, called, build, held, looked)
        except EdgeeffError as error:
            broken.append(Broken(f"{model.name}/{called}/eval", type(error).__name__, error.what, error.mend))


def _own_options(model: Model, target: str) -> Mapping[str, Any]:
    """A model's options as they hold for one of its targets.

    An arena is that of its microcontrollers; where it has none the option stays, and is refused.
    """
    if "arena" not in model.options or has_arena(load_target(target)):
        return model.options
    if not any(has_arena(load_target(other)) for other in model.targets if other != target):
        return model.options
    return {name: value for name, value in model.options.items() if name != "arena"}


def _measured(
    matrix: Matrix, model: Model, called: str, build: Unit, reference: Unit | None, looked: _Looked
) -> list[Unit]:
    """What is measured of one bundle."""
    found: list[Unit] = []
    needs = {"bundle": build.key} | ({"reference": reference.key} if reference else {})
    for device in matrix.devices:
        if "bench" in matrix.measure and not matrix.excluded(model.name, called, "bench", device):
            how = asdict(matrix.bench)
            runs = how.pop("runs")
            for number in range(1, runs + 1):
                said = {"how": how, "device": device, "number": number}
                payload: dict[str, Any] = {"number": number} if runs > 1 else {}
                found.append(Unit("bench", model.name, called, device, said, payload, {"bundle": build.key}))
        if "eval" not in matrix.measure or model.images is None:
            continue
        if matrix.excluded(model.name, called, "eval", device):
            continue
        if model.images not in looked.images:
            images = facts.opened(str(model.images))
            looked.images[model.images] = facts.of_images(images)
            looked.bare |= {model.images} if facts.are_bare(images) else set()
        seen, blocks = looked.images[model.images]
        if model.images in looked.bare and matrix.reference and called == label(matrix.reference):
            looked.not_judged[f"{model.name}/{called}/eval"] = None
            continue
        said = {"how": asdict(matrix.evaluation), "images": seen}
        payload = {"images": str(model.images)}
        if device != LOCAL:
            found.append(Unit("eval", model.name, called, device, said | {"device": device}, payload, needs))
            continue
        said |= {"computing": dict(looked.computing)}
        parts = [
            Unit(
                "shard",
                model.name,
                called,
                facts=said | {"shard": [number, matrix.shards]},
                payload=payload | {"blocks": blocks, "number": number + 1},
                needs=needs,
            )
            for number in range(matrix.shards if matrix.shards > 1 else 0)
        ]
        whole = Unit("eval", model.name, called, "", said, payload | {"blocks": blocks}, needs)
        found += [*parts, replace(whole, parts=tuple(part.key for part in parts))]
    return found


def on_board(unit: Unit, environment: Mapping[str, Any]) -> Unit:
    """A unit of a board, whose environment is a part of what decides its result."""
    return replace(unit, facts={**unit.facts, "environment": dict(environment)})


def is_of_board(unit: Unit) -> bool:
    """Whether a board measures it: all but what is computed wherever there is a processor."""
    return bool(unit.device)


def _chosen(units: Sequence[Unit], only: Sequence[str]) -> list[Unit]:
    """The units that patterns name, with all that they need."""
    if not only:
        return list(units)
    keys = {unit.key: unit for unit in units}
    wanted: dict[str, None] = {}

    def add(unit: Unit) -> None:
        for key in (*unit.needs.values(), *unit.parts):
            add(keys[key])
        wanted[unit.key] = None

    for unit in units:
        if unit.kind != "shard" and _matches(unit.name, only):
            add(unit)
    return [unit for unit in units if unit.key in wanted]


def _matches(name: str, only: Sequence[str]) -> bool:
    """Whether a pattern holds a name, or its beginning up to a slash: ``lite0`` is all of ``lite0/…``."""
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern.rstrip('/')}/*") for pattern in only
    )
