"""Takes away indexes that every change pays for and nothing reads.

On PostgreSQL, Django gives each text key a second index for LIKE. Ours compare byte by byte (`KeyField`), where the
first serves LIKE as well (core/postgresql/schema.py makes no more of them). Of the audit entries' indexes, we ask for those of
object, content type and moment; entries are never deleted and people neither, so that nothing follows their keys.
"""

from typing import Any

from django.db import migrations

UNREAD = (
    "auditlog_logentry_action_229afe39",
    "auditlog_logentry_actor_id_959271d2",
    "auditlog_logentry_cid_9f467263",
    "auditlog_logentry_cid_9f467263_like",
    "auditlog_logentry_object_id_09c2eee8",
    "auditlog_logentry_object_pk_6e3219c0_like",
)

# The second indexes of one column whose first one has the collation "C".
TWINS = """
    SELECT twin.relname
    FROM pg_index i
    JOIN pg_class twin ON twin.oid = i.indexrelid
    JOIN pg_class owner ON owner.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    JOIN pg_collation c ON c.oid = a.attcollation
    WHERE pg_table_is_visible(owner.oid) AND i.indnatts = 1 AND c.collname = 'C' AND right(twin.relname, 5) = '_like'
    ORDER BY 1
"""


def drop(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        names = list(UNREAD)
        if connection.vendor == "postgresql":
            cursor.execute(TWINS)
            names += [name for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(f"DROP INDEX IF EXISTS {connection.ops.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [
        ("tasks_app", "0014_put_back"),
        ("auditlog", "0017_add_actor_email"),
    ]

    operations = [migrations.RunPython(drop, migrations.RunPython.noop)]
