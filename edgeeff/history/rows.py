"""Rows of the database as its schema has them: SQLite takes any value anywhere, and files get damaged."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Connection

from edgeeff.errors import HistoryError

_MEND = "take a copy of it that is whole, or name another database with EDGEEFF_HISTORY"
#: The only JSON of the schema that is a list, of numbers.
_LIST = "samples"


def fetched(connection: Connection, asked: Any) -> list[Any]:
    """All rows that a statement finds.

    Raises:
        HistoryError: One holds what edgeeff does not write.
    """
    columns = [next(iter(column.base_columns)) for column in asked.selected_columns]
    try:
        rows = list(connection.execute(asked))
    except (ValueError, TypeError, OverflowError) as error:  # no JSON, or no UTF-8
        raise HistoryError(f"the history is damaged: {str(error)[:200]}", mend=_MEND) from None
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            if not _is_right(column, value):
                raise HistoryError(
                    f"the history is damaged: {column} is {str(value)[:40]!r}, which edgeeff does not write",
                    mend=_MEND,
                )
    return rows


def _is_right(column: Any, value: Any) -> bool:
    if value is None:
        return bool(column.nullable)
    if isinstance(column.type, JSON):
        if column.name != _LIST:
            return isinstance(value, dict)
        return isinstance(value, list) and all(type(number) in (int, float) for number in value)
    wanted = column.type.python_type
    return type(value) in ((int, float) if wanted is float else (wanted,))
