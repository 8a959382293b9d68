"""What quantisation gained and cost, a box for each bundle that is no float control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from edgeeff.report import figures, table
from edgeeff.report.figures import Scored, Timed
from edgeeff.report.material import Material, Subject
from edgeeff.report.sections.accuracy import spoken

ORDER = 25
TITLE = "At a glance"

#: Boxes at most: of more bundles the table says it better.
_MOST = 8


@dataclass(frozen=True)
class Fact:
    """A figure, what it is, and whether it is a missing one."""

    shown: str
    words: str
    absent: bool = False


def content(material: Material) -> Mapping[str, Any] | None:
    """Against the float control: how many times as fast, what of the accuracy is lost, how much smaller."""
    floats = [one for one in material.subjects if one.floating]
    others = [one for one in material.subjects if not one.floating]
    if not others or len(others) > _MOST:
        return None
    shown = []
    for subject in others:
        control = _control(material, subject, floats)
        facts = [*_speed(material, subject, control), *_cost(figures.accuracy(material, subject))]
        if control is not None and subject.size and control.size:
            facts.append(Fact(f"{table.three(control.size / subject.size)}×", f"smaller than {control.name}"))
        if facts:
            shown.append({"subject": subject, "facts": facts})
    return {"boxes": shown} if shown else None


def _control(material: Material, subject: Subject, floats: list[Subject]) -> Subject | None:
    """The float control of the same network: of the same runtime before others, timed before others."""
    same = [one for one in floats if one.facts.get("model") == subject.facts.get("model")]

    def rank(one: Subject) -> tuple[bool, bool, bool]:
        timed = figures.latency(material, one)
        widest = one.facts.get("precision") == "fp32"
        return one.facts.get("runtime") == subject.facts.get("runtime"), bool(timed and timed.p50), widest

    return max(same, key=rank, default=None)


def _speed(material: Material, subject: Subject, control: Subject | None) -> list[Fact]:
    own = figures.latency(material, subject)
    other = figures.latency(material, control) if control is not None else None
    if own is None:
        return []
    if own.p50 is None:
        return [Fact("NOT RUN", "latency", True)]
    if other is not None and other.report is own.report and control is not None:
        ratio = _ratio(own, other)
        if ratio:
            return [Fact(f"{table.three(1 / ratio)}×", f"as fast as {control.name}")]
    return [Fact(f"{table.three(own.p50)} ms", "median time of an image")]


def _ratio(own: Timed, other: Timed) -> float | None:
    """Of one report: ratios to one baseline, divided; else the medians."""
    if own.ratio and other.ratio:
        return own.ratio / other.ratio
    return own.p50 / other.p50 if own.p50 and other.p50 else None


def _by_chance(scored: Scored) -> bool:
    """Whether so few images cannot tell the loss from none.

    At most as many images as are decided otherwise change from right to wrong or back: n of N of these, by
    chance, leave a difference of more than 1.96 √n / N in one case of twenty.
    """
    if not scored.lost or scored.agreement is None or not scored.images:
        return False
    differ = (1 - scored.agreement) * scored.images
    return abs(scored.lost) / 100 * scored.images <= 1.96 * sqrt(differ)


def _cost(scored: Scored) -> list[Fact]:
    if scored.lost is not None:
        words = f"points of accuracy {'lost' if scored.lost >= 0 else 'gained'}"
        chance = "; no more than chance may make" if _by_chance(scored) else ""
        return [Fact(f"{abs(scored.lost):.2f}", f"{words} on {scored.images} images{chance}")]
    if scored.score is not None and scored.agreement is None:
        right = f"{100 * scored.score:.1f}\N{NO-BREAK SPACE}%"
        return [Fact(right, f"{spoken(scored.metric)} on {scored.images} images")]
    if scored.agreement is not None:
        agreed = f"{100 * scored.agreement:.1f}\N{NO-BREAK SPACE}%"
        return [Fact(agreed, f"decided as the float network does ({scored.images} images)")]
    if scored.sqnr is not None:
        return [Fact(f"{scored.sqnr:.1f}\N{NO-BREAK SPACE}dB", "SQNR against the float network")]
    return [Fact("NOT RUN", "accuracy", True)] if scored.not_run else []
