"""A session over a .tflite file in tflite-micro's interpreter, as its wheel has it: reference kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff import regular, text
from edgeeff.backends import output_places
from edgeeff.backends.tflite.onboard import OutputTensor
from edgeeff.backends.tflite_micro import sizes
from edgeeff.backends.tflite_micro.operators import ADDED
from edgeeff.batch import ONE, Batch
from edgeeff.errors import BundleError, MissingRuntimeError
from edgeeff.installing import install_line
from edgeeff.onboard.pixels import integers
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs

FILE, ARENA = "model.tflite", "arena.json"
_INT8 = 9  # of the schema's TensorType
_LARGEST = 1 << 30  # bytes of the model; the largest of the family has a tenth
_LARGEST_FACTS = 1 << 20  # and of arena.json; it has some hundred


@dataclass(frozen=True)
class MicroSession:
    """An artifact in tflite-micro's interpreter."""

    interpreter: Any
    outputs: Mapping[str, OutputTensor]
    batch: Batch = ONE

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C], one image after another, to the reals that the outputs mean."""
        found = [self.execute(self.prepare(pixels[i : i + 1])) for i in range(len(pixels))]
        return {
            name: np.concatenate([tensor.reals(stored[place]) for stored in found])
            for place, (name, tensor) in enumerate(self.outputs.items())
        }

    def prepare(self, pixels: Pixels) -> Any:
        """One image, uint8 [1, H, W, C], as the artifact's input: int8, less 128."""
        return integers(pixels, "int8")

    def execute(self, prepared: Any) -> list[Any]:
        """Run one prepared input to the output tensors as they are stored.

        The input is set each time: the interpreter uses its memory for something else once it was read.
        """
        self.interpreter.set_input(prepared, 0)
        self.interpreter.invoke()
        return [self.interpreter.get_output(tensor.index) for tensor in self.outputs.values()]


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> MicroSession:
    """Load the artifact of a bundle into an arena of the size that it was measured to take.

    Args:
        folder: The bundle.
        preprocess: The network's.
        input_type: int8.
        properties: ``arena`` is what it may take at most, and was decided when it was built.
        threads: One computes, whatever is asked for.
        outputs: Those that the manifest names, as the file's signature does.

    Raises:
        MissingRuntimeError: tflite-micro is not installed.
        BundleError: The file is missing, damaged, or not of the bundle's input.
    """
    del properties, threads
    runtime, model, content = read(folder)
    names, size = inspected(model, folder / FILE), arena_of(folder)
    try:
        interpreter = runtime.Interpreter.from_bytes(content, arena_size=size or _enough(model, content))
    except (RuntimeError, ValueError) as error:
        raise BundleError(
            f"{folder / FILE} cannot be loaded: {error}", mend="build it again, or update tflite-micro"
        ) from None
    source = interpreter.get_input_details(0)
    shape, expected = [int(n) for n in source["shape"]], [1, *preprocess.size, preprocess.channels]
    if shape != expected or np.dtype(source["dtype"]).name != input_type:
        raise BundleError(
            f"{folder / FILE} takes {np.dtype(source['dtype']).name} {shape}, the bundle says {input_type} "
            f"{expected}",
            mend="build the bundle again",
        )
    places = output_places([{name} for name in names], outputs, folder / FILE)
    return MicroSession(interpreter, {name: _output(interpreter, at) for name, at in places.items()})


def read(folder: Path) -> tuple[Any, Any, bytes]:
    """tflite-micro, the artifact's model as objects of its schema, and its bytes.

    Raises:
        MissingRuntimeError: tflite-micro is not installed, or cannot be imported.
        BundleError: The file is missing or damaged.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except (ImportError, OSError) as error:
        raise MissingRuntimeError(
            f"tflite-micro is not installed ({error})", mend=f"install it: {install_line('mcu')}"
        ) from None
    path = folder / FILE
    content = regular.read(path, BundleError, _LARGEST, "copy the whole bundle, or build it again")
    try:
        model = runtime.convert_bytearray_to_object(content)
        inspected(model, path)
    except BundleError:
        raise
    except Exception as error:  # whatever damaged offsets make of a reader
        raise BundleError(
            f"{path} is damaged: {type(error).__name__}", mend="copy the bundle again, or build it again"
        ) from None
    return runtime, model, content


def inspected(model: Any, path: Path) -> list[str]:
    """The names of the outputs; what the interpreter would crash on is refused.

    Raises:
        BundleError: An operator that tflite-micro does not have, or float activations.
    """
    (graph,) = model.subgraphs
    absent = [code for code in codes(model) if code not in ADDED]
    if absent:
        raise BundleError(
            f"{path} holds {', '.join(absent)}, which tflite-micro does not have in int8",
            mend="build it for mcu-int8",
        )
    places = [int(place) for place in graph.outputs]
    if any(int(graph.tensors[place].type) != _INT8 for place in (*graph.inputs, *places)):
        raise BundleError(f"{path} is not int8 throughout", mend="build it for mcu-int8")
    signatures = model.signatureDefs or []
    named = {int(o.tensorIndex): text_of(o.name) for s in signatures[:1] for o in s.outputs}
    return [named.get(place) or text_of(graph.tensors[place].name) for place in places]


def codes(model: Any) -> list[str]:
    """The name of each operator, in the order of execution."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    (graph,) = model.subgraphs
    of = [model.operatorCodes[operator.opcodeIndex] for operator in graph.operators]
    return [known[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in of]


def text_of(name: Any) -> str:
    """A name of the file."""
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)


def arena_of(folder: Path) -> int | None:
    """The arena's bytes as the build measured them; None where it did not."""
    size = arena_facts(folder).get("size")
    return size if isinstance(size, int) and sizes.LEAST <= size <= 1 << 32 else None


def arena_facts(folder: Path) -> Mapping[str, Any]:
    """``arena.json``; nothing where it is no such file."""
    try:
        found = text.read_json(folder / ARENA, BundleError, _LARGEST_FACTS)
    except BundleError:
        return {}
    return found if isinstance(found, dict) else {}


def _enough(model: Any, content: bytes) -> int:
    """Bytes of an arena that are enough in any case: no two tensors share memory."""
    (graph,) = model.subgraphs
    tensors = sum(4 * int(np.prod(tensor.shape)) + 16 for tensor in graph.tensors if tensor.shape is not None)
    return int(tensors) + len(content) + (4 << 20)


def _output(interpreter: Any, place: int) -> OutputTensor:
    found = interpreter.get_output_details(place)["quantization_parameters"]
    return OutputTensor(place, np.float32(found["scales"][0]), int(found["zero_points"][0]))
