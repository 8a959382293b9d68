"""A session over OpenVINO IR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from edgeeff.backends import Logits
from edgeeff.errors import BundleError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType


@dataclass(frozen=True)
class OpenVinoSession:
    """A compiled model with one infer request."""

    request: Any
    preprocess: Preprocess
    input_type: InputType

    def infer(self, pixels: Pixels) -> Logits:
        """Raw pixels uint8 [N, H, W, 3] to float32 [N, classes]."""
        return np.concatenate([self.execute(self.prepare(image[None])).copy() for image in pixels])

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of one image."""
        if self.input_type == "uint8":
            return np.ascontiguousarray(pixels)
        if self.input_type == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        return self.preprocess.normalise(pixels)

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone; the result is valid until the next one."""
        self.request.infer({0: prepared}, share_inputs=True, share_outputs=True)
        return self.request.get_output_tensor(0).data


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
) -> OpenVinoSession:
    """Compile the IR of a bundle for this CPU.

    Raises:
        BundleError: The IR is missing or broken.
    """
    return OpenVinoSession(
        compile_model(folder, properties, threads).create_infer_request(), preprocess, input_type
    )


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
