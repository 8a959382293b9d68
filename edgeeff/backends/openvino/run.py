"""A session over OpenVINO IR."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import openvino as ov

from edgeeff.backends import output_places
from edgeeff.backends.tensorrt.device.onboard.boxes import DETECTIONS, of_rows
from edgeeff.batch import LARGEST, MOST, ONE, Batch, in_runs
from edgeeff.errors import BundleError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs


@dataclass(frozen=True)
class OpenVinoSession:
    """A compiled model with one infer request."""

    request: Any
    preprocess: Preprocess
    input_type: InputType
    outputs: Mapping[str, int]  # the place of each output in the compiled model
    batch: Batch = ONE

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C] to the model's outputs, by the names of their tensors."""
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Pixels) -> Outputs:
        """The results lie in memory that the next inference writes into; boxes are made of them."""
        found = dict(zip(self.outputs, self.execute(self.prepare(pixels)), strict=True))
        if set(found) == {DETECTIONS}:
            height, width = self.preprocess.size
            return {DETECTIONS: of_rows(found[DETECTIONS], len(pixels), (width, height))}
        return found

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of a run's images."""
        if self.input_type == "uint8":
            return np.ascontiguousarray(pixels)
        if self.input_type == "int8":
            return np.bitwise_xor(pixels, 128).view(np.int8)  # minus 128, in one pass
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
    first = compiled.input(0).partial_shape[0]
    # An IR that says no bound takes any number; one of an unknown origin may hold several.
    bound = first.get_max_length() if 0 < first.get_max_length() <= LARGEST else MOST
    batch = Batch(first.get_length()) if first.is_static else Batch(bound, True)
    return OpenVinoSession(compiled.create_infer_request(), preprocess, input_type, places, batch)


@dataclass(frozen=True)
class OpenVinoQueue:
    """A compiled model with several infer requests that run at once."""

    session: OpenVinoSession
    queue: Any

    def flood(self, prepared: Any, runs: Callable[[int], bool]) -> list[int]:
        """Keep every request busy with one prepared input, for as long as ``runs`` says of those started.

        Returns:
            When each run was started, nanoseconds of ``perf_counter_ns``: from the one after the first of
            each request on, a run starts when another one has ended. All have ended.
        """
        starts: list[int] = []
        while runs(len(starts)):
            self.queue.start_async({0: prepared}, share_inputs=True)
            starts.append(perf_counter_ns())
        self.queue.wait_all()
        return starts


def load_queue(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
    requests: int = 1,
) -> OpenVinoQueue:
    """The same for several requests in flight: as many streams as requests, one for each thread at most.

    Raises:
        BundleError: As for :func:`load`.
    """
    streams = {"NUM_STREAMS": str(min(requests, threads))}
    compiled = compile_model(folder, {**streams, **properties}, threads)
    session = session_over(compiled, folder, preprocess, input_type, outputs)
    return OpenVinoQueue(session, ov.AsyncInferQueue(compiled, requests))


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
