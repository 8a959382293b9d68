"""What a device's ``verify.json`` holds: the shape of it, and figures that can be.

``device/onboard/verification.py`` writes it. What arrives here was on another machine and in other hands, so
nothing of it is believed that can be checked: a field too many, a p50 above its p90, a ratio that its own
latencies do not give are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

Precision = Literal["int8", "fp16"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Milliseconds = Annotated[float, Field(gt=0, le=1e6)]
Watts = Annotated[float, Field(ge=0, le=1e4)]
Decibels = Annotated[float, Field(ge=-200, le=200)]
Share = Annotated[float, Field(ge=0, le=1)]
Hertz = Annotated[float, Field(ge=0, le=1e11)]
Images = Annotated[int, Field(ge=1, le=1024)]
Count = Annotated[int, Field(ge=1, le=10**9)]


class Part(BaseModel):
    """Of a file that a device brought back."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EngineRecord(Part):
    """An engine: what it was built from, and what it belongs to."""

    tensorrt: Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,6}){1,4}(\.?[a-z]+\d*)?$")]
    compute_capability: Annotated[str, StringConstraints(pattern=r"^\d{1,2}\.\d$")]
    l4t: Annotated[str, StringConstraints(pattern=r"^[\d.]{0,20}$")]
    precision: Precision
    onnx: Text
    onnx_sha256: Sha256
    strongly_typed: bool
    engine_sha256: Sha256
    profile: tuple[Images, Images, Images] | None = None
    variant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)] = ""

    @model_validator(mode="after")
    def _rises(self) -> EngineRecord:
        if self.profile is not None and list(self.profile) != sorted(self.profile):
            raise ValueError(f"a profile of {self.profile} does not rise")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a variant as it was before there were any: a run without a number is known by its text."""
        found: dict[str, Any] = written(self)
        return {name: value for name, value in found.items() if name != "variant" or value}


class GoldenOutput(Part):
    """One output on the bundle's golden inputs; SQNR in dB, agreement as a share of the images.

    What decides nothing by itself, such as a feature map, has no agreement.
    """

    images: Count
    sqnr_hub_db: Decibels
    agreement_hub: Share | None
    sqnr_float_db: Decibels
    agreement_float: Share | None
    tolerance_db: Decibels
    typical_db: Decibels | None = None
    passed: bool

    @model_validator(mode="after")
    def _counts_images(self) -> GoldenOutput:
        for share in (self.agreement_hub, self.agreement_float):
            if (
                share is not None
                and abs(share * self.images - round(share * self.images)) > 1e-6 * self.images
            ):
                raise ValueError(f"an agreement of {share} is no share of {self.images} images")
        return self


class Golden(GoldenOutput):
    """An engine: the figures of its worst output, and of each by name (none of a bundle of schema 1)."""

    outputs: Annotated[dict[Text, GoldenOutput], Field(max_length=1000)] = Field(default_factory=dict)


class Percentiles(Part):
    """Of all timed runs, milliseconds."""

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds

    @model_validator(mode="after")
    def _rises(self) -> Percentiles:
        if not self.p50 <= self.p90 <= self.p99:
            raise ValueError(f"p50 {self.p50}, p90 {self.p90}, p99 {self.p99} do not rise")
        return self


class Times(Part):
    """An engine's: as the host waited for it, and between two events on the GPU."""

    host_ms: Percentiles
    gpu_ms: Percentiles

    @model_validator(mode="after")
    def _holds(self) -> Times:
        if self.gpu_ms.p50 > 1.05 * self.host_ms.p50:  # two clocks, and figures that were rounded
            raise ValueError("the GPU took longer than the host waited for it")
        return self


class Ratio(Part):
    """INT8's time over FP16's, with a 95 % interval."""

    value: Annotated[float, Field(gt=0, le=1e6)]
    low: Annotated[float, Field(gt=0, le=1e6)]
    high: Annotated[float, Field(gt=0, le=1e6)]

    @model_validator(mode="after")
    def _lies_inside(self) -> Ratio:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"the ratio {self.value} is outside of its interval {self.low} to {self.high}")
        return self


class Ratios(Part):
    """By either clock."""

    host_ms: Ratio
    gpu_ms: Ratio


class Latency(Part):
    """Both engines, timed in turn; ``no_cuda_graph`` says why an engine ran without one, or nothing.

    Times are of a run of so many ``images``.
    """

    runs: Count
    rounds: Count
    int8: Times | None = None
    fp16: Times | None = None
    ratio: Ratios | None
    spin_wait: bool
    images: Images = 1
    no_cuda_graph: dict[Precision, Annotated[str, Field(max_length=300)]]

    @model_validator(mode="after")
    def _follows(self) -> Latency:
        if (self.int8 is None or self.fp16 is None) != (self.ratio is None):
            raise ValueError("a ratio is of two engines")
        if self.int8 and self.fp16 and self.ratio:
            for clock in ("host_ms", "gpu_ms"):
                quotient = getattr(self.int8, clock).p50 / getattr(self.fp16, clock).p50
                said = getattr(self.ratio, clock)
                # A median of quotients is not the quotient of medians; a quarter is beyond any such excuse.
                if not said.low / 1.25 <= quotient <= said.high * 1.25:
                    raise ValueError(f"a ratio of {said.value} does not follow from the p50s, {quotient:.3f}")
        return self


class RailWatts(Part):
    """One rail in one phase."""

    mean: Watts
    max: Watts

    @model_validator(mode="after")
    def _bounded(self) -> RailWatts:
        if self.mean > self.max * (1 + 1e-3) + 1e-3:
            raise ValueError(f"a mean of {self.mean} W is above its greatest, {self.max} W")
        return self


class Phase(Part):
    """Rails while one engine ran, or while nothing did; ``milliseconds`` is what a run took then."""

    seconds: Annotated[float, Field(gt=0, le=1e5)]
    runs: Annotated[int, Field(ge=0, le=10**9)]
    milliseconds: Milliseconds | None
    readings: Count
    rails_w: dict[Text, RailWatts]


class Power(Part):
    """By the board's own sensors; energy by the total-input rail alone."""

    total_rail: Text | None
    phases: dict[Literal["idle", "int8", "fp16"], Phase]
    millijoules: dict[Precision, Annotated[float, Field(gt=0, le=1e9)]] | None

    @model_validator(mode="after")
    def _adds_up(self) -> Power:
        for precision, energy in (self.millijoules or {}).items():
            phase = self.phases.get(precision)
            rail = phase.rails_w.get(self.total_rail or "") if phase else None
            if phase is None or rail is None or phase.milliseconds is None:
                raise ValueError(f"the energy of {precision} was not measured")
            if abs(rail.mean * phase.milliseconds - energy) > 0.01 * energy + 1e-3:
                raise ValueError(f"{energy} mJ do not follow from {rail.mean} W for {phase.milliseconds} ms")
        return self


class GpuClock(Part):
    """Frequencies of the GPU, Hz."""

    cur: Hertz
    min: Hertz
    max: Hertz


class Conditions(Part):
    """Clocks and temperatures at one moment."""

    gpu_hz: GpuClock | None
    emc_hz: Hertz | None
    temperatures_c: dict[Text, Annotated[float, Field(ge=-60, le=250)]]


class Clocks(Part):
    """What the board was set to, and what it did before and after the timing."""

    power_mode: Text | None
    pinned: bool | None
    before: Conditions
    after: Conditions


class DeviceResult(Part):
    """A whole ``verify.json``."""

    schema_version: Literal[1]
    bundle: Text
    run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None  # of newer bundles
    manifest_sha256: Sha256
    measured_at: AwareDatetime
    board: Text | None
    tensorrt: Text
    compute_capability: Text
    l4t: str
    engines: dict[Precision, EngineRecord]
    golden: dict[Precision, Golden]
    passed: bool
    latency: Latency
    power: Power | None
    clocks: Clocks

    @model_validator(mode="after")
    def _agrees(self) -> DeviceResult:
        timed = {name for name in ("int8", "fp16") if getattr(self.latency, name) is not None}
        if not timed or not timed == set(self.engines) == set(self.golden):
            raise ValueError("engines, golden results and latencies are not of the same precisions")
        for precision, record in self.engines.items():
            if record.precision != precision:
                raise ValueError(f"the {precision} engine is {record.precision}")
            if any(getattr(record, f) != getattr(self, f) for f in ("tensorrt", "compute_capability", "l4t")):
                raise ValueError(f"the {precision} engine was not built where it was run")
        return self
