"""Queries that are put into SQL once and asked often: Django takes longer to write a wide query than to run it.

PostgreSQL, too, plans them once a connection (core/planned.py): that of one task took six times as long as its row.

What differs from call to call stands in the query as a placeholder (`after`, `now` ...) and is filled in when it is
asked. The SQL is Django's own; nothing but its text and parameters is remembered, by a key that must tell apart all
that shapes the query.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet, Value

from core.planned import planned_once

M = TypeVar("M", bound=Model)
Row = tuple[Any, ...]

MOST_KEPT: Final = 1_000

# Placeholders: values that nobody else uses, recognised among a compiled query's parameters.
NOW: Final = datetime(1, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
LATER: Final = datetime(1, 1, 3, 4, 5, 6, 789_012, tzinfo=UTC)
NUMBER: Final = 8_070_605_040_302_010_907
TEXT: Final = "\ue000a text to be given\ue000"
_PLACEHOLDERS: Final = {"now": NOW, "later": LATER, "number": NUMBER, "text": TEXT}


class FixedMoment(Value):
    """A moment in the text of the query, not beside it: so a plan that is made once sees that it fits an index."""

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return f"'{self.value.isoformat()}'::timestamptz", []


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A query as SQL; for whole rows also what Django makes of them."""

    sql: str
    parameters: Row
    model: type[Model]
    names: tuple[str, ...] = ()
    converters: tuple[tuple[int, Any, Any], ...] = ()
    """Column by number, the functions that its value passes, and the expression that they ask for."""


_kept: dict[Hashable, _Compiled] = {}


def rows(key: Hashable, query: Callable[[], QuerySet[Any, Any]], *, binary: bool = False, **values: Any) -> list[Row]:
    """The rows of `query()`, a `values_list`, with `values` in place of the placeholders of those names.

    They come as the driver gives them, without Django's converters: select text and numbers, and bytes with `binary`.
    """
    compiled = _compiled(key, query)
    return [] if compiled is None else _ask(compiled, values, binary=binary)


def instances(key: Hashable, query: Callable[[], "QuerySet[M, M]"], **values: Any) -> list[M]:
    """The same for whole rows of one model, unjoined: the instances that iterating over `query()` would give.

    What else it is annotated with is found among an instance's attributes, too.
    """
    compiled = _compiled(key, query)
    if compiled is None:
        return []
    found: list[Any] = []
    for row in _ask(compiled, values):
        cells = list(row)
        for number, functions, expression in compiled.converters:
            for function in functions:
                cells[number] = function(cells[number], expression, connection)
        found.append(compiled.model.from_db(connection.alias, compiled.names, cells))
    return found


def _compiled(key: Hashable, query: Callable[[], QuerySet[Any, Any]]) -> _Compiled | None:
    """The query as it was put into SQL the first time; None for one whose filter nothing can pass."""
    compiled = _kept.get((connection.vendor, key))
    if compiled is None:
        asked = query()
        compiler = asked.query.get_compiler(connection.alias)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None
        selected = [expression for expression, *_more in compiler.select or ()]
        converters: Mapping[int, Any] = compiler.get_converters(selected)
        compiled = _Compiled(
            sql,
            tuple(parameters),
            asked.model,
            tuple(
                alias or getattr(getattr(expression, "target", None), "attname", "")
                for expression, _sql, alias in compiler.select or ()
            ),
            tuple((number, *converter) for number, converter in converters.items()),
        )
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[connection.vendor, key] = compiled
    return compiled


def _ask(compiled: _Compiled, values: Mapping[str, Any], *, binary: bool = False) -> list[Row]:
    with planned_once(binary=binary), connection.cursor() as cursor:
        cursor.execute(compiled.sql, [_filled(parameter, values) for parameter in compiled.parameters])
        found: list[Row] = cursor.fetchall()
    return found


def _filled(parameter: Any, values: Mapping[str, Any]) -> Any:
    for name, value in values.items():
        if parameter == _PLACEHOLDERS[name]:
            return value
        if isinstance(value, datetime) and isinstance(parameter, str) and parameter == _as_stored(_PLACEHOLDERS[name]):
            return _as_stored(value)
    return parameter


def _as_stored(moment: Any) -> Any:
    """The moment as a filter hands it to the driver: SQLite's are texts."""
    return connection.ops.adapt_datetimefield_value(moment)


def forget() -> None:
    """Put everything into SQL anew: for tests that change how it is made."""
    _kept.clear()
