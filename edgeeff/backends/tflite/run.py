"""A session over a .tflite file, by LiteRT or, where only that is installed, by tflite_runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.backends import Logits
from edgeeff.errors import BundleError, MissingRuntimeError, OptionError
from edgeeff.installing import install_line
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType

FILE = "model.tflite"


@dataclass(frozen=True)
class TfliteSession:
    """An artifact in an interpreter whose tensors are allocated."""

    interpreter: Any
    preprocess: Preprocess
    input_type: InputType
    source: int  # index of the input tensor
    target: int  # index of the output tensor
    scale: np.float32  # of an integer output
    zero_point: int

    def infer(self, pixels: Pixels) -> Logits:
        """Run raw pixels uint8 [N, H, W, 3] one by one; integer outputs come back as the reals they mean."""
        logits = [self.execute(self.prepare(image[None])) for image in pixels]
        return np.concatenate(logits)

    def prepare(self, pixels: Pixels) -> npt.NDArray[Any]:
        """One image, uint8 [1, H, W, 3], as the artifact's input tensor."""
        if self.input_type == "uint8":
            return np.ascontiguousarray(pixels)
        if self.input_type == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        return np.ascontiguousarray(self.preprocess.normalise(pixels).transpose(0, 2, 3, 1))

    def execute(self, prepared: npt.NDArray[Any]) -> Logits:
        """Run one prepared input to float32 [1, classes]."""
        self.interpreter.set_tensor(self.source, prepared)
        self.interpreter.invoke()
        stored: npt.NDArray[Any] = self.interpreter.get_tensor(self.target)
        if stored.dtype == np.float32:
            return stored
        return (stored.astype(np.int32) - self.zero_point).astype(np.float32) * self.scale


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
) -> TfliteSession:
    """Load the artifact of a bundle.

    Args:
        folder: The bundle.
        preprocess: The network's, for float inputs.
        input_type: Type of the artifact's input.
        properties: ``delegate``: ``xnnpack`` (default) or ``none``, the builtin kernels, for comparisons.
        threads: Of the kernels.

    Raises:
        BundleError: The file is missing, damaged, or of another input type or size.
        OptionError: An unknown property or value.
    """
    interpreter = make_interpreter(folder, properties=properties, threads=threads)
    source = interpreter.get_input_details()[0]
    expected = (1, *preprocess.size, preprocess.channels)
    if tuple(source["shape"]) != expected or np.dtype(source["dtype"]).name != input_type:
        raise BundleError(
            f"{folder / FILE} takes {np.dtype(source['dtype']).name} {list(source['shape'])}, "
            f"the bundle says {input_type} {list(expected)}",
            mend="build the bundle again",
        )
    target = interpreter.get_output_details()[0]
    scale, zero_point = target["quantization"]
    return TfliteSession(
        interpreter,
        preprocess,
        input_type,
        source=source["index"],
        target=target["index"],
        scale=np.float32(scale),
        zero_point=zero_point,
    )


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
