"""Decided on what was seen, or not at all: a colleague's change between page load and click, through every door.

Each script shows a task to a person, lets a colleague change it, also so that it looks as before (ABA), and then lets
the person act on what he saw: on the task's page, and over the API with the ETag he read. Nothing may be overwritten,
and the answer carries the version that is true now. INTERLEAVINGS is the number of scripts (tests/profile.py).
"""

import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest
from rest_framework.test import APIClient

from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Principal, TaskEvent, User
from tasks_app.services import change_priority, claim_task, release_task, rhythm, start_task
from tests.admin.conftest import ClientFor
from tests.admin.test_actions import fresh
from tests.cast import NewTaskFactory
from tests.profile import scaled

SCRIPTS: Final = scaled("INTERLEAVINGS", 72, 500)
Answer = tuple[int, int | None]
Act = Callable[["Doors", HumanTask, int], Answer]


class Doors:
    """The console and the API, as people and as an adapter."""

    def __init__(self, client_for: ClientFor, people: dict[str, User], principal: Principal) -> None:
        self._console = {who: client_for(who) for who in ("ana", "sam")}
        self._api: dict[str, APIClient] = {}
        for who in ("ana", "sam", "bot"):
            token = tokens.issue(who, people[who], principals=[principal] if who == "bot" else [])[1]
            self._api[who] = APIClient()
            self._api[who].credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    def console(self, who: str, task: HumanTask, verb: str, seen: int, **fields: Any) -> Answer:
        answer: Any = self._console[who].post(
            f"/admin/tasks_app/humantask/{task.pk}/{verb}/", {"version": seen, **fields}
        )
        shown = [d.form["version"].value() for d in answer.context["dialogs"]] if answer.status_code >= 400 else []
        return answer.status_code, int(shown[0]) if shown else None

    def api(self, who: str, task: HumanTask, verb: str, seen: int, **body: Any) -> Answer:
        answer: Any = self._api[who].post(f"/api/v1/tasks/{task.pk}/{verb}/", body, headers={"If-Match": f'"{seen}"'})
        return answer.status_code, answer.json().get("current_version")


def console(who: str, verb: str, **fields: Any) -> Act:
    return lambda doors, task, seen: doors.console(who, task, verb, seen, **fields)


def api(who: str, verb: str, **body: Any) -> Act:
    return lambda doors, task, seen: doors.api(who, task, verb, seen, **body)


# What a person may do with a task that waits, and with one that ana works on.
WAITING: Final[list[Act]] = [
    *(console("ana", "claim"), console("ana", "approve"), console("ana", "reject", text="No.")),
    *(console("ana", "cannot-complete", text="Gone."), console("sam", "assign", assigned_to="ana")),
    *(console("sam", "route", team="leads"), console("sam", "escalate")),
    *(api("ana", "claim"), api("ana", "complete", resolution="approved"), api("sam", "assign", assigned_to="ana")),
    *(api("sam", "route", team="leads"), api("sam", "escalate"), api("bot", "withdraw")),
]
WORKED_ON: Final[list[Act]] = [
    *(console("ana", "approve"), console("ana", "reject", text="No."), console("ana", "release")),
    *(console("ana", "escalate"), console("sam", "assign", assigned_to="sam"), console("sam", "release")),
    *(api("ana", "complete", resolution="approved"), api("ana", "release"), api("ana", "escalate")),
    *(api("sam", "assign", assigned_to="sam"), api("sam", "release"), api("bot", "withdraw")),
]


@pytest.fixture
def doors(client_for: ClientFor, people: dict[str, User], principals: dict[str, Principal], settings: Any) -> Doors:
    settings.HITL_RATE_LIMIT = 0
    return Doors(client_for, people, principals["acme_corp"])


def take_and_start(task: HumanTask, actor: Actor) -> None:
    claim_task(task.pk, actor)
    start_task(task.pk, actor)


def meanwhile(number: int, task: HumanTask, ana: Actor, sam: Actor) -> None:
    """A colleague's change: every other one leaves the task looking as it was."""
    waits = task.status == "pending"
    if number % 2:
        change_priority(task.pk, sam, priority=4 if task.priority < 4 else 3)
    elif waits:
        claim_task(task.pk, sam)
        release_task(task.pk, sam)
    else:
        release_task(task.pk, sam)
        take_and_start(task, ana)


def overwrites(scripts: int, doors: Doors, make_task: NewTaskFactory, ana: Actor, sam: Actor) -> list[str]:
    """What went wrong: an answer other than 409 or 412 with the version that is true now, or a changed row."""
    wrong = []
    acts = itertools.cycle([*((False, act) for act in WAITING), *((True, act) for act in WORKED_ON)])
    for number, (worked_on, act) in zip(range(scripts), acts, strict=False):
        task = make_task()
        if worked_on:
            take_and_start(task, ana)
        seen = fresh(task)
        meanwhile(number // (len(WAITING) + len(WORKED_ON)) + number, seen, ana, sam)
        before, events = HumanTask.objects.values().get(pk=task.pk), TaskEvent.objects.count()
        status, version = act(doors, task, seen.version)
        after = HumanTask.objects.values().get(pk=task.pk)
        if status not in (409, 412) or version != before["version"]:
            wrong.append(f"script {number}: answered {status} with version {version} instead of {before['version']}")
        elif (after, TaskEvent.objects.count()) != (before, events):
            wrong.append(f"script {number}: the task has changed")
    return wrong


@pytest.mark.django_db
def test_it_overwrites_nothing_by_any_door(doors: Doors, make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    assert overwrites(SCRIPTS, doors, make_task, ana, sam) == []


class Agreeable(int):
    """A version that equals every other."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


@pytest.mark.django_db
def test_its_check_finds_overwrites_where_versions_are_not_compared(
    doors: Doors, make_task: NewTaskFactory, ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreeable(read: Callable[[str], HumanTask | None]) -> Callable[[str], HumanTask | None]:
        def reads(task_id: str) -> HumanTask | None:
            task = read(task_id)
            if task is not None:
                task.version = Agreeable(task.version)
            return task

        return reads

    for name in ("lock", "_read"):
        monkeypatch.setattr(rhythm, name, agreeable(getattr(rhythm, name)))
    assert len(overwrites(len(WAITING) + len(WORKED_ON), doors, make_task, ana, sam)) >= 20
