"""The guards of the trail after a migration that alters a guarded table."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, connection, models

from core import guards
from tasks_app.actors import Actor
from tasks_app.models import Checkpoint, TaskEvent
from tasks_app.services import NewTask, open_task
from tasks_app.trail import checkpoints

GUARDED = {"tasks_app_taskevent": (TaskEvent, "reason"), "tasks_app_checkpoint": (Checkpoint, "rows")}


def text_column(model: type[models.Model], name: str, *, null: bool) -> Any:
    column: Any = models.TextField(null=null)
    column.set_attributes_from_name(name)
    column.model = model
    return column


def alter(model: type[models.Model], name: str, *, null: bool) -> None:
    """What a migration's AlterField does: on SQLite it rebuilds the table."""
    old, new = text_column(model, name, null=not null), text_column(model, name, null=null)
    with connection.schema_editor() as editor:
        editor.alter_field(model, old, new)


def complaints() -> list[str]:
    return [check.msg for check in run_checks(databases=["default"]) if check.id == "hitl.E007"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", GUARDED)
def test_its_guards_survive_a_migration(bot: Actor, settings: Any, tmp_path: Any, table: str) -> None:
    settings.HITL_HOME = tmp_path
    model, column = GUARDED[table]
    open_task(NewTask("creative_approval", "acme_corp"), bot)
    checkpoints.catch_up()
    assert complaints() == []
    try:
        alter(model, column, null=True)
        if connection.vendor == "sqlite":
            assert guards.missing(connection) == [table], "SQLite rebuilds the table and drops its triggers silently"
            assert table in complaints()[0]
        call_command("migrate", verbosity=0)
        assert guards.missing(connection) == []
        assert complaints() == []
        with pytest.raises(IntegrityError, match="is append-only"):
            model._default_manager.update(**{column: "forged"})
    finally:
        alter(model, column, null=False)
        call_command("migrate", verbosity=0)
