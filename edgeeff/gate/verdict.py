"""What a gate decides, as data: a verdict for each metric of each case, and the report of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from edgeeff.errors import EdgeeffError, ReportError
from edgeeff.harness.record import SCHEMA, Record
from edgeeff.metrics import json_number

Status = Literal["pass", "fail", "inconclusive", "error"]
Better = Literal["lower", "higher"]

#: The gravest first: what a report of several verdicts is.
GRAVITY: tuple[Status, ...] = ("fail", "error", "inconclusive", "pass")
EXIT_STATUS: Mapping[Status, int] = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 3}


@dataclass(frozen=True)
class Settle:
    """What would settle an inconclusive verdict; what is None says nothing.

    Args:
        launches: So many launches in all, instead of those that were made.
        images: So many labelled images.
        seconds: What these would take on this machine, in all.
    """

    launches: int | None = None
    images: int | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class Verdict:
    """One metric of one case.

    Args:
        case: What was compared: the name of a suite's case, or of the new bundle.
        metric: ``latency``, ``top_1`` (or the task's own metric), ``sqnr_centred``, ``agreement``, ``size``,
            ``memory``, ``load_time``.
        status: ``pass``: within the limit; ``fail``: worse; ``inconclusive``: measured, and not enough to
            say; ``error``: not measured, as where a bundle crashed. An error says nothing of the bundle's
            worth.
        value: What was measured; of a comparison the change for the worse. None where nothing was.
        unit: Of ``value``, ``low``, ``high`` and ``limit``: ``%``, ``points``, ``dB``, ``bytes``, ``MB``,
            ``ms``.
        low: Lower end of the interval that the verdict was decided by, or None.
        high: Its upper end, or None.
        limit: What ``value`` was held against, or None.
        better: Whether a ``lower`` or a ``higher`` value is the better one.
        why: One sentence that says how the status follows.
        settle: What would settle an inconclusive; None otherwise, or where nothing would.
        seconds: What it took to measure.
        measured: What was measured, as plain data: how, how often, each figure that was used.
        device: The board that it was measured on, as the user wrote it; None: this machine.
    """

    case: str
    metric: str
    status: Status
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    better: Better = "lower"
    why: str = ""
    settle: Settle | None = None
    seconds: float = 0.0
    measured: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None

    @property
    def place(self) -> str:
        """The case, and the board that it was measured on."""
        return self.case if self.device is None else f"{self.case} on {self.device}"

    def to_json(self) -> dict[str, Any]:
        """As plain data; what JSON has no number for is its name (``inf``). ``device`` of a board alone."""
        numbers = ("value", "low", "high", "limit", "seconds")
        left = (*numbers, "settle", "measured", *([] if self.device else ["device"]))
        data = {k: v for k, v in vars(self).items() if k not in left}
        for name in numbers:
            number = getattr(self, name)
            data[name] = None if number is None else json_number(number)
        data["settle"] = self.settle.to_json() if self.settle else None
        data["measured"] = dict(self.measured)
        return data


@dataclass(frozen=True)
class GateReport:
    """All verdicts of a gate.

    Args:
        verdicts: In the order of the cases.
        record: Which run this is, of which bundles, when and where; None where no bundle could be read.
        warnings: What the reader must not miss.
        others: Of a suite on several devices the records of the others.
    """

    verdicts: tuple[Verdict, ...]
    record: Record | None = None
    warnings: tuple[str, ...] = ()
    others: tuple[Record, ...] = ()

    def by_place(self) -> list[GateReport]:
        """A report for each place that was measured on: figures of two environments are two runs.

        Verdicts of a board that could not be reached are a report without a record.
        """
        if not self.others or self.record is None:
            return [self]
        found, seen = [], set()
        for one in (self.record, *self.others):
            mine = tuple(verdict for verdict in self.verdicts if verdict.device == one.device)
            found.append(GateReport(mine, one, self.warnings))
            seen.add(one.device)
        rest = tuple(verdict for verdict in self.verdicts if verdict.device not in seen)
        return [*found, *([GateReport(rest, None, self.warnings)] if rest else [])]

    @property
    def status(self) -> Status:
        """The gravest of the verdicts: fail, error, inconclusive, pass. Without any verdict an error."""
        found = {verdict.status for verdict in self.verdicts}
        return next((status for status in GRAVITY if status in found), "error")

    @property
    def exit_status(self) -> int:
        """0 pass, 1 fail, 2 error, 3 inconclusive."""
        return EXIT_STATUS[self.status]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "status": self.status,
            "exit_status": self.exit_status,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "warnings": list(self.warnings),
            "record": self.record.to_json() if self.record else None,
        }

    @classmethod
    def from_json(cls, data: object, source: str = "the report") -> GateReport:
        """The reverse of :meth:`to_json`, of data that may come from anywhere.

        Args:
            data: What a JSON file holds.
            source: What messages call it, such as the file's name.

        Raises:
            ReportError: It is no report of a gate, or of a newer schema.
        """
        record = data.get("record") if isinstance(data, dict) else None
        version = record.get("schema_version") if isinstance(record, dict) else None
        if type(version) is int and version > SCHEMA:
            raise ReportError(
                f"{source} has schema {version}, this version of edgeeff reads up to {SCHEMA}",
                mend="update edgeeff",
            )
        try:
            content = _ReportFile.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            raise ReportError(
                f"{source} is no report of a gate: {where}: {first['msg']}",
                mend="pass what `edgeeff gate --json` printed",
            ) from None
        verdicts = [
            Verdict(**{**dict(one), "settle": Settle(**dict(one.settle)) if one.settle else None})
            for one in content.verdicts
        ]
        recorded = (
            Record(**{k: v for k, v in content.record if k != "schema_version"}) if content.record else None
        )
        return cls(tuple(verdicts), recorded, tuple(content.warnings))


def unmeasured(verdict: Verdict, error: EdgeeffError) -> Verdict:
    """A verdict that could not be measured: the error says why; ``printed`` is what a process printed."""
    what, _, printed = error.what.partition("\n")
    measured = {**verdict.measured, **({"printed": printed} if printed else {})}
    return replace(verdict, status="error", why=f"{what.rstrip(':')} ({error.mend})", measured=measured)


class _SettleFile(BaseModel):
    launches: int | None = Field(None, ge=1)
    images: int | None = Field(None, ge=1)
    seconds: float | None = None


class _VerdictFile(BaseModel):
    case: str
    metric: str
    status: Status
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    better: Better = "lower"
    why: str = ""
    settle: _SettleFile | None = None
    seconds: float = 0.0
    measured: dict[str, Any] = {}
    device: str | None = None


class _RecordFile(BaseModel):
    schema_version: int
    kind: Literal["gate"]
    run_id: str = Field(pattern="^[0-9a-f]{32}$")
    utc: str
    bundles: dict[str, str]
    environment: dict[str, Any]
    about: dict[str, dict[str, Any]] = {}
    commit: str | None = None
    device: str | None = None
    host: dict[str, Any] | None = None


class _ReportFile(BaseModel):
    verdicts: list[_VerdictFile]
    warnings: list[str] = []
    record: _RecordFile | None
