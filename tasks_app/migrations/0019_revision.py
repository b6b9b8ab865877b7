"""The one row by which processes notice that the catalogue, a person, a role or a token changed (core/revised.py)."""

from django.db import migrations, models

import core.fields
import tasks_app.models.catalog


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0018_feed_lines")]

    operations = [
        migrations.CreateModel(
            name="CatalogueRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("token", core.fields.KeyField(default=tasks_app.models.catalog.new_revision, max_length=36)),
            ],
            options={"default_permissions": ()},
        ),
    ]
