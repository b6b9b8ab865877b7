"""Writing many rows with one statement.

On PostgreSQL the values of all rows are one JSON parameter, which `json_to_recordset` turns into rows: neither Django
nor the driver handles them one by one. SQLite runs a prepared statement for each row. Names come from the model alone.
"""

from collections.abc import Iterable, Mapping, Sequence
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


def insert_columns(model: type[models.Model], rows: Sequence[Mapping[str, Any]], *, skip_known: bool = False) -> None:
    """Insert rows that are told as columns (attribute names); all rows tell the same ones, and the database the rest.

    `skip_known`: a row that meets a unique key of another one is left out. The twin of `QuerySet.bulk_create`, which
    looks at every value of every row three times.
    """
    if not rows:
        return
    connection = _connection(model)
    fields: list[Any] = [model._meta.get_field(name) for name in rows[0]]
    quote = connection.ops.quote_name
    table, columns = quote(model._meta.db_table), ", ".join(quote(field.column) for field in fields)
    rest = "ON CONFLICT DO NOTHING" if skip_known else ""
    if connection.vendor == "postgresql":
        names = [(field.column, field.attname) for field in fields]
        values = [{column: row[name] for column, name in names} for row in rows]
        source = f"SELECT {columns} FROM {_recordset(fields, connection)}"  # noqa: S608
        with connection.prepared_cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} ({columns}) {source} {rest}", [orjson.dumps(values, _hex).decode()])
        return
    places = ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({places}) {rest}",  # noqa: S608
            [[_stored(field, row[field.attname], connection) for field in fields] for row in rows],
        )


def update_columns(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], *, where: Sequence[str], also: Mapping[str, Any]
) -> int:
    """Write rows that are told as columns (attribute names) where those in `where`, a key among them, are as told.

    `also` is written in each of them. Returns how many were found. All rows tell the same columns.
    """
    if not rows:
        return 0
    connection = _connection(model)
    fields: list[Any] = [model._meta.get_field(name) for name in rows[0]]
    quote = connection.ops.quote_name
    table, told = quote(model._meta.db_table), [field for field in fields if field.attname not in where]
    found = [field for field in fields if field.attname in where]
    constant: list[Any] = [model._meta.get_field(name) for name in also]
    same = [f"{quote(field.column)} = %s" for field in constant]
    values_of_all = [_stored(field, also[field.attname], connection) for field in constant]
    if connection.vendor == "postgresql":
        names = [(field.column, field.attname) for field in fields]
        values = [{column: row[name] for column, name in names} for row in rows]
        sets = ", ".join([*same, *(f"{quote(field.column)} = new.{quote(field.column)}" for field in told)])
        agrees = " AND ".join(f"old.{quote(field.column)} = new.{quote(field.column)}" for field in found)
        with connection.prepared_cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} AS old SET {sets} FROM {_recordset(fields, connection)} WHERE {agrees}",  # noqa: S608
                [*values_of_all, orjson.dumps(values, _hex).decode()],
            )
            return int(cursor.rowcount)
    sets = ", ".join([*same, *(f"{quote(field.column)} = %s" for field in told)])
    agrees = " AND ".join(f"{quote(field.column)} = %s" for field in found)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET {sets} WHERE {agrees}",  # noqa: S608
            [
                [*values_of_all, *(_stored(field, row[field.attname], connection) for field in (*told, *found))]
                for row in rows
            ],
        )
        return int(cursor.rowcount)


def _hex(value: Any) -> str:
    """Bytes as PostgreSQL reads them."""
    if isinstance(value, bytes | memoryview):
        return rf"\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is not written this way")


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
