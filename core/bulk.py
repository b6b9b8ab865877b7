"""Writing many rows with few statements."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connections, models, router


def update_many(rows: Iterable[models.Model], names: Sequence[str]) -> None:
    """Write the columns `names` (attribute names) of existing rows of one model, as they stand in memory.

    The twin of `QuerySet.bulk_update`, whose CASE for each column takes longer to build than the rows take to write. On
    PostgreSQL one statement joins the table with its new values; SQLite runs one prepared statement for each row.
    """
    instances = list(rows)
    if not instances or not names:
        return
    meta: Any = instances[0]._meta
    connection: Any = connections[router.db_for_write(type(instances[0]))]
    fields = [meta.get_field(name) for name in names]
    pk = meta.pk
    table, key = connection.ops.quote_name(meta.db_table), connection.ops.quote_name(pk.column)
    columns = [connection.ops.quote_name(field.column) for field in fields]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            typed = ", ".join(
                f"{column} {field.db_type(connection)}"
                for column, field in zip([key, *columns], [pk, *fields], strict=True)
            )
            told = ", ".join(f"{column} = new.{column}" for column in columns)
            values = [{field.column: getattr(row, field.attname) for field in (pk, *fields)} for row in instances]
            # Names come from the model alone, values are one parameter.
            sql = f"UPDATE {table} AS old SET {told} FROM json_to_recordset(%s) AS new({typed}) "  # noqa: S608
            cursor.execute(f"{sql} WHERE old.{key} = new.{key}", [orjson.dumps(values).decode()])
        else:
            told = ", ".join(f"{column} = %s" for column in columns)
            cursor.executemany(
                f"UPDATE {table} SET {told} WHERE {key} = %s",  # noqa: S608
                [[_stored(field, row, connection) for field in (*fields, pk)] for row in instances],
            )


def _stored(field: Any, row: models.Model, connection: Any) -> Any:
    return field.get_db_prep_save(getattr(row, field.attname), connection)
