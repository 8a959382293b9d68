"""A session over a .tflite file, by LiteRT or, where only that is installed, by tflite_runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.backends import output_places
from edgeeff.backends.tflite import boxes
from edgeeff.batch import ONE, Batch, in_runs, of_shape
from edgeeff.detection.facts import DETECTIONS
from edgeeff.errors import BundleError, MissingRuntimeError, OptionError
from edgeeff.installing import install_line
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs

FILE = "model.tflite"


@dataclass(frozen=True)
class OutputTensor:
    """One output of an interpreter: where it is, and what its integers mean."""

    index: int
    scale: np.float32
    zero_point: int

    def reals(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The values float32, channels first."""
        if stored.dtype != np.float32:
            stored = (stored.astype(np.int32) - self.zero_point).astype(np.float32) * self.scale
        return np.ascontiguousarray(stored.transpose(0, 3, 1, 2)) if stored.ndim == 4 else stored


@dataclass(frozen=True)
class TfliteSession:
    """An artifact in an interpreter whose tensors are allocated."""

    interpreter: Any
    preprocess: Preprocess
    input_type: InputType
    source: int  # index of the input tensor
    outputs: Mapping[str, OutputTensor]
    batch: Batch = ONE
    makes_boxes: bool = False  # the outputs are then those of :mod:`edgeeff.backends.tflite.boxes`

    def infer(self, pixels: Pixels) -> Outputs:
        """Run raw pixels uint8 [N, H, W, C]; integer outputs come back as the reals they mean.

        Feature maps, which TFLite has as [N, H, W, C], come back as [N, C, H, W], as everywhere; boxes that
        the file makes as ``detections``.
        """
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Pixels) -> Outputs:
        if self.input_type == "float32":
            self._resize(len(pixels))
            # Straight into the interpreter's memory, of which no view may be left when it runs.
            self.preprocess.normalise_channels_last(pixels, self.interpreter.tensor(self.source)())
            found = self._invoke()
        else:
            found = self.execute(self.prepare(pixels))
        if self.makes_boxes:
            return {DETECTIONS: boxes.rows(found, self.preprocess.size)}
        pairs = zip(self.outputs.items(), found, strict=True)
        return {name: tensor.reals(stored) for (name, tensor), stored in pairs}

    def prepare(self, pixels: Pixels) -> npt.NDArray[Any]:
        """A run's images, uint8 [N, H, W, C], as the artifact's input tensor."""
        if self.input_type == "uint8":
            return np.ascontiguousarray(pixels)
        if self.input_type == "int8":
            return np.bitwise_xor(pixels, 128).view(np.int8)  # minus 128, in one pass
        return self.preprocess.normalise_channels_last(pixels)

    def execute(self, prepared: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Run one prepared input to the output tensors as they are stored."""
        self._resize(len(prepared))
        self.interpreter.set_tensor(self.source, prepared)
        return self._invoke()

    def _resize(self, images: int) -> None:
        if self.batch.dynamic:
            current, *one = self.interpreter.get_input_details()[0]["shape"]
            if images != current:
                self.interpreter.resize_tensor_input(self.source, (images, *one), strict=True)
                self.interpreter.allocate_tensors()

    def _invoke(self) -> list[npt.NDArray[Any]]:
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(tensor.index) for tensor in self.outputs.values()]


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> TfliteSession:
    """Load the artifact of a bundle.

    Args:
        folder: The bundle.
        preprocess: The network's, for float inputs.
        input_type: Type of the artifact's input.
        properties: ``delegate``: ``xnnpack`` (default) or ``none``, the builtin kernels, for comparisons.
        threads: Of the kernels.
        outputs: Those that the manifest names, as the file's signature does.

    Raises:
        BundleError: The file is missing, damaged, of another input type or size, or has other outputs.
        OptionError: An unknown property or value.
    """
    interpreter = make_interpreter(folder, properties=properties, threads=threads)
    source = interpreter.get_input_details()[0]
    expected = (*preprocess.size, preprocess.channels)
    if tuple(source["shape"])[1:] != expected or np.dtype(source["dtype"]).name != input_type:
        raise BundleError(
            f"{folder / FILE} takes {np.dtype(source['dtype']).name} {list(source['shape'])}, "
            f"the bundle says {input_type} {['N', *expected]}",
            mend="build the bundle again",
        )
    # Of a file that fixes all shapes the signature is empty or says them once more.
    batch = of_shape([*source["shape_signature"], *source["shape"]])
    made = boxes.outputs(interpreter)
    if made is not None and (not outputs or list(outputs) == [DETECTIONS]):
        four = {
            name: OutputTensor(index, np.float32(0), 0) for name, index in zip(boxes.NAMES, made, strict=True)
        }
        return TfliteSession(interpreter, preprocess, input_type, source["index"], four, batch, True)
    held = _outputs(interpreter)
    places = output_places([{name} for name in held], outputs, folder / FILE)
    tensors = {name: list(held.values())[place] for name, place in places.items()}
    return TfliteSession(interpreter, preprocess, input_type, source["index"], tensors, batch)


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


def make_interpreter(folder: Path, *, properties: Mapping[str, str], threads: int = 1) -> Any:
    """The artifact's interpreter with its tensors allocated; arguments and errors as in :func:`load`."""
    delegate = properties.get("delegate", "xnnpack")
    if delegate not in ("xnnpack", "none") or set(properties) - {"delegate"}:
        raise OptionError(
            f"TFLite has no runtime properties {dict(properties)}", mend="delegate is xnnpack or none"
        )
    path = folder / FILE
    if not path.is_file():
        raise BundleError(f"{folder} has no {FILE}", mend="copy the whole bundle, or build it again")
    module = _module()
    resolver = module.OpResolverType.AUTO
    if delegate == "none":
        resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = module.Interpreter(
            model_path=str(path), num_threads=threads, experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"{path} cannot be loaded: {error}", mend="build it again, or update the runtime"
        ) from None
    return interpreter


def _module() -> Any:
    """The interpreter's module: LiteRT's, else the older package's, which small devices still carry."""
    for name in ("ai_edge_litert", "tflite_runtime"):
        if find_spec(name) is not None:
            return import_module(f"{name}.interpreter")
    raise MissingRuntimeError("no TFLite runtime is installed", mend=f"install it: {install_line('tflite')}")
