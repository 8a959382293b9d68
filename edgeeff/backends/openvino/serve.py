"""What Triton's OpenVINO backend needs to serve a bundle: the IR as it is, and what it holds.

Read in the backend's source (``src/openvino.cc`` of triton-inference-server/openvino_backend), and tried with
it. It takes a few settings, and INFERENCE_PRECISION_HINT is not among them. Where ``max_batch_size`` is not 0
it compiles the network for just that many images; so a graph of open batch is served with dimensions of -1,
and each request says how many images it has. The bounds of such a graph it refuses, unless RESHAPE_IO_LAYERS
has it take the configuration's dimensions.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from edgeeff.backends.triton import LABELS, Model, Served, Tensor, config, labels_text, not_whole
from edgeeff.batch import ONE
from edgeeff.manifest import Manifest

_XML = "model.xml"
#: The element types of our inputs and outputs.
_TYPES = {"U8": "TYPE_UINT8", "I8": "TYPE_INT8", "FP32": "TYPE_FP32"}
#: Of the bundle's properties what the backend can be told.
_PARAMETERS = ("PERFORMANCE_HINT", "NUM_STREAMS")
_LARGEST = 64 << 20  # bytes of an IR's text
_LAYER = re.compile(r'<layer id="\d+" name="[^"]*" type="(Parameter|Result)"([^>]*)>(.*?)</layer>', re.DOTALL)
_PORT = re.compile(r'<port id="\d+" precision="(\w+)"([^>]*)>(.*?)</port>', re.DOTALL)
_DIM = re.compile(r"<dim>(-?\d{1,10})</dim>")


def backends() -> tuple[str, ...]:
    """Of Triton's; the first is the one that is taken if none is said."""
    return ("openvino",)


def files(folder: Path, manifest: Manifest, backend: str) -> Served:
    """The model's files by their names below its folder in the repository.

    Raises:
        BundleError: The IR cannot be read.
    """
    del backend
    inputs, outputs = _held(folder)
    # Where one tensor holds several images, Triton would count their classes on.
    named = bool(manifest.labels) and manifest.detection is None and manifest.meaning.decides
    parameters = {key: value for key, value in manifest.runtime_properties.items() if key in _PARAMETERS}
    if manifest.batch.dynamic:
        parameters["RESHAPE_IO_LAYERS"] = "YES"
    model = Model(
        manifest.name,
        ("backend", "openvino"),
        "CPU",
        inputs,
        outputs,
        labels=named and manifest.batch == ONE,
        parameters=parameters,
    )
    title = " ".join(manifest.name.split())
    text = config(
        model, [f"{title} for Triton Inference Server, by its OpenVINO backend.", *_heading(manifest)]
    )
    found: dict[str, Path | bytes] = {"config.pbtxt": text.encode()}
    if manifest.labels:
        found[LABELS] = labels_text(manifest.labels).encode()
    return Served(
        found | {f"1/{name}": folder / name for name in (_XML, "model.bin")}, tuple(_lost(manifest))
    )


def _heading(manifest: Manifest) -> list[str]:
    lost = _lost(manifest)
    return ["", *(line for sentence in lost for line in (sentence, ""))] if lost else []


def _lost(manifest: Manifest) -> list[str]:
    """What Triton cannot be told, a sentence; none where nothing is lost by it."""
    if manifest.runtime_properties.get("INFERENCE_PRECISION_HINT") != "f32":
        return []
    return [
        "Triton's OpenVINO backend cannot be told INFERENCE_PRECISION_HINT=f32: on a CPU with bfloat16 what "
        "is not INT8 is computed in bfloat16 there, and not in the f32 that was verified"
    ]


def _held(folder: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of the IR, in its order, as Triton wants them.

    Raises:
        BundleError: They cannot be read.
    """
    path = folder / _XML
    try:
        if path.stat().st_size > _LARGEST:
            raise not_whole(folder, f"has a {_XML} of more than {_LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise not_whole(folder, f"has a {_XML} that cannot be read ({error})") from None
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for kind, attributes, body in _LAYER.findall(text):
        port = _PORT.search(body)
        names = re.search(r'names="([^"]*)"', port[2] if port and kind == "Parameter" else attributes)
        if port is None or names is None or port[1] not in _TYPES:
            raise not_whole(folder, f"has a {_XML} whose inputs and outputs are not those of a bundle")
        name = html.unescape(names[1]).split(",")[0]
        dims = [int(dim) for dim in _DIM.findall(port[3])]
        (inputs if kind == "Parameter" else outputs).append(Tensor(name, _TYPES[port[1]], dims))
    if not inputs or not outputs:
        raise not_whole(folder, f"has a {_XML} without inputs and outputs")
    return inputs, outputs
