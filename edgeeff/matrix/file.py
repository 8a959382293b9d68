"""``matrix.toml``: which models are built for which targets, and what is measured of them where.

Paths in the file are relative to it. What does not exist is refused before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from edgeeff import regular, text, written
from edgeeff.devices import refuse_malformed
from edgeeff.devices.file import look_up
from edgeeff.errors import EdgeeffError, MatrixError
from edgeeff.pipeline.request.declaring import nearest
from edgeeff.pipeline.request.parts import options
from edgeeff.target import TARGETS, load_target

SCHEMA = 1
DOCUMENT = "docs/matrix.md"
#: This machine, as a device.
LOCAL = "local"
Measurement = Literal["eval", "bench"]
#: Cells that a matrix may have.
MOST = 100_000
#: Options of a build that are the matrix's to say.
_OWN = ("targets", "output", "name")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _a_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError("a name is of letters, digits, dots, dashes and underscores")
    return value


def _a_path(value: str) -> str:
    if "\0" in value or not value:
        raise ValueError("no file can have such a name")
    return value


def _once(values: list[str]) -> list[str]:
    if twice := {value for value in values if values.count(value) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))} stands there twice")
    return values


Name = Annotated[str, AfterValidator(_a_name)]
PathText = Annotated[str, Field(max_length=4096), AfterValidator(_a_path)]
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=500)]],
    BeforeValidator(_listed),
    AfterValidator(_once),
    Field(min_length=1),
]
Measurements = Annotated[list[Measurement], BeforeValidator(_listed), AfterValidator(_once)]
Pattern = Annotated[str, Field(min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Eval(_Strict):
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    white: Annotated[float, Field(gt=0)] | None = None


class _Bench(_Strict):
    launches: Annotated[int, Field(ge=1, le=1000)] = 10
    seconds: Annotated[float, Field(ge=0.05, le=600)] = 0.6
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    runs: Annotated[int, Field(ge=1, le=1000)] = 1
    timeout: Annotated[float, Field(gt=0)] | None = None


class _Exclude(_Strict):
    model: Pattern = "*"
    target: Pattern = "*"
    device: Pattern | None = None
    measure: Pattern | None = None


class _Model(BaseModel):
    """Beside these any option of a build, by the name that docs/options.md has."""

    model_config = ConfigDict(extra="allow", strict=True)
    name: Name
    targets: Names | None = None
    images: PathText | None = None


class _File(_Strict):
    schema_: int = Field(alias="schema")
    name: Name | None = None
    results: PathText = "results"
    targets: Names
    devices: Names = [LOCAL]
    measure: Measurements = ["eval", "bench"]
    calibration: PathText | None = None
    images: PathText | None = None
    reference: Pattern | None = None
    shards: int = Field(1, ge=1, le=10_000)
    eval: _Eval = _Eval()
    bench: _Bench = _Bench()
    exclude: list[_Exclude] = []
    model: list[_Model] = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True)
class Evaluation:
    """How bundles are judged; the fields are the options of ``edgeeff eval``."""

    threads: int = 1
    threshold: float | None = None
    white: float | None = None


@dataclass(frozen=True)
class Bench:
    """How bundles are timed; the fields are the options of ``edgeeff bench``, and how often it is done."""

    launches: int = 10
    seconds: float = 0.6
    threads: int = 1
    runs: int = 1
    timeout: float | None = None


@dataclass(frozen=True)
class Model:
    """One network.

    Args:
        name: Of its bundles.
        options: Of its build, by their names, as ``edgeeff.toml`` has them; paths are absolute.
        targets: What it is built for: names, or paths of TOML files.
        images: What its bundles are judged on; None: they are not.
    """

    name: str
    options: Mapping[str, Any]
    targets: tuple[str, ...]
    images: Path | None


@dataclass(frozen=True)
class Exclude:
    """Cells that are left out: patterns of their axes. Without ``device`` and ``measure`` the build too."""

    model: str
    target: str
    device: str | None
    measure: str | None

    def holds(self, model: str, target: str, measure: str, device: str) -> bool:
        """Whether a cell is left out."""
        if not (fnmatchcase(model, self.model) and fnmatchcase(target, self.target)):
            return False
        if measure == "build":
            return self.device is None and self.measure is None
        return fnmatchcase(device, self.device or "*") and fnmatchcase(measure, self.measure or "*")


@dataclass(frozen=True)
class Matrix:
    """A matrix, read and resolved.

    Args:
        path: Its file.
        name: What reports call it.
        results: The folder of its results.
        models: In the order of the file.
        devices: Addresses.
        measure: What is measured, beside the build.
        reference: The target whose bundle of the same model others are held against; None: none is.
        shards: In how many parts images are judged.
        evaluation: How.
        bench: How bundles are timed.
        excludes: What is left out.
    """

    path: Path
    name: str
    results: Path
    models: tuple[Model, ...]
    devices: tuple[str, ...]
    measure: tuple[Measurement, ...]
    reference: str | None
    shards: int
    evaluation: Evaluation
    bench: Bench
    excludes: tuple[Exclude, ...]

    def excluded(self, model: str, target: str, measure: str, device: str = LOCAL) -> bool:
        """Whether a cell is left out."""
        return any(one.holds(model, target, measure, device) for one in self.excludes)


def load(path: Path) -> Matrix:
    """Read a matrix.

    Raises:
        MatrixError: It cannot be understood, names what is not there, or has a cell twice or none at all.
    """
    said = written.read(path, _File, MatrixError, SCHEMA, DOCUMENT)
    places = _Places(path, text.read(path, MatrixError, written.LARGEST))
    folder = path.parent.absolute()
    models = tuple(_model(said, one, number, folder, places) for number, one in enumerate(said.model))
    seen: dict[str, int] = {}
    for number, one in enumerate(models):
        if one.name in seen:
            raise places.refusal(
                ["model", number, "name"],
                f"model {seen[one.name] + 1} is called {one.name} too",
                "give each its own name",
            )
        seen[one.name] = number
    for number, device in enumerate(said.devices):
        if device != LOCAL:
            places.checked(
                ["devices", number], partial(refuse_malformed if ":" in device else look_up, device)
            )
    found = Matrix(
        path=path,
        name=said.name or path.stem,
        results=folder / said.results,
        models=models,
        devices=tuple(said.devices),
        measure=tuple(said.measure),
        reference=None if said.reference is None else _target(said.reference, folder),
        shards=said.shards,
        evaluation=Evaluation(**vars(said.eval)),
        bench=Bench(**vars(said.bench)),
        excludes=tuple(Exclude(**vars(one)) for one in said.exclude),
    )
    _refuse_idle(found, said, places)
    return found


@dataclass(frozen=True)
class _Places:
    """Where a file says what."""

    path: Path
    content: str

    def refusal(self, where: Sequence[str | int], what: str, mend: str) -> MatrixError:
        """An error with the line of a key, and the key."""
        number = written.line(self.content, where)
        line = "" if number is None else f" line {number}"
        return MatrixError(f"{self.path}{line}: {written.named(where)}: {what}", mend=mend)

    def checked(self, where: Sequence[str | int], check: Any) -> Any:
        """What a check gives; its error gets the place."""
        try:
            return check()
        except EdgeeffError as error:
            raise self.refusal(where, error.what, error.mend) from None


def _model(said: _File, model: _Model, number: int, folder: Path, places: _Places) -> Model:
    """One network: every option of its build is checked here, before any is built."""
    known = {one.name: one for one in options() if one.name not in _OWN}
    found: dict[str, Any] = {}
    extra = dict(model.__pydantic_extra__ or {})
    if said.calibration is not None:
        extra.setdefault("calibration", said.calibration)
    for key, value in extra.items():
        where: list[str | int] = ["model", number, key]
        name = key.replace("-", "_")
        if name in _OWN:
            raise places.refusal(where, "the matrix says it for all models", "take it out of the model")
        if name not in known or name in found:
            what = "it stands there already" if name in known else "there is no such option of a build"
            raise places.refusal(
                where, what, nearest(name, known) or "docs/options.md lists the options of a build"
            )
        option = known[name]
        try:
            TypeAdapter(option.kind.toml).validate_python(value, strict=True)
        except ValidationError:
            raise places.refusal(where, f"{value!r:.80}", f"write {option.kind.wants}") from None
        places.checked(where, lambda option=option, value=value: option.read(value))
        found[name] = option.kind.beside(value, folder)
    if "calibration" not in found:
        raise places.refusal(
            ["model", number],
            "nothing says which images calibrate: those of installed packages are no input of a matrix",
            "write calibration, for all models or for this one",
        )
    images = model.images or said.images
    for key in ("calibration", "validation", "checkpoint"):
        path = str(found.get(key, "")).partition("::")[0]
        if path and key != "checkpoint" and not regular.exists(Path(path)):
            where = ["model", number, key] if key in (model.__pydantic_extra__ or {}) else [key]
            raise places.refusal(where, f"there is no {path}", "correct the path")
    if images is not None and not regular.exists(folder / images):
        where = ["images"] if model.images is None else ["model", number, "images"]
        raise places.refusal(where, f"there is no {folder / images}", "correct the path")
    named = model.targets or said.targets
    where = ["targets"] if model.targets is None else ["model", number, "targets"]
    targets = tuple(_target(name, folder) for name in named)
    labels: list[str] = []
    for place, target in enumerate(targets):
        labels.append(places.checked([*where, place], lambda target=target: label(target)))
        if labels[-1] in labels[:-1]:
            raise places.refusal([*where, place], f"two targets are called {labels[-1]}", "keep one of them")
    return Model(model.name, found, targets, None if images is None else folder / images)


def _target(said: str, folder: Path) -> str:
    """A target's name, or the path of its file as seen from here."""
    return str(folder / said) if said.endswith(".toml") and said not in TARGETS.paths() else said


def _refuse_idle(matrix: Matrix, said: _File, places: _Places) -> None:
    """Refuse what somebody wrote and what would do nothing."""
    asked = "eval" in matrix.measure and "measure" in said.model_fields_set
    if asked and all(model.images is None for model in matrix.models):
        raise places.refusal(["measure"], "eval, and there are no images to judge on", "name images")
    if matrix.reference is not None:
        for model in matrix.models:
            if matrix.reference not in model.targets:
                raise places.refusal(
                    ["reference"],
                    f"{matrix.reference} is no target of {model.name}, so there is no such bundle",
                    f"add it to targets; those are {', '.join(model.targets)}",
                )
    for number, one in enumerate(matrix.excludes):
        if not any(
            one.holds(model.name, label(target), measure, device)
            for model in matrix.models
            for target in model.targets
            for measure in ("build", *matrix.measure)
            for device in matrix.devices
        ):
            raise places.refusal(
                ["exclude", number], "it leaves no cell out", "correct its patterns, or take it away"
            )


@cache
def label(target: str) -> str:
    """What a target is called in cells: its name, whether it is one of ours or a file's."""
    return load_target(target).name
