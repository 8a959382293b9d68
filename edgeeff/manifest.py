"""``manifest.json``: what a bundle is, as a build writes it and a device reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeeff import regular, tasks, toml
from edgeeff.batch import ONE, Batch
from edgeeff.carried import Carrying, CarryingFile
from edgeeff.detection import Detection
from edgeeff.errors import BundleError, OptionError
from edgeeff.plugins import not_installed
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType, Precision
from edgeeff.tasks import CLASSIFICATION, DETECTION, THRESHOLD, Meaning, Output

SCHEMA = 2
#: Read as well. Its only output has no name: ``golden/hub.npy``, and whatever the artifact calls it.
OLDEST = 1
MANIFEST = "manifest.json"
#: Bytes of the largest manifest that is read.
_LARGEST = 64 << 20


class _Version(BaseModel):
    """What every schema has."""

    model_config = ConfigDict(defer_build=True)
    schema_version: int


class _OutputFile(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=1 << 30)]], Field(min_length=2, max_length=8)]
    meaning: Literal["scores", "features", "embedding", "boxes", "detections"]
    divided: bool = False


class _ManifestFile(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)
    schema_version: int
    name: str
    model: str
    target: str
    runtime: str
    precision: Precision
    input: InputType
    softmax: bool
    cpu_class: str
    preprocess: dict[str, Any]
    labels: list[str]
    classes: int
    runtime_properties: dict[str, str]
    digests: dict[str, str]
    tools: dict[str, str]
    files: dict[str, str]
    origin: str = ""
    task: str = CLASSIFICATION
    threshold: float = THRESHOLD
    negative: str = ""
    outputs: list[_OutputFile] = []
    batch: int | Annotated[str, Field(max_length=20)] = 1
    thresholded: bool | None = None
    plugins: dict[str, Annotated[str, Field(pattern=r"^[\w.-]{1,100} [\w.+!-]{1,100}$")]] = {}
    detection: dict[str, Any] | None = None
    carrying: CarryingFile | None = None


#: Fields of a manifest's file that are read by themselves, or for scripts on a device alone.
_READ_APART = (
    *("schema_version", "preprocess", "labels", "outputs", "batch", "thresholded", "detection", "carrying"),
)
#: Fields that are written in another form, or only where there is something to say.
_WRITTEN_APART = ("preprocess", "outputs", "batch", "detection", "carrying")


@dataclass(frozen=True)
class Manifest:
    """What a bundle is, and how its images are to be prepared.

    Args:
        name: ``<model>-<target>``.
        model: The network's name in the zoo.
        target: The target's name.
        runtime: The folder of ``edgeeff.backends`` that runs it.
        precision: ``int8``, ``fp16``, ``bf16`` or ``fp32``.
        input: The artifact's input type; an integer input takes raw pixels (int8: minus 128).
        softmax: Whether the outputs are probabilities rather than logits: by softmax, or by sigmoid where
            the task is multilabel.
        cpu_class: The class of CPU that the plan was made for.
        preprocess: From a photo to the input.
        labels: The classes' names.
        classes: The number of classes.
        runtime_properties: What the runner sets, by the runtime's own names.
        digests: SHA-256 of what the bundle was made from: inputs, graph, statistics, plan.
        tools: The versions of the libraries that made it.
        files: SHA-256 of each sealed file, by its path below the bundle.
        origin: Whose network it is, with the conventions that follow and what was assumed.
        task: What the outputs mean: a file of ``edgeeff.tasks``.
        threshold: Of a label's probability, where the task has one.
        negative: What an image is called that has not the only label, if it has a name of its own.
        outputs: Those of the artifact, by its own names; none where it has one and its name is not known,
            as in a bundle of schema 1.
        batch: Images of one run.
        plugins: What of it other distributions brought, such as ``runtime``: distribution and version.
        detection: A detector's anchors, which boxes are kept and who makes them; of another network None.
        carrying: The variants of its graph that its device may choose among; None: it has none.
    """

    name: str
    model: str
    target: str
    runtime: str
    precision: Precision
    input: InputType
    softmax: bool
    cpu_class: str
    preprocess: Preprocess
    labels: tuple[str, ...]
    classes: int
    runtime_properties: Mapping[str, str]
    digests: Mapping[str, str]
    tools: Mapping[str, str]
    files: Mapping[str, str]
    origin: str = ""
    task: str = CLASSIFICATION
    threshold: float = THRESHOLD
    negative: str = ""
    outputs: tuple[Output, ...] = ()
    batch: Batch = ONE
    plugins: Mapping[str, str] = field(default_factory=dict)
    detection: Detection | None = None
    carrying: Carrying | None = None

    @property
    def absent(self) -> str:
        """What an image is called that has none of the labels."""
        if self.detection is not None:
            return "no box"
        if len(self.labels) != 1:
            return "no label"
        return self.negative or f"not {self.labels[0]}"

    @property
    def meaning(self) -> Meaning:
        """What the artifact's outputs mean."""
        return Meaning(self.task, self.threshold, self.softmax, self.detection)

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        data = {
            "schema_version": SCHEMA,
            **{k: v for k, v in vars(self).items() if k not in _WRITTEN_APART},
            "preprocess": self.preprocess.to_json(),
            "outputs": [{k: v for k, v in vars(o).items() if k != "divided" or v} for o in self.outputs],
            "batch": self.batch.to_json(),
            # Scripts on a device know no tasks, which may be a plug-in's: whether each score has a threshold.
            "thresholded": self.meaning.decides and not self.meaning.exclusive,
        }
        if self.detection is not None:
            data["detection"] = self.detection.to_json()
        if self.carrying is not None:
            data["carrying"] = self.carrying.to_json()
        return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _why(error: Exception) -> str:
    """What was wrong with a manifest, in one line."""
    if isinstance(error, ValidationError):
        return toml.first(error)
    return error.what if isinstance(error, OptionError) else str(error)


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Raises:
        BundleError: There is none, or it cannot be understood.
    """
    path = folder / MANIFEST
    if not regular.is_file(path):
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}", mend="pass a folder that `edgeeff build` wrote"
        )
    # Another build may have moved the bundle away since it was looked for.
    data = regular.read(path, BundleError, _LARGEST, "try again, or build the bundle again")
    try:
        version = _Version.model_validate_json(data).schema_version
        if version > SCHEMA:
            raise BundleError(
                f"{path} has schema {version}, this version of edgeeff reads up to {SCHEMA}",
                mend="update edgeeff",
            )
        if version < OLDEST:
            raise ValueError(f"schema {version}")
        content = _ManifestFile.model_validate_json(data)
        names = [output.name for output in content.outputs]
        if (version == OLDEST and content.outputs) or len({*names}) < len(names):
            raise ValueError(f"outputs {', '.join(names)} of schema {version}")
        preprocess = Preprocess.from_json(content.preprocess)
        if not tasks.TASKS.knows(content.task):
            if by := content.plugins.get("task"):
                raise not_installed(path, "task", content.task, by)
            raise ValueError(f"there is no task {content.task!r}")
        if not 0 < content.threshold < 1:
            raise ValueError(f"task {content.task!r} with the threshold {content.threshold}")
        batch = Batch.read(content.batch)
        if content.classes != len(content.labels):
            raise ValueError(f"{content.classes} classes and {len(content.labels)} labels")
        detection, carrying = _detection(content, preprocess), Carrying.from_file(content.carrying)
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        OverflowError,
        OptionError,
    ) as error:  # pydantic's errors are ValueErrors
        why = _why(error)
        raise BundleError(f"{path} cannot be understood: {why}", mend="build the bundle again") from None
    _refuse_outside(content, path)
    fields = content.model_dump(exclude={*_READ_APART})
    outputs = tuple(Output(o.name, tuple(o.shape), o.meaning, o.divided) for o in content.outputs)
    return Manifest(
        **fields,
        preprocess=preprocess,
        labels=tuple(content.labels),
        outputs=outputs,
        batch=batch,
        detection=detection,
        carrying=carrying,
    )


def _detection(content: _ManifestFile, preprocess: Preprocess) -> Detection | None:
    """The detector's facts, held against the rest; None of another network.

    Raises:
        ValueError: There are none, or they contradict the rest.
    """
    if (content.task == DETECTION) != (content.detection is not None):
        raise ValueError(f"task {content.task!r} {'with' if content.detection else 'without'} detection")
    if content.detection is None:
        return None
    if content.softmax:
        raise ValueError("softmax of a detector, whose scores are sigmoids")
    found = Detection.from_json(content.detection)
    found.refuse(preprocess.size, content.classes, {o.name: tuple(o.shape) for o in content.outputs})
    return found


def _refuse_outside(content: _ManifestFile, path: Path) -> None:
    if unsafe := [name for name in content.files if not _inside(name)]:
        raise BundleError(f"{path} names files outside the bundle: {', '.join(unsafe)}", mend="do not use it")


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name
