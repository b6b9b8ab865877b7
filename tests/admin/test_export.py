"""CSV: what the reader sees and no more, masked, and nothing that a spreadsheet would run."""

import csv
import io
from typing import Any

import pytest

from tasks_app.admin.export import BOM
from tests.admin.conftest import QUEUE, ClientFor
from tests.cast import NewTaskFactory

EXPORT = f"{QUEUE}export/"


def rows(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    assert text.startswith(BOM)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM))))


def test_it_exports_a_view_with_every_hostile_cell_disarmed(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    hostile = "=cmd|' /C calc'!A0"
    task = make_task(
        priority=4,
        adapter_name=hostile,
        creative_id=hostile,
        media_buy_id=hostile,
        operation=hostile,
        error_detail='@x,"y"\r\n=1;jane@acme.example',
    )
    make_task(priority=1), make_task("compliance_review", priority=4)
    answer = client_for("ana").get(EXPORT, {"tab": "all", "priority": "4"})
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="tasks-')
    (row,) = rows(answer)
    assert (row["task_id"], row["priority"], row["type"]) == (task.pk, "urgent", "creative_approval")
    assert not [cell for cell in row.values() if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert row["error"] == "'@x,\"y\"\r\n'=1;[email 1]"


def test_it_exports_what_was_ticked_and_is_in_sight(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    mine, other, foreign = make_task(), make_task(), make_task("permission_exception")
    sent = {"task": [f"{mine.pk}:1", f"{foreign.pk}:1", "task_nothing:1", "x\x01:1"]}
    assert [row["task_id"] for row in rows(client_for("ana").post(EXPORT, sent))] == [mine.pk]
    assert rows(client_for("ana").post(EXPORT, {})) == []
    assert {row["task_id"] for row in rows(client_for("ana").get(EXPORT, {"tab": "all"}))} == {mine.pk, other.pk}


def test_it_is_bounded(make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks_app.admin.export.MOST_ROWS", 2)
    for _ in range(4):
        make_task()
    assert len(rows(client_for("ana").get(EXPORT, {"tab": "all"}))) == 2


def test_it_tells_times_in_the_readers_zone(
    make_task: NewTaskFactory, people: dict[str, Any], client_for: ClientFor
) -> None:
    people["ana"].time_zone = "Asia/Tokyo"
    people["ana"].save()
    make_task()
    (row,) = rows(client_for("ana").get(EXPORT, {"tab": "all"}))
    assert row["created_at"].endswith("+09:00")
