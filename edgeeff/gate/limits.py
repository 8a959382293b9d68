"""What a suite may limit, in which unit, and how a limit is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: A metric's limit; None: it is not measured.
Limit = float | None

#: The unit of each metric's limit: how much worse the new bundle may be.
UNITS: Mapping[str, str] = {
    "latency": "%",
    "top_1": "points",
    "sqnr_centred": "dB",
    "agreement": "points",
    "size": "%",
    "memory": "%",
    "load_time": "%",
}
#: Where nothing is said.
DEFAULTS: Mapping[str, Limit] = {
    "latency": 3.0,
    "top_1": 1.0,
    "sqnr_centred": 1.0,
    "agreement": 2.0,
    "size": 1.0,
    "memory": 10.0,
    "load_time": 50.0,
}
#: Metrics that images are needed for.
OF_IMAGES = ("top_1", "sqnr_centred", "agreement")
OFF = "off"
#: More is a slip of the pen: no machine that runs these bundles has so many processors.
MOST_THREADS = 1024


def read_limit(metric: str, said: Any) -> Limit:
    """A limit as it is written: ``3 %``, ``0.5 points``, ``1 dB``, or ``off``.

    Raises:
        ValueError: It is written in another way; the message says how.
    """
    if metric not in UNITS:
        raise ValueError(f"there is no metric {metric!r:.80}; the metrics are {', '.join(UNITS)}")
    if said == OFF:
        return None
    unit = UNITS[metric]
    # A unit has to stand there: a bare 0.03 may be meant as 3 %, or as 0.03 %.
    found = (
        re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,9})?)\s*(%|points?|dB)\s*", said, re.ASCII)
        if isinstance(said, str)
        else None
    )
    if found is None or found[2].removesuffix("s") != unit.removesuffix("s") or float(found[1]) == 0:
        raise ValueError(f'{metric} = {said!r:.40}; write {metric} = "{DEFAULTS[metric]:g} {unit}", or "off"')
    return float(found[1])
