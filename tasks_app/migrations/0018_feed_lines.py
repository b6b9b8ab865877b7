"""The feed's newest events as texts that are ready to be sent. There are none at first: `tidy_up` writes them hourly.

PostgreSQL compresses rows from 2 kB on, which a page would pay for; these few are kept as they are up to a page of the disk.
"""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def keep_as_written(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE tasks_app_feedline SET (toast_tuple_target = 8160)")


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0017_open_words")]

    operations = [
        migrations.CreateModel(
            name="FeedLine",
            fields=[
                (
                    "place",
                    models.OneToOneField(
                        db_column="position",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="line",
                        serialize=False,
                        to="tasks_app.eventoutbox",
                        to_field="position",
                        verbose_name="position",
                    ),
                ),
                ("text", models.BinaryField(verbose_name="text")),
                (
                    "actor",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="who",
                    ),
                ),
                (
                    "on_behalf_of",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="on behalf of",
                    ),
                ),
            ],
            options={"verbose_name": "line of the feed", "verbose_name_plural": "lines of the feed"},
        ),
        migrations.RunPython(keep_as_written, migrations.RunPython.noop),
    ]
