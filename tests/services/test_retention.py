"""Ended tasks leave after their time, exported first, and the trail stays sound."""

import errno
import json
import os
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app import events, metrics, retention, summaries
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask, RetentionPolicy, SealedDetail, TaskEvent, User
from tasks_app.services import Decision, comment_on_task, decide_task
from tasks_app.trail.verify import verify
from tests.cast import NewTaskFactory

MAIL = "write to jane.doe@example.com"


def ended(make_task: NewTaskFactory, ana: Actor, days_ago: int, **fields: Any) -> HumanTask:
    with clock.at(clock.now() - timedelta(days=days_ago)):
        task = make_task(error_detail=MAIL, **fields)
        return decide_task(task.pk, ana, Decision("approved"))


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.HITL_HOME = str(tmp_path)
    return tmp_path


@pytest.fixture
def policy(db: None, home: Path) -> RetentionPolicy:
    return RetentionPolicy.objects.create(task_type_id="creative_approval", days=30, is_active=True)


def test_what_is_over_leaves_and_the_trail_stays_sound(
    policy: RetentionPolicy, home: Path, make_task: NewTaskFactory, ana: Actor
) -> None:
    old = [ended(make_task, ana, days) for days in (90, 60, 31)]
    recent, still_open = ended(make_task, ana, 29), make_task()
    events.assign_positions()
    summaries.roll_up()
    told = metrics.summary(period=timedelta(days=100))["types"]
    entries = LogEntry.objects.count()
    assert SealedDetail.objects.count() == 4

    assert retention.run(system_actor(), batch=2) == 3
    assert set(HumanTask.objects.values_list("pk", flat=True)) == {recent.pk, still_open.pk}
    assert SealedDetail.objects.count() == 1
    assert metrics.summary(period=timedelta(days=100))["types"] == told
    last = TaskEvent.objects.filter(task_id=old[0].pk).order_by("seq").last()
    assert last is not None
    assert (last.type, last.actor.username) == ("task.removed", system_actor().user.username)
    assert "30" in last.reason
    assert LogEntry.objects.count() == entries + 3
    events.assign_positions()
    report = verify()
    assert report.sound, report.findings
    assert retention.run(system_actor()) == 0

    (file,) = (home / "retention").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["task"]["task_id"] for line in lines] == [task.pk for task in old]
    assert [event["type"] for event in lines[0]["events"]][-1] == "task.completed"
    assert "jane.doe" not in file.read_text()


def test_a_row_that_went_another_way_is_found(policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor) -> None:
    """Negative control: the trail tells who left by retention from who was taken."""
    gone, stays = ended(make_task, ana, 2), ended(make_task, ana, 2)
    HumanTask.objects.filter(pk=gone.pk).delete()
    report = verify()
    assert [(finding.check, finding.task_id) for finding in report.findings if finding.check == "kept"] == [
        ("kept", gone.pk)
    ]
    before = HumanTask.objects.get(pk=stays.pk)
    RetentionPolicy.objects.update(days=1)
    assert retention.run(system_actor()) == 1
    before.save(force_insert=True)  # brought back from a copy
    assert ("kept", stays.pk) in [(finding.check, finding.task_id) for finding in verify().findings]


def test_only_active_policies_and_their_types(policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor) -> None:
    ended(make_task, ana, 90)
    RetentionPolicy.objects.update(is_active=False)
    assert retention.run(system_actor()) == 0
    RetentionPolicy.objects.update(is_active=True, task_type_id="manual_approval")
    assert retention.run(system_actor()) == 0


def test_a_task_stays_as_long_as_the_one_that_follows_it(
    policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor
) -> None:
    first = ended(make_task, ana, 90)
    second = ended(make_task, ana, 10, follows=first.pk)
    other = ended(make_task, ana, 60)
    assert retention.run(system_actor()) == 1
    assert set(HumanTask.objects.values_list("pk", flat=True)) == {first.pk, second.pk}
    with clock.at(clock.now() + timedelta(days=25)):
        assert retention.run(system_actor()) == 2
    assert not HumanTask.objects.exists()
    assert other.pk


def test_what_was_touched_since_the_export_waits(
    policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = ended(make_task, ana, 90)
    export = retention._export

    def export_and_comment(*arguments: Any) -> None:
        export(*arguments)
        if TaskEvent.objects.filter(task_id=task.pk, type="task.commented").count() == 0:
            comment_on_task(task.pk, ana, "one more thing")

    monkeypatch.setattr(retention, "_export", export_and_comment)
    assert retention.run(system_actor(), batches=1) == 0
    assert retention.run(system_actor(), batches=1) == 1


def test_a_batch_costs_the_same_whatever_its_size(
    policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor
) -> None:
    for days in (90, 80, 70, 60, 50):
        ended(make_task, ana, days)

    def asked(batch: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert retention.run(system_actor(), batch=batch, batches=1) == batch
        return len(asked)

    asked(1)
    assert asked(1) == asked(3)


class Killed(BaseException):
    """What SIGKILL does: nothing after it runs."""


@pytest.mark.parametrize("written", [0, 1, 700, 10**9])
def test_who_was_killed_while_or_after_exporting_loses_and_doubles_nothing(
    written: int, policy: RetentionPolicy, home: Path, make_task: NewTaskFactory, ana: Actor
) -> None:
    tasks = [ended(make_task, ana, days) for days in (90, 60, 31)]
    retention._export(policy, [task.pk for task in tasks])
    (file,) = (home / "retention").iterdir()
    os.truncate(file, min(file.stat().st_size, written))  # as much as had reached the file when it was killed

    assert retention.run(system_actor()) == 3
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(line["task"]["task_id"] for line in lines) == sorted(task.pk for task in tasks)


def test_who_was_killed_before_the_rows_went_starts_again(
    policy: RetentionPolicy, home: Path, make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = ended(make_task, ana, 90)

    def killed(*arguments: Any, **fields: Any) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(events, "write_many", killed)
        with pytest.raises(Killed):
            retention.run(system_actor())
    assert HumanTask.objects.filter(pk=task.pk).exists()
    assert retention.run(system_actor()) == 1
    (file,) = (home / "retention").iterdir()
    assert [json.loads(line)["task"]["task_id"] for line in file.read_text().splitlines()] == [task.pk]
    assert verify().sound


def test_an_export_that_fails_lets_nobody_go_and_leaves_the_file_as_it_was(
    policy: RetentionPolicy, home: Path, make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ended(make_task, ana, 90)
    retention.run(system_actor())
    second = ended(make_task, ana, 60)
    (file,) = (home / "retention").iterdir()
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            retention.run(system_actor())
    assert file.read_bytes() == before
    assert HumanTask.objects.filter(pk=second.pk).exists()
    assert retention.run(system_actor()) == 1
    told = [json.loads(line)["task"]["task_id"] for line in file.read_text().splitlines()]
    assert told == [first.pk, second.pk]


def test_the_command_and_the_page_show_what_would_leave(
    policy: RetentionPolicy, make_task: NewTaskFactory, ana: Actor, people: dict[str, User], client: Client
) -> None:
    ended(make_task, ana, 90)
    out = StringIO()
    call_command("retention", "--dry-run", stdout=out)
    assert "creative_approval: 1 tasks" in out.getvalue()
    assert HumanTask.objects.count() == 1
    client.force_login(people["root"])
    page = client.get("/admin/tasks_app/retentionpolicy/creative_approval/change/")
    assert "1 tasks, ended from" in page.content.decode()
    client.force_login(people["ana"])
    assert client.get("/admin/tasks_app/retentionpolicy/").status_code == 403
    call_command("retention", stdout=out)
    assert "1 tasks left." in out.getvalue()
