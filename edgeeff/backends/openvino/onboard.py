"""A session over OpenVINO IR, on this machine and on a board: Python 3.8, numpy and openvino.

OpenVINO is imported when something is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from edgeeff.backends.tensorrt.device.onboard.boxes import DETECTIONS, of_rows
from edgeeff.onboard import camera, outputs, pixels
from edgeeff.onboard.bundles import Facts
from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.runs import ONE, Runs, in_runs
from edgeeff.onboard.sensors import text

INSTALL = "pip install openvino"
#: Images of a run of an IR that says no bound, and the most that any bundle has.
_MOST, _LARGEST = 8, 1024


@dataclass(frozen=True)
class OpenVinoSession:
    """A compiled model with one infer request."""

    request: Any
    preprocess: Any  # normalise and size, of ``Preprocess`` or ``onboard.pixels.Normalising``
    input_type: str
    outputs: Mapping[str, int]  # the place of each output in the compiled model
    batch: Any = ONE

    def infer(self, pixels: Any) -> dict[str, Any]:
        """Raw pixels uint8 [N, H, W, C] to the model's outputs, by the names of their tensors."""
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Any) -> dict[str, Any]:
        """The results lie in memory that the next inference writes into; boxes are made of them."""
        found = dict(zip(self.outputs, self.execute(self.prepare(pixels))))  # noqa: B905 (Python 3.8)
        if set(found) == {DETECTIONS}:
            height, width = self.preprocess.size
            return {DETECTIONS: of_rows(found[DETECTIONS], len(pixels), (width, height))}
        return found

    def prepare(self, images: Any) -> Any:
        """The native input of a run's images; of several planes each by its place."""
        if self.preprocess.camera is not None:
            planes = camera.native(images, self.preprocess.camera)
            return planes[0] if len(planes) == 1 else dict(enumerate(planes))
        if self.input_type in ("uint8", "int8"):
            return pixels.integers(images, self.input_type)
        return self.preprocess.normalise(images)

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone; the results are valid until the next one."""
        self.request.infer(_by_place(prepared), share_inputs=True, share_outputs=True)
        return [self.request.get_output_tensor(place).data for place in self.outputs.values()]


def _by_place(prepared: Any) -> Any:
    return prepared if isinstance(prepared, dict) else {0: prepared}


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
            self.queue.start_async(_by_place(prepared), share_inputs=True)
            starts.append(perf_counter_ns())
        self.queue.wait_all()
        return starts


def load(facts: Facts, threads: int) -> OpenVinoSession:
    """Compile the IR of a bundle for the board's CPU.

    Raises:
        Refused: OpenVINO is not installed, or the IR cannot be compiled or has other outputs.
    """
    compiled = compile_model(facts.folder, facts.properties, threads)
    return session_over(compiled, facts.folder, facts.preprocess, facts.input_type, facts.outputs)


def load_queue(facts: Facts, threads: int, requests: int) -> OpenVinoQueue:
    """The same for several requests in flight: as many streams as requests, one for each thread at most."""
    streams = {"NUM_STREAMS": str(min(requests, threads))}
    properties = {**streams, **facts.properties, "PERFORMANCE_HINT": "THROUGHPUT"}
    compiled = compile_model(facts.folder, properties, threads)
    session = session_over(compiled, facts.folder, facts.preprocess, facts.input_type, facts.outputs)
    return OpenVinoQueue(session, module().AsyncInferQueue(compiled, requests))


def session_over(
    compiled: Any, folder: Path, preprocess: Any, input_type: str, wanted: Sequence[str]
) -> OpenVinoSession:
    """A session over a compiled model; :func:`load` says the rest."""
    places = outputs.places([output.names for output in compiled.outputs], wanted, folder / "model.xml")
    first = compiled.input(0).partial_shape[0]
    # An IR that says no bound takes any number; one of an unknown origin may hold several.
    bound = first.get_max_length() if 0 < first.get_max_length() <= _LARGEST else _MOST
    batch = Runs(first.get_length()) if first.is_static else Runs(bound, True)
    return OpenVinoSession(compiled.create_infer_request(), preprocess, input_type, places, batch)


def compile_model(
    folder: Path, properties: Mapping[str, str], threads: int, device: str = "CPU", cache: Any = None
) -> Any:
    """The bundle's IR, compiled with the bundle's properties.

    Args:
        folder: The bundle.
        properties: The bundle's; of another device than the CPU those that it may know.
        threads: Of the CPU.
        device: OpenVINO's name of it.
        cache: A folder that OpenVINO keeps compiled models in, which a manifest cannot say; None: none.

    Raises:
        Refused: OpenVINO is not installed, or does not take it; there is no such device.
    """
    ov = module()
    core = ov.Core()
    settings = {**properties, "INFERENCE_NUM_THREADS": threads}
    if device != "CPU":
        _refuse_absent(core.available_devices, device)
        settings = _known_to(device, properties)
        if "CPU" in core.available_devices:  # the part of it that may compute on the CPU
            core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    try:
        return core.compile_model(str(folder / "model.xml"), device, settings)
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise Refused(
            "BundleError",
            f"OpenVINO {ov.__version__} does not compile {folder / 'model.xml'}"
            f"{'' if device == 'CPU' else f' for {device}'}: {reason}",
            _instead(reason) if device == "CPU" else "run it on another device, or on the CPU",
        ) from None


def _refuse_absent(there: Sequence[str], device: str) -> None:
    """Refuse a device of which a part is not there; ``GPU`` and ``GPU.0`` are the same.

    Raises:
        Refused: One is not.
    """
    known = {*there, *(name.partition(".")[0] for name in there), *(f"{name}.0" for name in there)}
    listed = device.partition(":")[2] if ":" in device else "" if device in ("AUTO", "MULTI") else device
    if absent := [name for name in filter(None, listed.split(",")) if name not in known]:
        raise Refused(
            "OptionError",
            f"OpenVINO finds no {', '.join(absent)} here; it finds {', '.join(there) or 'none'}",
            "choose one of these with --device-name, or install the driver of the other (see OpenVINO's "
            "installation guide)",
        )


def _known_to(device: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """Of a bundle's properties those that are not the CPU plug-in's alone.

    An NPU has one precision; a GPU knows no bf16, and takes its own default.
    """
    hints = ("PERFORMANCE_HINT", "INFERENCE_PRECISION_HINT", "EXECUTION_MODE_HINT")
    found = {name: properties[name] for name in hints if name in properties}
    if "NPU" in device or ("GPU" in device and found.get("INFERENCE_PRECISION_HINT") == "bf16"):
        found.pop("INFERENCE_PRECISION_HINT", None)
    return found


def _instead(reason: str) -> str:
    """What to do where an IR does not compile.

    On ARM, OpenVINO 2026.4 computes layers of an INT8 network in half precision where it has no INT8 kernel,
    without asking whether the processor can: a Raspberry Pi 4's Cortex-A72 cannot.
    """
    processor = text(Path("/proc/cpuinfo")) or ""
    if "not initialized" in reason and "asimd" in processor and "asimdhp" not in processor:
        return (
            "this processor has no half-precision arithmetic, which OpenVINO needs for INT8 networks on ARM: "
            "take a cpu-fp32 or a mobile-int8 bundle"
        )
    return "build the bundle again with the installed OpenVINO"


def module() -> Any:
    """OpenVINO.

    Raises:
        Refused: It cannot be imported.
    """
    # Its package tells its makers over the network that it was imported, where this module is installed.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise Refused(
            "MissingRuntimeError",
            f"the openvino runtime needs openvino: it cannot be imported ({error})",
            f"install it there: {INSTALL}",
        ) from None
    return openvino
