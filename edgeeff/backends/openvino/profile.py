"""How long each executed node takes, by OpenVINO's own counters, and the core's INT8 peak.

The counters (PERF_COUNT) give for each node the mean over all inferences since the model was compiled, in
whole microseconds. A mean since the last reading follows from two such means and their counts; it is exact
to about a microsecond where few inferences came before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from edgeeff.backends import LayerTime
from edgeeff.backends.openvino import structure
from edgeeff.backends.openvino.run import OpenVinoSession, compile_model, session_over
from edgeeff.backends.openvino.structure import Operation
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs

#: What ``peak`` computes: much work for each byte, and no padding.
PEAK = "1×1 convolution 512 → 512 at 56×56"
_CHANNELS, _SIDE = 512, 56
_PEAK_INPUT = (1, _CHANNELS, _SIDE, _SIDE)
_INSERTED = "/WithoutBiases"  # what OpenVINO's ONNX frontend adds to a convolution's name


@dataclass
class OpenVinoProfile:
    """A session whose nodes are timed."""

    session: OpenVinoSession
    ir: Mapping[str, Operation]
    operators: Mapping[str, str]  # the type of each executed node, by its name
    computed: Mapping[str, tuple[str, ...]]  # and the IR's names of what it computes
    _runs: int = 0
    _read_runs: int = 0
    _read: dict[str, float] = field(default_factory=dict)

    def infer(self, pixels: Pixels) -> Outputs:
        """As a run would."""
        self._runs += -(-len(pixels) // self.session.batch.size)
        return self.session.infer(pixels)

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of a run's images."""
        return self.session.prepare(pixels)

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone."""
        self._runs += 1
        return self.session.execute(prepared)

    def layers(self) -> list[LayerTime]:
        """The mean time of each node that was executed since the last call, in the order of execution.

        Nodes that were fused into others, or that only look at another's memory, are not executed; those
        that depend on constants alone ran once, when the model was compiled, and are not counted.
        """
        told = self.session.request.get_profiling_info()
        kinds = {info.node_name: info.node_type for info in told if info.status.name != "EXECUTED"}
        runs, made = self._runs - self._read_runs, []
        totals: dict[str, float] = {}
        for info in told:
            if info.status.name != "EXECUTED":
                continue
            total = info.real_time.total_seconds() * 1e6 * self._runs
            totals[info.node_name] = total
            since = max(0.0, total - self._read.get(info.node_name, 0.0)) / max(runs, 1)
            made.append(self._layer(info.node_name, info.exec_type, since, kinds))
        self._read, self._read_runs = totals, self._runs
        return made

    def _layer(self, name: str, kernel: str, microseconds: float, kinds: Mapping[str, str]) -> LayerTime:
        operator, names = self.operators.get(name, ""), self.computed.get(name, ())
        fused = frozenset(kinds[part] for part in names if part in kinds)
        dense = [part for part in names if part in self.ir and self.ir[part].multiply_adds]
        implementation, _, precision = kernel.rpartition("_")
        return LayerTime(
            name=(dense[0] if dense else name).removesuffix(_INSERTED),
            kind=structure.kind(operator, names, self.ir, fused),
            operator=operator,
            precision="int8" if precision.upper() in ("I8", "U8") else precision.lower(),
            kernel=implementation,
            microseconds=microseconds,
            multiply_adds=sum(self.ir[part].multiply_adds for part in dense),
            fused=tuple(dict.fromkeys(part.removesuffix(_INSERTED) for part in names)),
        )


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> OpenVinoProfile:
    """Compile the IR of a bundle as a run would, with OpenVINO's counters on.

    Raises:
        BundleError: The IR is missing or broken, or has not the bundle's outputs.
    """
    compiled = compile_model(folder, {**properties, "PERF_COUNT": "YES"}, threads)
    session = session_over(compiled, folder, preprocess, input_type, outputs)
    return _profile(session, compiled, ov.Core().read_model(folder / "model.xml"))


def peak(threads: int = 1) -> tuple[OpenVinoProfile, Any]:
    """What the processor multiplies and adds at best: a session over ``PEAK``, and its prepared input.

    Of its layers the one with the most multiply-adds counts.
    """
    model = _peak_model()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": "YES", "INFERENCE_NUM_THREADS": threads}
    nothing = Preprocess(size=(_SIDE, _SIDE), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    compiled = ov.Core().compile_model(model, "CPU", settings)
    session = OpenVinoSession(compiled.create_infer_request(), nothing, "uint8", {"peak": 0})
    return _profile(session, compiled, model), np.random.default_rng(0).integers(
        0, 256, _PEAK_INPUT, np.uint8
    )


def _profile(session: OpenVinoSession, compiled: Any, model: Any) -> OpenVinoProfile:
    operators: dict[str, str] = {}
    executed: dict[str, list[str]] = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        info, name = node.get_rt_info(), node.get_friendly_name()
        operators[name] = info["layerType"].astype(str) if "layerType" in info else node.get_type_name()
        fused = info["originalLayersNames"].astype(str) if "originalLayersNames" in info else ""
        executed[name] = [part for part in fused.split(",") if part]
    ir = structure.operations(model)
    return OpenVinoProfile(session, ir, operators, structure.computed(executed, ir))


def _peak_model() -> Any:
    """The convolution of ``PEAK`` from uint8 to uint8, and a small one behind it that reads bytes."""
    source = ops.parameter(_PEAK_INPUT, np.uint8, name="input")
    large = _convolution(_bytes(ops.convert(source, "f32")), _CHANNELS, PEAK)
    return ov.Model([_convolution(_bytes(large), 16, "reader")], [source], "peak")


def _bytes(source: Any) -> Any:
    return ops.fake_quantize(source, *map(np.float32, (0, 255, 0, 255)), levels=256)


def _convolution(source: Any, channels: int, name: str) -> Any:
    codes = np.random.default_rng(1).integers(-127, 128, (channels, _CHANNELS, 1, 1)).astype(np.int8)
    scale = np.full((channels, 1, 1, 1), 1 / 4096, np.float32)
    weights = ops.multiply(ops.convert(ops.constant(codes), "f32"), scale)
    return ops.convolution(source, weights, [1, 1], [0, 0], [0, 0], [1, 1], name=name)
