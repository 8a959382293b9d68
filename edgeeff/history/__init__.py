"""Every report in a database, to be listed, plotted, and searched for the run since which a figure changed.

SQLite in the user's state folder, or what ``EDGEEFF_HISTORY`` names. SQLAlchemy is loaded only where
something is stored or asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeeff.history.storing import Stored


def remember(*reports: Mapping[str, Any], database: str | None = None) -> Stored | None:
    """Store reports, all or none of them; a report that is there already is left as it is.

    Args:
        reports: What ``to_json`` gives of a report with a record. Reports of one run, as of several bundles
            that were evaluated together, are passed together.
        database: A file or an URL; None: as ``EDGEEFF_HISTORY`` says, else the user's own.

    Returns:
        Where they are, once they are committed; None where there is no history: it is switched off, or its
        extra is not installed and no database was named.

    Raises:
        ReportError: One is no report, or of a newer schema.
        HistoryError: The database is locked, read-only, unreachable, of another program or another schema.
        OptionError: ``EDGEEFF_HISTORY`` names no database.
        MissingRuntimeError: A database was named, and what it needs is not installed.
    """
    from edgeeff.history import place

    where = place.to_read(database) if database else place.to_store()
    if where is None:
        return None
    from edgeeff.history import reports as understood
    from edgeeff.history import storing

    return storing.store(where, understood.together([understood.read(report) for report in reports]))
