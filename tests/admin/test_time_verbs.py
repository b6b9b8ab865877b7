"""Hold, resume and extend on the task page: moments in the reader's zone, refusals at the field, words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core import clock
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskType, User
from tasks_app.services import claim_task
from tests.admin.conftest import ClientFor, Press, page_of, text_of
from tests.cast import NewTaskFactory


def fresh(task: HumanTask) -> HumanTask:
    return HumanTask.objects.get(pk=task.pk)


def test_it_holds_until_a_moment_in_the_readers_zone_and_resumes(
    make_task: NewTaskFactory, ana: Actor, press: Press, client_for: ClientFor
) -> None:
    User.objects.filter(pk=ana.user.pk).update(time_zone="Asia/Kathmandu")  # 5 h 45 min ahead of UTC
    task = make_task()
    claim_task(task.pk, ana)
    day = (clock.now() + timedelta(days=2)).date()
    answer = press("ana", fresh(task), "hold", text="waits for the buyer", follow_up_at=f"{day}T09:00")
    assert (answer.status_code, answer.headers["Location"]) == (302, page_of(task))
    held = fresh(task)
    assert held.follow_up_at == datetime(day.year, day.month, day.day, 3, 15, tzinfo=UTC)
    page = text_of(client_for("ana").get(page_of(task)))
    assert "put it on hold" in page
    assert "waits for the buyer" in page
    assert press("ana", held, "resume", text="she answered").status_code == 302
    assert fresh(task).held_since is None
    assert "took it up again" in text_of(client_for("ana").get(page_of(task)))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"text": "", "follow_up_at": "2099-01-01T09:00"}, "Write a text"),
        ({"text": "buyer", "follow_up_at": ""}, "Give a day and a time."),
        ({"text": "buyer", "follow_up_at": "soon"}, "like 2026-12-24 09:30"),
        ({"text": "buyer", "follow_up_at": "2099-01-01T09:00"}, "at most 90 days ahead"),
        ({"text": "buyer", "follow_up_at": "2020-01-01T09:00"}, "give a moment in the future"),
    ],
)
def test_it_says_at_the_field_what_is_wrong(
    make_task: NewTaskFactory, ana: Actor, press: Press, sent: dict[str, str], said: str
) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    answer = press("ana", fresh(task), "hold", **sent)
    assert answer.status_code == 400
    assert said in text_of(answer)
    assert fresh(task).held_since is None


def test_it_offers_to_extend_where_the_type_expires(
    make_task: NewTaskFactory, sam: Actor, press: Press, client_for: ClientFor
) -> None:
    def offers(task: HumanTask) -> list[str]:
        page: Any = client_for("sam").get(page_of(task))
        return [dialog.verb.name for dialog in page.context["work"]]

    assert "extend" not in offers(make_task())
    TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=8)
    task = make_task()
    assert "extend" in offers(task)
    day = (clock.now() + timedelta(days=3)).date()
    assert press("sam", task, "extend", until=f"{day}T12:00", text="the buyer is away").status_code == 302
    assert fresh(task).extended_to == datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    assert "put off the expiry" in text_of(client_for("sam").get(page_of(task)))
