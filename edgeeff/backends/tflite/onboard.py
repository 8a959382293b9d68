"""A session over a .tflite file, on this machine and on a board: Python 3.8, numpy and an interpreter.

The interpreter is LiteRT's, that of the older tflite_runtime or, on a board, TensorFlow's own; it is imported
when something is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff.backends.tensorrt.device.onboard.boxes import DETECTIONS
from edgeeff.backends.tflite import boxes
from edgeeff.onboard import outputs as onboard_outputs
from edgeeff.onboard.bundles import Facts
from edgeeff.onboard.camera import native
from edgeeff.onboard.pixels import integers
from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.runs import ONE, Runs, in_runs

FILE = "model.tflite"
INSTALL = "pip install ai-edge-litert"
#: Modules of ours that a board needs for this one.
CARRIES = ("boxes",)
#: Modules whose interpreter serves, in this order.
LITERT = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
TENSORFLOW = "tensorflow.lite.python.interpreter"
#: Images of a run of a file that says no number.
_MOST = 8


@dataclass(frozen=True)
class OutputTensor:
    """One output of an interpreter: where it is, and what its integers mean."""

    index: int
    scale: Any
    zero_point: int

    def reals(self, stored: Any) -> Any:
        """The values float32, channels first."""
        if stored.dtype != np.float32:
            stored = (stored.astype(np.int32) - self.zero_point).astype(np.float32) * self.scale
        return np.ascontiguousarray(stored.transpose(0, 3, 1, 2)) if stored.ndim == 4 else stored


@dataclass(frozen=True)
class TfliteSession:
    """An artifact in an interpreter whose tensors are allocated."""

    interpreter: Any
    preprocess: Any  # normalise_channels_last and size
    input_type: str
    source: int  # index of the input tensor
    outputs: Mapping[str, OutputTensor]
    batch: Any = ONE
    makes_boxes: bool = False  # the outputs are then those of :mod:`edgeeff.backends.tflite.boxes`
    more: tuple[int, ...] = ()  # indices of further input tensors: planes of a camera's frames

    def infer(self, pixels: Any) -> dict[str, Any]:
        """Run raw pixels uint8 [N, H, W, C]; integer outputs come back as the reals they mean.

        Feature maps, which TFLite has as [N, H, W, C], come back as [N, C, H, W], as everywhere; boxes that
        the file makes as ``detections``.
        """
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Any) -> dict[str, Any]:
        if self.input_type == "float32":
            self._resize(len(pixels))
            # Straight into the interpreter's memory, of which no view may be left when it runs.
            self.preprocess.normalise_channels_last(pixels, self.interpreter.tensor(self.source)())
            found = self._invoke()
        else:
            found = self.execute(self.prepare(pixels))
        if self.makes_boxes:
            return {DETECTIONS: boxes.rows(found, self.preprocess.size)}
        pairs = zip(self.outputs.items(), found)  # noqa: B905 (Python 3.8)
        return {name: tensor.reals(stored) for (name, tensor), stored in pairs}

    def prepare(self, pixels: Any) -> Any:
        """A run's images, uint8 [N, H, W, C], as the artifact's input tensor; several planes as a tuple."""
        if self.preprocess.camera is not None:
            planes = native(pixels, self.preprocess.camera)
            return planes[0] if len(planes) == 1 else planes
        if self.input_type in ("uint8", "int8"):
            return integers(pixels, self.input_type)
        return self.preprocess.normalise_channels_last(pixels)

    def execute(self, prepared: Any) -> list[Any]:
        """Run one prepared input to the output tensors as they are stored."""
        if isinstance(prepared, tuple):
            for index, plane in zip((self.source, *self.more), prepared):  # noqa: B905 (Python 3.8)
                self.interpreter.set_tensor(index, plane)
            return self._invoke()
        self._resize(len(prepared))
        self.interpreter.set_tensor(self.source, prepared)
        return self._invoke()

    def _resize(self, images: int) -> None:
        if self.batch.dynamic:
            current, *one = self.interpreter.get_input_details()[0]["shape"]
            if images != current:
                self.interpreter.resize_tensor_input(self.source, (images, *one), strict=True)
                self.interpreter.allocate_tensors()

    def _invoke(self) -> list[Any]:
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(tensor.index) for tensor in self.outputs.values()]


def load(facts: Facts, threads: int) -> TfliteSession:
    """Load the artifact of a bundle.

    Raises:
        Refused: There is no interpreter, or the file is damaged, of another input or has other outputs.
    """
    modules = (*LITERT, TENSORFLOW)
    interpreter = make_interpreter(facts.folder, facts.properties, threads, modules)
    return session_over(interpreter, facts.folder, facts.preprocess, facts.input_type, facts.outputs)


def session_over(
    interpreter: Any, folder: Path, preprocess: Any, input_type: str, outputs: Sequence[str]
) -> TfliteSession:
    """A session over an interpreter whose tensors are allocated; :func:`load` says the rest."""
    source, *more = interpreter.get_input_details()
    expected = [(*preprocess.taken, preprocess.channels)]
    if preprocess.camera is not None and preprocess.camera.planar:
        height, width = preprocess.taken
        expected = [(height, width, 1), (height // 2, width // 2, 2)]
    found = [(np.dtype(one["dtype"]).name, tuple(one["shape"])[1:]) for one in (source, *more)]
    if found != [(input_type, sides) for sides in expected]:
        takes = ", ".join(f"{kind} {['N', *map(int, sides)]}" for kind, sides in found)
        wanted = ", ".join(f"{input_type} {['N', *sides]}" for sides in expected)
        raise Refused(
            "BundleError",
            f"{folder / FILE} takes {takes}, the bundle says {wanted}",
            "build the bundle again",
        )
    planes = tuple(int(one["index"]) for one in more)
    # Of a file that fixes all shapes the signature is empty or says them once more.
    first = int([*source["shape_signature"], *source["shape"]][0])
    batch = Runs(first) if first > 0 else Runs(_MOST, True)
    made = boxes.outputs(interpreter)
    if made is not None and (not outputs or list(outputs) == [DETECTIONS]):
        pairs = zip(boxes.NAMES, made)  # noqa: B905 (Python 3.8)
        four = {name: OutputTensor(index, np.float32(0), 0) for name, index in pairs}
        return TfliteSession(interpreter, preprocess, input_type, source["index"], four, batch, True, planes)
    held = _outputs(interpreter)
    places = onboard_outputs.places([{name} for name in held], outputs, folder / FILE)
    tensors = {name: list(held.values())[place] for name, place in places.items()}
    return TfliteSession(interpreter, preprocess, input_type, source["index"], tensors, batch, more=planes)


def _outputs(interpreter: Any) -> dict[str, OutputTensor]:
    """The outputs by their names in the signature; of a file without one, by their tensors' names."""
    signatures = interpreter.get_signature_list()
    if signatures:
        details = interpreter.get_signature_runner(next(iter(signatures))).get_output_details()
    else:
        details = {tensor["name"]: tensor for tensor in interpreter.get_output_details()}
    return {
        name: OutputTensor(
            int(detail["index"]), np.float32(detail["quantization"][0]), int(detail["quantization"][1])
        )
        for name, detail in details.items()
    }


def make_interpreter(
    folder: Path, properties: Mapping[str, str], threads: int, modules: Sequence[str]
) -> Any:
    """The artifact's interpreter with its tensors allocated.

    Args:
        folder: The bundle.
        properties: ``delegate``: ``xnnpack`` (default) or ``none``, the builtin kernels, for comparisons.
        threads: Of the kernels.
        modules: Where an interpreter may be, the first that is installed.

    Raises:
        Refused: There is no interpreter, an unknown property, or the file is missing or damaged.
    """
    delegate = properties.get("delegate", "xnnpack")
    if delegate not in ("xnnpack", "none") or set(properties) - {"delegate"}:
        raise Refused(
            "OptionError",
            f"TFLite has no runtime properties {dict(properties)}",
            "delegate is xnnpack or none",
        )
    path = folder / FILE
    if not path.is_file():
        raise Refused("BundleError", f"{folder} has no {FILE}", "copy the whole bundle, or build it again")
    library = _module(modules)
    resolver = library.OpResolverType.AUTO
    if delegate == "none":
        resolver = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = library.Interpreter(
            model_path=str(path), num_threads=threads, experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise Refused(
            "BundleError", f"{path} cannot be loaded: {error}", "build it again, or update the runtime"
        ) from None
    return interpreter


def module() -> Any:
    """The interpreter's module, on a board.

    Raises:
        Refused: As for :func:`load`.
    """
    return _module((*LITERT, TENSORFLOW))


def _module(names: Sequence[str]) -> Any:
    """The first module that is installed.

    Raises:
        Refused: None is, or it cannot be imported.
    """
    for name in names:
        if find_spec(name.partition(".")[0]) is None:
            continue
        try:
            return import_module(name)
        except (ImportError, OSError) as error:
            raise Refused(
                "MissingRuntimeError",
                f"the tflite runtime needs {name}: it cannot be imported ({error})",
                f"install it anew: {INSTALL}",
            ) from None
    raise Refused("MissingRuntimeError", "no TFLite runtime is installed", f"install it: {INSTALL}")
