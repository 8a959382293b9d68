"""What the history knows of a case: runs of its bundles on its device class tell what days differ by."""

from __future__ import annotations

from collections.abc import Callable

from edgeeff.errors import EdgeeffError
from edgeeff.gate import device_class
from edgeeff.gate.against import Runs
from edgeeff.gate.suite import Case
from edgeeff.history import place

#: Runs that are looked at, the newest.
_MOST = 500


def known(warn: Callable[[str], None]) -> Callable[[Case, str], Runs]:
    """A function that gives the runs of a case's bundles, none where there is no history.

    Args:
        warn: Called where the history cannot be read: the gate decides without it.
    """

    def ask(case: Case, series: str) -> Runs:
        try:
            where = place.to_store()
            return {} if where is None else _runs(where, case, series)
        except EdgeeffError as error:
            warn(f"the history was not read: {error.what}; {error.mend}")
            return {}

    return ask


def _runs(where: place.Place, case: Case, series: str) -> Runs:
    from edgeeff.history.database import reading
    from edgeeff.history.finding import Filter, runs

    manifest = case.bundle.manifest
    images = manifest.batch.size
    conditions = f"threads={case.threads} images={images}"
    distributions = device_class.distributions(case.bundle.runtime)
    wanted = Filter(bundle=case.name, target=manifest.target, metric="cpu_ms", kind="latency")
    with reading(where) as connection:
        stored = [] if connection is None else runs(connection, wanted, limit=_MOST)
    found: dict[str, list[tuple[float, ...]]] = {}
    for run in stored:
        if device_class.digest(device_class.facts(run.environment, distributions)) != series:
            continue
        for result in run.results:
            if result.conditions == conditions and len(result.samples) > 1 and min(result.samples) > 0:
                times = tuple(sample / images for sample in result.samples)
                found.setdefault(result.digest, []).append(times)
    return found
