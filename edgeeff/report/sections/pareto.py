"""Latency against accuracy: which bundles no other one beats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import figures, table
from edgeeff.report.drawing import axis, scatter
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.scatter import Point
from edgeeff.report.figures import Scored
from edgeeff.report.material import Material
from edgeeff.report.sections.accuracy import spoken

ORDER = 40
TITLE = "Latency against accuracy"

#: What stands for accuracy, the first that most bundles have.
_MEASURES = ("score", "agreement", "sqnr")


def content(material: Material) -> Mapping[str, Any] | None:
    """The figure of one machine; None where fewer than two bundles have both figures."""
    main, basis, both = figures.main_conditions(material), figures.main_basis(material), []
    for subject in material.subjects:
        timed, scored = figures.latency(material, subject), figures.accuracy(material, subject)
        if timed is None or timed.p50 is None:
            continue
        if figures.conditions(timed) == main and scored.basis == basis:
            both.append((subject, timed.p50, scored))
    counts = {name: sum(_value(s, name) is not None for _, _, s in both) for name in _MEASURES}
    measure = max(_MEASURES, key=lambda name: (counts[name], -_MEASURES.index(name)))
    if counts[measure] < 2:
        return None
    metrics = {scored.metric for _, _, scored in both if scored.metric}
    if measure == "score" and len(metrics) > 1:
        return None  # two tasks on one axis would compare nothing
    named = _named(measure, next(iter(metrics), ""))
    points = []
    for subject, x, scored in both:
        y = _value(scored, measure)
        if y is not None:
            interval = {"score": scored.interval, "agreement": scored.agreed}.get(measure)
            ends = (100 * interval[0], 100 * interval[1]) if interval else None
            title = f"{subject.name}: {table.three(x)} ms, {y:.1f} {'dB' if measure == 'sqnr' else '%'}"
            points.append(Point(x, y, subject.letter, subject.name, subject.colour, ends, title))
    across = Axis.of([p.x for p in points], zero=True, margin=0.08)
    seen = [end for p in points for end in (p.y, *(p.interval or ()))]
    up = Axis.of(seen, least=1.0, most=None if measure == "sqnr" else 100.0)
    best = [p.name for p in scatter.front(points)]
    drawn = scatter.scatter(
        points,
        across,
        up,
        labels=("median time of an image, ms → less is better", f"{named} ↑ more is better"),
        written=(axis.plain(across.ticks), axis.plain(up.ticks)),
        label=f"{len(points)} bundles by latency and {named}; not beaten: {', '.join(best)}",
    )
    shown = [(s, p.name in best) for s, _, _ in both for p in points if p.letter == s.letter]
    left_out = [s.name for s in material.subjects if s.letter not in {p.letter for p in points}]
    return {"figure": drawn, "shown": shown, "left_out": left_out, "measure": named}


def _value(scored: Scored, measure: str) -> float | None:
    found = {"score": scored.score, "agreement": scored.agreement, "sqnr": scored.sqnr}[measure]
    if found is None or abs(found) == float("inf"):
        return None
    return found if measure == "sqnr" else 100 * found


def _named(measure: str, metric: str) -> str:
    if measure == "score":
        return f"{spoken(metric)}, %"
    return "agreement with the float network, %" if measure == "agreement" else "SQNR, dB"
