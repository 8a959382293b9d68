"""edgeeff history migrate: an older database brought to this schema."""

from __future__ import annotations

from edgeeff.cli import console
from edgeeff.cli.history import _asked as asked


def command(database: asked.Database = None, json: asked.Json = False) -> None:
    """Bring an older database to this version's schema; of an SQLite file a copy is made first.

    SQLite is migrated whenever it is used. PostgreSQL waits for this: an older edgeeff that still writes
    there cannot any more then. Make a copy with pg_dump before.
    """
    from edgeeff.history import place
    from edgeeff.history.database import migrate
    from edgeeff.history.schema import HEAD

    where = place.to_read(database)
    before = migrate(where)
    if json:
        console.as_json({"database": str(where), "before": before, "now": HEAD if before else None})
    elif before is None:
        console.plain(f"{where}: nothing is stored there")
    else:
        console.plain(f"{where}: schema {HEAD}{'' if before == HEAD else f', which was {before} before'}")
