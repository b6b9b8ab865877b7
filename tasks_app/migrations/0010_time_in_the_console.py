"""Policies remember up to which change the open tasks were computed; who may see and edit them."""

from typing import Any

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import core.fields

CONFIGURED = ("businesscalendar", "slapolicy", "slastep")
RIGHTS = {
    "Auditor": [f"view_{model}" for model in (*CONFIGURED, "firedstep", "hoursummary")],
    "Administrator": [
        *(f"{verb}_{model}" for verb in ("view", "add", "change") for model in CONFIGURED),
        *(f"view_{model}" for model in ("firedstep", "hoursummary")),
    ],
}


def give_rights(apps: Any, schema_editor: Any) -> None:
    """To the roles of the first migration, where they still stand."""
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    create_permissions(live_apps.get_app_config("tasks_app"), verbosity=0, using=schema_editor.connection.alias, apps=apps)
    for role, codenames in RIGHTS.items():
        for group in Group.objects.filter(name=role):
            found = Permission.objects.filter(content_type__app_label="tasks_app", codename__in=codenames)
            group.permissions.add(*found)


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0009_counted")]
    operations = [
        migrations.AddField("slarevision", "applied", core.fields.KeyField(blank=True, max_length=16)),
        migrations.AddField("slarevision", "reason", models.TextField(blank=True)),
        migrations.RunPython(give_rights, migrations.RunPython.noop),
    ]
