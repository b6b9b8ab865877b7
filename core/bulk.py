"""Writing many rows with few statements.

On PostgreSQL the values of all rows are one JSON parameter, which `json_to_recordset` turns into rows: neither Django
nor the driver handles them one by one. SQLite runs a prepared statement for each row. Names come from the model alone.
"""

from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
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


def insert_many(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows given by attribute names; what none of them names gets its default. Their order is that of their ids.

    The twin of `QuerySet.bulk_create`.
    """
    if not rows:
        return
    every: list[Any] = list(model._meta.concrete_fields)
    fields = [field for field in every if field.attname in rows[0] or not isinstance(field, models.AutoField)]
    defaults = {field.attname: field.get_default() for field in fields if field.attname not in rows[0]}
    connection = _connection(model)
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    into = f"INSERT INTO {quote(model._meta.db_table)} ({columns})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            values = [{f.column: _told(f, row.get(f.attname, defaults.get(f.attname))) for f in fields} for row in rows]
            taken = ", ".join(
                f"decode(new.{quote(field.column)}, 'base64')" if _is_binary(field) else f"new.{quote(field.column)}"
                for field in fields
            )
            cursor.execute(
                f"{into} SELECT {taken} FROM {_recordset(fields, connection)}",  # noqa: S608
                [orjson.dumps(values).decode()],
            )
        else:
            places = ", ".join("%s" for _field in fields)
            cursor.executemany(
                f"{into} VALUES ({places})",
                [[_stored(f, row.get(f.attname, defaults.get(f.attname)), connection) for f in fields] for row in rows],
            )


def _connection(model: type[models.Model]) -> Any:
    return connections[router.db_for_write(model)]


def _recordset(fields: Sequence[Any], connection: Any) -> str:
    quote = connection.ops.quote_name
    typed = (f"{quote(f.column)} {'text' if _is_binary(f) else f.db_type(connection)}" for f in fields)
    return f"json_to_recordset(%s) AS new({', '.join(typed)})"


def _is_binary(field: Any) -> bool:
    return isinstance(field, models.BinaryField)


def _told(field: Any, value: Any) -> Any:
    return b2a_base64(value, newline=False).decode() if _is_binary(field) else value


def _stored(field: Any, value: Any, connection: Any) -> Any:
    return field.get_db_prep_save(value, connection)
