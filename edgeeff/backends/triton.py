"""``config.pbtxt`` of NVIDIA's Triton Inference Server, in protobuf's text format.

The fields are those of Triton's ``model_config.proto``. With ``max_batch_size`` 0 the dimensions are whole,
with the number of images among them (-1: the request says how many). Another number wants a graph that leaves
its first dimension open: Triton then adds that dimension itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeeff.errors import BundleError

LABELS = "labels.txt"


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, Triton's data type, its dimensions as ``max_batch_size`` wants them."""

    name: str
    data_type: str
    dims: Sequence[int]


@dataclass(frozen=True)
class Model:
    """What a ``config.pbtxt`` says.

    Args:
        name: Of the model, and so of its folder.
        by: What loads it: ``platform`` or ``backend``, and its name.
        kind: Where it runs.
        inputs: By their names in the artifact.
        outputs: By their names in the artifact.
        labels: Whether a file of labels lies beside it, a class a line of each output.
        most: ``max_batch_size``.
        parameters: The backend's own settings.
        end: Lines behind the rest.
    """

    name: str
    by: tuple[Literal["platform", "backend"], str]
    kind: Literal["GPU", "CPU"]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    labels: bool = False
    most: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    end: str = ""


def config(model: Model, heading: Sequence[str]) -> str:
    """The text of the file; ``heading`` stands before it as a comment."""
    labels = f'    label_filename: "{LABELS}"\n' if model.labels else ""
    return (
        "".join(f"# {line}".rstrip() + "\n" for line in heading)
        + f"""
name: {quoted(model.name)}
{model.by[0]}: {quoted(model.by[1])}
max_batch_size: {model.most}
input [
{_tensors(model.inputs)}
]
output [
{_tensors(model.outputs, labels)}
]
instance_group [
  {{
    count: 1
    kind: KIND_{model.kind}
  }}
]
"""
        + "".join(
            f"parameters {{\n  key: {quoted(key)}\n  value {{ string_value: {quoted(value)} }}\n}}\n"
            for key, value in model.parameters.items()
        )
        + model.end
    )


def _tensors(tensors: Sequence[Tensor], more: str = "") -> str:
    return ",\n".join(
        f"""  {{
    name: {quoted(tensor.name)}
    data_type: {tensor.data_type}
    dims: [ {", ".join(map(str, tensor.dims))} ]
{more}  }}"""
        for tensor in tensors
    )


def labels_text(labels: Sequence[str]) -> str:
    """The file of labels: a class a line."""
    return "".join(f"{' '.join(label.split())}\n" for label in labels)


def quoted(text: str) -> str:
    r"""As protobuf's text format wants a string: quotes, backslashes and control characters escaped."""
    octal = "".join(f"\\{ord(c):03o}" if ord(c) < 32 or c in '"\\\x7f' else c for c in text)
    return f'"{octal}"'


@dataclass(frozen=True)
class Served:
    """What a runtime's ``serve`` gives.

    Args:
        files: By their names below the model's folder: a text, or a file of the bundle that is copied.
        warnings: What of the bundle the server cannot be told, a sentence each.
    """

    files: Mapping[str, Path | bytes]
    warnings: tuple[str, ...] = ()


def not_whole(folder: Path, what: str) -> BundleError:
    """The error of a bundle that cannot be served as it is."""
    return BundleError(f"{folder} {what}", mend="build it again with this version of edgeeff")
