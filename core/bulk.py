"""Writing many rows with one statement.

On PostgreSQL the values of all rows are one JSON parameter, which `json_to_recordset` turns into rows: neither Django
nor the driver handles them one by one. SQLite runs a prepared statement for each row. Names come from the model alone.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from django.db import connections, models, router


def update_many(rows: Iterable[models.Model], names: Sequence[str]) -> None:
    """Write the columns `names` (attribute names) of existing rows of one model, as they stand in memory.

    The twin of `QuerySet.bulk_update`, whose CASE for each column takes longer to build than the rows take to write.
    """
    instances = list(rows)
    if not instances or not names:
        return
    model = type(instances[0])
    pk: Any = model._meta.pk
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    connection = _connection(model)
    quote = connection.ops.quote_name
    table, key = quote(model._meta.db_table), quote(pk.column)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            values = [{field.column: getattr(row, field.attname) for field in (pk, *fields)} for row in instances]
            told = ", ".join(f"{quote(field.column)} = new.{quote(field.column)}" for field in fields)
            source = _recordset([pk, *fields], connection)
            cursor.execute(
                f"UPDATE {table} AS old SET {told} FROM {source} WHERE old.{key} = new.{key}",  # noqa: S608
                [orjson.dumps(values).decode()],
            )
        else:
            told = ", ".join(f"{quote(field.column)} = %s" for field in fields)
            cursor.executemany(
                f"UPDATE {table} SET {told} WHERE {key} = %s",  # noqa: S608
                [[_stored(f, getattr(row, f.attname), connection) for f in (*fields, pk)] for row in instances],
            )


def insert_many(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model, whose keys are set or given by the database (and then not told).

    The twin of `QuerySet.bulk_create`, which puts a statement together for every call.
    """
    if not rows:
        return
    model = type(rows[0])
    connection = _connection(model)
    statement, fields = _insert(model, connection.alias)
    with connection.cursor() as cursor:
        cursor.executemany(
            statement, [[_stored(field, getattr(row, field.attname), connection) for field in fields] for row in rows]
        )


@cache
def _insert(model: type[models.Model], alias: str) -> tuple[str, list[Any]]:
    fields: list[Any] = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    quote = connections[alias].ops.quote_name
    columns, places = ", ".join(quote(field.column) for field in fields), ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({places})", fields  # noqa: S608


def _connection(model: type[models.Model]) -> Any:
    return connections[router.db_for_write(model)]


def _recordset(fields: Sequence[Any], connection: Any) -> str:
    quote = connection.ops.quote_name
    typed = (f"{quote(f.column)} {f.db_type(connection)}" for f in fields)
    return f"json_to_recordset(%s) AS new({', '.join(typed)})"


def _stored(field: Any, value: Any, connection: Any) -> Any:
    return field.get_db_prep_save(value, connection)
