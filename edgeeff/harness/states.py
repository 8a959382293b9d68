"""What a pass has added up, as arrays and as JSON: an .npz holds both, and is read without unpickling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.harness.judging import Lane
from edgeeff.metrics import Noise
from edgeeff.tasks import Fidelity, Scorer

Arrays = Mapping[str, npt.NDArray[Any]]
#: What the names of a scorer's arrays begin with.
OWN, REFERENCE = "own/", "reference/"


def arrays(lane: Lane) -> dict[str, npt.NDArray[Any]]:
    """What a lane has added up, but for numbers that JSON holds."""
    found = {f"{OWN}{name}": array for name, array in lane.scorer.state().items()}
    if lane.leads and lane.reference_scorer is not None:
        found |= {f"{REFERENCE}{name}": array for name, array in lane.reference_scorer.state().items()}
    if lane.decided is not None:
        found["decided"] = lane.decided
    return found


def filled(lane: Lane, seen: Arrays) -> tuple[Scorer, Scorer | None, npt.NDArray[np.int32] | None]:
    """New scorers of a lane that have seen what the arrays say, and its decisions.

    Raises:
        ValueError, KeyError: They are no arrays of such a lane.
    """

    def fresh(part: str, name: str) -> Scorer:
        made = lane.meaning.scorer(lane.bundle.manifest.classes, name)
        add(made, seen, part)
        return made

    other = None
    if lane.leads and lane.reference is not None:
        other = fresh(REFERENCE, lane.reference.bundle.name)
    decided = seen.get("decided")
    if (decided is None) is not (lane.decided is None):
        raise ValueError("decisions are there for another task")
    if decided is not None and lane.decided is not None and decided.shape != lane.decided.shape:
        raise ValueError(f"decisions of {decided.shape} images")
    return fresh(OWN, lane.bundle.name), other, decided


def add(scorer: Scorer, seen: Arrays, part: str) -> None:
    """Add to a scorer what the arrays of a part, :data:`OWN` or :data:`REFERENCE`, say.

    Raises:
        ValueError, KeyError: They are no arrays of such a scorer.
    """
    state = {name.removeprefix(part): array for name, array in seen.items() if name.startswith(part)}
    if state:
        scorer.add(state)


def written(found: Fidelity) -> dict[str, Any]:
    """As JSON, in which Python writes numbers such that the same ones are read."""
    return {
        **{name: getattr(found, name) for name in ("images", "agreeing", "decisions")},
        "cosine": dict(found.cosine),
        "together": found.together,
        **{
            kind: {name: [noise.signal, noise.noise] for name, noise in getattr(found, kind).items()}
            for kind in ("noise", "centred")
        },
    }


def read(said: Mapping[str, Any]) -> Fidelity:
    """What :func:`written` wrote.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is something else.
    """
    noise, centred = (
        {name: Noise(float(a), float(b)) for name, (a, b) in said[kind].items()}
        for kind in ("noise", "centred")
    )
    counts = {name: int(said[name]) for name in ("images", "agreeing", "decisions")}
    cosine = {name: float(total) for name, total in said["cosine"].items()}
    together = bool(said.get("together", False))
    return Fidelity(**counts, noise=noise, centred=centred, cosine=cosine, together=together)
