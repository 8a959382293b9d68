"""How a training went: its curves, and what the network is worth at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from edgeeff.report import values
from edgeeff.report.drawing.curves import Curve, curves
from edgeeff.report.material import Material, Report
from edgeeff.report.table import Cell, Column, Table

ORDER = 5
TITLE = "Training"

#: Epochs of a curve at most.
_MOST = 2000
_NAMES = {
    "top_1": "top-1",
    "mean_average_precision": "mean average precision",
    "mean_iou": "mean IoU",
    "map": "mAP",
    "map_50": "AP50",
    "map_75": "AP75",
    "f1": "F1",
}
#: Figures of the scores that are no measure of them.
_COUNTS = ("classes", "labels", "images", "boxes", "threshold")


def content(material: Material) -> Mapping[str, Any] | None:
    """For each training its scores, and two figures for each phase: losses, and what was judged."""
    shown = [_training(report) for report in material.of("training")]
    return {"trainings": shown} if shown else None


def _training(report: Report) -> Mapping[str, Any]:
    phases = [
        {"name": name, "epochs": len(epochs), "figures": _figures(name, epochs)}
        for name, held in values.items(report.data, "history")
        if (epochs := [one for one in (held if isinstance(held, list | tuple) else []) if _epoch(one)])
    ]
    return {
        "checkpoint": values.text(report.data, "checkpoint"),
        "task": values.text(report.data, "task"),
        "scores": _scores(report.data),
        "phases": phases,
        "warnings": values.sentences(report.data, "warnings"),
    }


def _epoch(entry: Any) -> int:
    return min(values.whole(entry, "epoch") or 0, _MOST)


def _figures(name: str, epochs: Sequence[Any]) -> list[Markup]:
    drawn = []
    losses = [
        ("photos that are learnt", "c1", _points(epochs, "loss")),
        ("photos that judge", "c0", _points(epochs, "validation_loss")),
    ]
    known: list[Curve] = [one for one in losses if one[2]]
    if known:
        drawn.append(curves(known, "loss: orange learnt, blue judged", f"Losses of {name}, epoch by epoch"))
    judged = _points(epochs, "value")
    if judged:
        best = max(judged, key=lambda point: (point[1], -_loss(epochs, point[0])))[0]
        what = next((_NAMES[key] for key in _NAMES if values.number(epochs[0], key) == judged[0][1]), "score")
        label = f"{what} of {name} on the photos that judge, epoch by epoch"
        drawn.append(curves([(what, "c0", judged)], what, label, best))
    return drawn


def _loss(epochs: Sequence[Any], epoch: int) -> float:
    """Of the photos that judge, which decides between equal scores."""
    found = [one for one in epochs if _epoch(one) == epoch]
    loss = values.number(found[0], "validation_loss") if found else None
    return 0.0 if loss is None else loss


def _points(epochs: Sequence[Any], key: str) -> list[tuple[int, float]]:
    return [(_epoch(one), value) for one in epochs if (value := values.number(one, key)) is not None]


def _scores(data: Any) -> Table:
    rows = []
    for name, value in values.items(data, "scores"):
        found = values.number(value, "value") if isinstance(value, Mapping) else values.number(value)
        if found is not None and name not in _COUNTS:
            rows.append((Cell(_NAMES.get(name, name)), Cell(f"{found:.4g}", found)))
    return Table.of("On the photos that judge", (Column("score"), Column("value", True)), rows, 40)
