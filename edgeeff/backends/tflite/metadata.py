"""TFLite metadata: labels and normalisation, as MediaPipe and the TFLite Support libraries read them.

A flatbuffer of the public metadata schema (identifier M001) is a named buffer of the model; the labels'
file is in a zip archive appended to the .tflite, so that one file carries all.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Float32Flags
from flatbuffers.table import Table

from edgeeff.backends.tflite import detector_metadata, tables
from edgeeff.detection import Detection
from edgeeff.errors import BundleError
from edgeeff.graph.lowering import Tensor
from edgeeff.onboard.camera import PLANES, Camera
from edgeeff.preprocess import CHANNELS, Preprocess

BUFFER = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"

# Numbers of the public metadata_schema.fbs. Tables are written below as tuples of their fields.
_IMAGE_PROPERTIES, _FEATURE_PROPERTIES = 2, 1  # of ContentProperties
_NORMALIZATION_OPTIONS = 1  # of ProcessUnitOptions
#: ColorSpaceType: grey, RGB, and unknown for four channels, which no reader feeds from a photo.
_COLOUR_SPACES = {1: 2, 3: 1, 4: 0}
_TENSOR_AXIS_LABELS = 2  # of AssociatedFileType
_SCHEMA_VERSION = "1.0.0"  # each field used here was there from the beginning


@dataclass(frozen=True)
class Metadata:
    """What a reader of the file finds.

    Args:
        name: The network's name.
        mean: Per channel or one for all, on pixels of 0…255.
        std: The same.
        labels: One for each class, none if the file carries none.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...]


def normalization(source: Tensor, preprocess: Preprocess) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std that a client applies before it quantises pixels with the input tensor's own scale.

    An integer input takes raw pixels, so there the two undo each other.
    """
    if source.quantization is None:
        return preprocess.mean[:1], preprocess.std[:1]  # one for all channels: MediaPipe takes no others
    zero_point = int(source.quantization.zero_point[0]) + (128 if source.type == "int8" else 0)
    return (float(zero_point),), (1 / float(source.quantization.scale[0]),)


def build(
    name: str,
    labels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    channels: int = 3,
    probabilities: bool = False,
    features: Sequence[str] = (),
    detection: Detection | None = None,
    camera: Camera | None = None,
) -> bytes:
    """The metadata flatbuffer.

    Args:
        name: The network's name.
        labels: One for each class, or none.
        mean: Per channel, on pixels of 0…255.
        std: The same.
        channels: Of the image.
        probabilities: Whether the output is a softmax.
        features: Names of the outputs where they are features and no scores.
        detection: Of a detector.
        camera: Of an artifact that takes a camera's frames. Readers know images of RGB alone: of BGR they are
            told no colours, and of planes that they are none.
    """
    images = _images(mean, std, channels, camera)
    scores = (
        "probability" if probabilities else "logit",
        "Probability of each class" if probabilities else "Logit of each class",
        None,
        (_FEATURE_PROPERTIES, ()),
        None,
        None,
        [(LABELS_FILE, "Labels of the classes", _TENSOR_AXIS_LABELS)] if labels else None,
    )
    outputs: list[Any] = [
        (name, "Features", None, (_FEATURE_PROPERTIES, ()), None, None, None) for name in features
    ]
    more: tuple[Any, ...] = ()
    if detection is not None:
        outputs = detector_metadata.outputs(detection, labels, LABELS_FILE)
        groups, custom = (
            detector_metadata.groups(detection),
            detector_metadata.section(detection, len(labels)),
        )
        more = (None, None, None, None, groups, custom)
    subgraph = (None, None, images, outputs or [scores], *more)
    return tables.written((name, None, None, [subgraph], None, None, None, _SCHEMA_VERSION), b"M001")


def _images(mean: Sequence[float], std: Sequence[float], channels: int, camera: Camera | None) -> list[Any]:
    """What readers are told of the inputs."""
    if camera is not None and camera.planar:
        return [
            (name, f"Plane {name.upper()} of NV12", None, (_FEATURE_PROPERTIES, ()), None, None)
            for name in PLANES
        ]
    turned = camera is not None and camera.colours == "bgr"
    image = (
        "image",
        f"{'BGR' if turned else CHANNELS[channels]} image",
        None,
        (_IMAGE_PROPERTIES, (0 if turned else _COLOUR_SPACES[channels],)),
        [(_NORMALIZATION_OPTIONS, ([*map(float, mean)], [*map(float, std)]))],
        None,
    )
    return [image]


def append_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """The model with its labels in a zip archive behind it; without labels, the model."""
    if not labels:
        return model
    content = io.BytesIO()
    content.write(model)
    # A fixed date, system and mode: the same labels give the same bytes everywhere.
    entry = zipfile.ZipInfo(LABELS_FILE, (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, labels_text(labels))
    return content.getvalue()


def labels_text(labels: Sequence[str]) -> bytes:
    """One label a line."""
    return "".join(f"{label}\n" for label in labels).encode()


def read(content: bytes) -> Metadata:
    """Read the metadata of a .tflite file.

    Raises:
        BundleError: The file has no metadata, or they are damaged.
    """
    try:
        model = schema.Model.GetRootAs(content)
        entries = [model.Metadata(i) for i in range(model.MetadataLength())]
        data = next(
            bytes(model.Buffers(e.Buffer()).DataAsNumpy()) for e in entries if e.Name() == BUFFER.encode()
        )
        root = Table(data, struct.unpack_from("<I", data)[0])
        subgraph = _tables(root, 3)[0]
        image, outputs = _tables(subgraph, 2)[0], _tables(subgraph, 3)
        normalize = _child(_tables(image, 4)[0], 1)
        labels: tuple[str, ...] = ()
        for named in (output for output in outputs if output.Offset(_slot(6))):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                name = _text(_tables(named, 6)[0], 0)
                labels = tuple(archive.read(name).decode().removesuffix("\n").split("\n"))
        return Metadata(_text(root, 0), _floats(normalize, 0), _floats(normalize, 1), labels)
    except (
        StopIteration,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise BundleError(
            f"the .tflite file's metadata cannot be read ({type(error).__name__})",
            mend="build the bundle again",
        ) from None


def _slot(field: int) -> int:
    return 4 + 2 * field


def _offset(table: Table, field: int) -> int:
    offset = table.Offset(_slot(field))
    if not offset:
        raise KeyError(field)
    return int(offset)


def _child(table: Table, field: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Pos + _offset(table, field)))


def _tables(table: Table, field: int) -> list[Table]:
    offset = _offset(table, field)
    start = table.Vector(offset)
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(offset))]


def _text(table: Table, field: int) -> str:
    return bytes(table.String(table.Pos + _offset(table, field))).decode()


def _floats(table: Table, field: int) -> tuple[float, ...]:
    return tuple(map(float, table.GetVectorAsNumpy(Float32Flags, _offset(table, field))))
