"""A session over OpenVINO IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from edgeeff.backends import output_places
from edgeeff.errors import BundleError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs, joined


@dataclass(frozen=True)
class OpenVinoSession:
    """A compiled model with one infer request."""

    request: Any
    preprocess: Preprocess
    input_type: InputType
    outputs: Mapping[str, int]  # the place of each output in the compiled model

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C] to the model's outputs, by the names of their tensors."""
        return joined(self._named(self.execute(self.prepare(image[None]))) for image in pixels)

    def _named(self, found: Sequence[Any]) -> Outputs:
        """Copies, since the next inference writes into the same memory."""
        return {name: data.copy() for name, data in zip(self.outputs, found, strict=True)}

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of one image."""
        if self.input_type == "uint8":
            return np.ascontiguousarray(pixels)
        if self.input_type == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        return self.preprocess.normalise(pixels)

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone; the results are valid until the next one."""
        self.request.infer({0: prepared}, share_inputs=True, share_outputs=True)
        return [self.request.get_output_tensor(place).data for place in self.outputs.values()]


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> OpenVinoSession:
    """Compile the IR of a bundle for this CPU.

    Raises:
        BundleError: The IR is missing or broken, or has not the bundle's outputs.
    """
    compiled = compile_model(folder, properties, threads)
    return session_over(compiled, folder, preprocess, input_type, outputs)


def session_over(
    compiled: Any, folder: Path, preprocess: Preprocess, input_type: InputType, outputs: Sequence[str]
) -> OpenVinoSession:
    """A session over a compiled model; :func:`load` says the rest."""
    places = output_places([output.names for output in compiled.outputs], outputs, folder / "model.xml")
    return OpenVinoSession(compiled.create_infer_request(), preprocess, input_type, places)


def compile_model(folder: Path, properties: Mapping[str, str], threads: int) -> Any:
    """The bundle's IR, compiled with the bundle's properties."""
    settings = {**properties, "INFERENCE_NUM_THREADS": threads}
    try:
        return ov.Core().compile_model(folder / "model.xml", "CPU", settings)
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise BundleError(
            f"OpenVINO {ov.__version__} does not compile {folder / 'model.xml'}: {reason}",
            mend="build the bundle again with the installed OpenVINO",
        ) from None
