"""Rows as JSON texts made by PostgreSQL: what is stored is not read into Python only to be written again.

The text of a row says what `core.api.renderer.dumps` would write of the same values, apart from the order of keys and
spaces. SQLite has no such expressions here; the callers build their answers in Python there, and a test compares both.
"""

from typing import Any, Final

from django.db import connection
from django.db.models import BooleanField, Expression, F, Func, IntegerField, JSONField, TextField


def made_by_database() -> bool:
    return connection.vendor == "postgresql"


class JSONText(Func):
    """An object of the given columns, as text. `FrozenJSON` among them is taken as it stands.

    Written piece by piece: `json_build_object` looks its arguments' types up for every row and reads JSON again to
    check it, which took twice as long. `to_json` does so, too; it is left for texts that may need an escape.
    """

    PIECES: Final = 90  # a function takes a hundred arguments at most

    def __init__(self, **columns: Expression | F) -> None:
        self.names = list(columns)
        super().__init__(*columns.values(), output_field=TextField())

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        pieces, parameters, before = [], [], "{"
        for name, expression in zip(self.names, self.get_source_expressions(), strict=True):
            text, values = compiler.compile(expression)
            pieces.append(f"'{before}\"{name}\":'")
            pieces.append(_as_json(expression, text))
            parameters.extend(values)
            before = ","
        pieces.append("'}'")
        starts = range(0, len(pieces), self.PIECES)
        calls = (f"concat({', '.join(pieces[start : start + self.PIECES])})" for start in starts)
        return f"({' || '.join(calls)})", parameters


def _as_json(expression: Any, text: str) -> str:
    """The SQL of an expression's value as a JSON text, given the SQL of the value."""
    if isinstance(expression, FrozenJSON):
        return text
    if isinstance(expression, PlainText | MomentText):
        return f"coalesce('\"' || {text} || '\"', 'null')"
    if isinstance(expression.output_field, IntegerField | BooleanField | JSONField):
        return f"coalesce(({text})::text, 'null')"
    return f"coalesce(to_json({text})::text, 'null')"


class PlainText(Func):
    """Text of our own making in which nothing needs an escape: an id, a status."""

    function = None
    template = "%(expressions)s"
    output_field = TextField()


class MomentText(Func):
    """A moment in UTC as the API writes it: microseconds where there are any, and `Z`."""

    template = (
        "replace(to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000Z', 'Z')"
    )
    output_field = TextField()


class FrozenJSON(Func):
    """JSON that is stored as bytes, passed through."""

    template = "convert_from(%(expressions)s, 'UTF8')"
    output_field = TextField()
