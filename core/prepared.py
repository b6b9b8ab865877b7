"""Queries that are put into SQL once and asked often: Django takes longer to write a wide query than to run it.

PostgreSQL, too, plans them once a connection (core/planned.py): that of one task took six times as long as its row.

What differs from call to call stands in the query as a placeholder (`after`, `now` ...) and is filled in when it is
asked. The SQL is Django's own; nothing but its text and parameters is remembered, by a key that must tell apart all
that shapes the query. Rows come as the driver gives them, without Django's converters: select text and numbers.
"""

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from core.planned import planned_once

MOST_KEPT: Final = 1_000

# Placeholders: values that nobody else uses, recognised among a compiled query's parameters.
NOW: Final = datetime(1, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
NUMBER: Final = 8_070_605_040_302_010_907
TEXT: Final = "\ue000a text to be given\ue000"
_PLACEHOLDERS: Final = {"now": NOW, "number": NUMBER, "text": TEXT}

Row = tuple[Any, ...]
_kept: dict[Hashable, tuple[str, tuple[Any, ...]]] = {}


def rows(key: Hashable, query: Callable[[], QuerySet[Any, Any]], **values: Any) -> list[Row]:
    """The rows of `query()`, a `values_list`, with `values` in place of the placeholders of those names."""
    compiled = _kept.get((connection.vendor, key))
    if compiled is None:
        try:
            compiled = query().query.sql_with_params()
        except EmptyResultSet:  # a filter that nothing can pass
            return []
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[connection.vendor, key] = compiled
    sql, parameters = compiled
    with planned_once(), connection.cursor() as cursor:
        cursor.execute(sql, [_filled(parameter, values) for parameter in parameters])
        found: list[Row] = cursor.fetchall()
    return found


def _filled(parameter: Any, values: Mapping[str, Any]) -> Any:
    for name, value in values.items():
        if parameter == _PLACEHOLDERS[name]:
            return value
    return parameter
