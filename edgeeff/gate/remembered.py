"""What the history knows of a case: runs of its bundles on its device class tell what days differ by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeeff.errors import EdgeeffError
from edgeeff.gate.against import Runs
from edgeeff.gate.suite import Case
from edgeeff.harness import device_class
from edgeeff.harness.latency import clock_of
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
    """Times of an image by launch: of gates against a baseline, and of ``bench`` in the same conditions."""
    from edgeeff.history.database import reading
    from edgeeff.history.finding import Filter, runs

    manifest = case.bundle.manifest
    images = manifest.batch.size
    clock = clock_of((case.bundle,), case.threads)
    kinds = (
        (Filter(kind="gate", metric=f"alone_{clock}_ms"), f"threads={case.threads}", 1),
        (Filter(kind="latency", metric="cpu_ms"), f"threads={case.threads} images={images}", images),
    )
    found: dict[str, list[tuple[float, ...]]] = {}
    with reading(where) as connection:
        for wanted, conditions, divided in kinds if clock == "cpu" else kinds[:1]:
            asked = replace(wanted, bundle=case.name, target=manifest.target)
            for run in [] if connection is None else runs(connection, asked, limit=_MOST):
                distributions = device_class.distributions(case.bundle.runtime, run.environment)
                facts = device_class.facts(run.environment, distributions)
                if device_class.digest(facts) != series:
                    continue
                for result in run.results:
                    times = tuple(sample / divided for sample in result.samples)
                    if result.conditions == conditions and len(times) > 1 and min(times) > 0:
                        found.setdefault(result.digest, []).append(times)
    return found
