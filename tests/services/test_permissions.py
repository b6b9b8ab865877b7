"""Who may do what, as a table; and the buttons agree with what the services really accept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction

from core import clock
from tasks_app import selectors, services
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import TaskError, TaskNotFound
from tasks_app.models import HumanTask, TaskType, TeamMembership, User
from tasks_app.models.access import default_scopes
from tasks_app.permissions import available_actions, can_see
from tasks_app.services import Decision, NewTask, open_task
from tests.cast import NewTaskFactory, adapter, add_to_team, person

# What each actor is to a task of acme_corp of each type. A `holder` is a member, and the one who gets the task here.
RELATIONS: Final = """
                        ana     bea     sam   zoe     tom     cora    root   audrey   bot      clerk    eve
creative_approval       holder  member  lead  -       -       -       admin  auditor  adapter  clerk    -
permission_exception    -       -       -     holder  -       -       admin  auditor  adapter  clerk    -
configuration_required  -       -       -     -       holder  -       admin  auditor  adapter  clerk    -
compliance_review       -       -       -     -       -       holder  admin  auditor  adapter  clerk    -
manual_approval         -       -       -     holder  -       -       admin  auditor  adapter  clerk    -
"""

# What each relation may do by status. c claim, s start, d decide (complete), r release, h hold, a assign, g hand over,
# o route, e escalate, w withdraw, m comment, v reveal; . for what is not offered.
PERMISSIONS: Final = """
          pending     assigned    in_progress  escalated   completed   failed
holder    c.d.......m.  .sdrh.g.e.m.  ..drh.g.e.m.   c.d.......m.  ..........m.  ..........m.
member    c.d.......m.  ..........m.  ..........m.   c.d.......m.  ..........m.  ..........m.
lead      c.d..a.oe.mv  ...rha.oe.mv  ...rha..e.mv   c.d..a.oe.mv  ..........mv  ..........mv
admin     c.d..a.oe.mv  ...rha.oe.mv  ...rha..e.mv   c.d..a.oe.mv  ..........mv  ..........mv
auditor   ............  ............  ............   ............  ............  ............
adapter   .........wm.  .........wm.  .........wm.   .........wm.  ..........m.  ..........m.
clerk     ..d..a...wm.  ..d..a...wm.  ..d..a...wm.   ..d..a...wm.  ..........m.  ..........m.
system    .....a.oe...  ...rha.oe...  ...rha..e...   .....a.oe...  ............  ............
-         ............  ............  ............   ............  ............  ............
"""

VERBS: Final = (
    *("claim", "start", "complete", "release", "hold", "assign"),
    *("hand_over", "route", "escalate", "withdraw", "comment", "reveal"),
)
STATUSES: Final = ("pending", "assigned", "in_progress", "escalated", "completed", "failed")
TYPES: Final = (
    "creative_approval",
    "permission_exception",
    "configuration_required",
    "compliance_review",
    "manual_approval",
)
HOLDERS: Final = {
    "creative_approval": "ana",
    "permission_exception": "zoe",
    "configuration_required": "tom",
    "compliance_review": "cora",
    "manual_approval": "zoe",
}
COLLEAGUES: Final = {**dict.fromkeys(HOLDERS, "root"), "creative_approval": "sam"}
EMAIL: Final = "refused for ops@acme.example"


def grid(text: str) -> dict[str, dict[str, str]]:
    """Row -> column -> cell of a table in plain text."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {row[0]: dict(zip(head, row[1:], strict=True)) for row in rows}


def expected(relation: str, status: str) -> list[str]:
    cell = grid(PERMISSIONS)[relation][status]
    return [verb for verb, mark in zip(VERBS, cell, strict=True) if mark != "."]


@pytest.fixture
def cast(people: dict[str, User]) -> dict[str, Actor]:
    add_to_team(person("bea"), "creative-review")
    audrey = person("audrey")
    audrey.user_permissions.add(Permission.objects.get(codename="view_every_task"))
    actors = {name: Actor(user=user) for name, user in people.items() if user.kind == User.Kind.PERSON}
    return {
        **actors,
        "bea": Actor(user=User.objects.get(username="bea")),
        "audrey": Actor(user=audrey),
        "bot": adapter(people["bot"], "acme_corp"),
        "clerk": adapter(people["bot"], "acme_corp", scopes=[*default_scopes(), "tasks:work"]),
        "eve": adapter(people["eve"], "globex"),
        "system": system_actor(),
    }


def task_in(status: str, task_type: str, cast: dict[str, Actor]) -> HumanTask:
    """A task of acme_corp, brought to `status` by its holder."""
    task, _new = open_task(NewTask(task_type=task_type, principal_id="acme_corp", error_detail=EMAIL), cast["bot"])
    holder = cast[HOLDERS[task_type]]
    if status in ("assigned", "in_progress"):
        services.claim_task(task.pk, holder)
    if status == "in_progress":
        services.start_task(task.pk, holder)
    if status == "escalated":
        services.escalate_task(task.pk, cast["system"])
    if status == "completed":
        services.decide_task(task.pk, holder, approval(task))
    if status == "failed":
        services.decide_task(task.pk, holder, Decision("cannot_complete", "the material is missing"))
    return HumanTask.objects.select_related("task_type", "assigned_to").get(pk=task.pk)


def approval(task: HumanTask) -> Decision:
    return Decision("approved" if "approved" in task.task_type.allowed_resolutions else "completed")


# Verb -> the call of the service that an offered button makes.
Call = Callable[[HumanTask, Actor, str], Any]
CALLS: Final[dict[str, Call]] = {
    "claim": lambda task, actor, person: services.claim_task(task.pk, actor),
    "start": lambda task, actor, person: services.start_task(task.pk, actor),
    "complete": lambda task, actor, person: services.decide_task(
        task.pk, actor, approval(task), resolved_by=person if actor.is_adapter else ""
    ),
    "release": lambda task, actor, person: services.release_task(task.pk, actor),
    "hold": lambda task, actor, person: services.hold_task(
        task.pk, actor, reason="waits for the buyer", follow_up_at=clock.now() + timedelta(days=1)
    ),
    "assign": lambda task, actor, person: services.assign_task(task.pk, actor, assigned_to=person),
    "hand_over": lambda task, actor, person: services.hand_over_task(
        task.pk, actor, to=COLLEAGUES[task.task_type_id], note="as agreed"
    ),
    "route": lambda task, actor, person: services.route_task(
        task.pk, actor, team="leads" if task.team_id != "leads" else "creative-review"
    ),
    "escalate": lambda task, actor, person: services.escalate_task(task.pk, actor),
    "withdraw": lambda task, actor, person: services.withdraw_task(task.pk, actor),
    "comment": lambda task, actor, person: services.comment_on_task(task.pk, actor, "seen"),
    "reveal": lambda task, actor, person: services.reveal_detail(
        task.pk, actor, placeholder="[email 1]", reason="to ask back"
    ),
}


def accepted_by_the_services(task: HumanTask, actor: Actor, person: str) -> list[str]:
    """The verbs that go through, each tried and rolled back."""
    accepted = []
    for verb in VERBS:
        savepoint = transaction.savepoint()
        try:
            CALLS[verb](task, actor, person)
            accepted.append(verb)
        except TaskError as error:
            if isinstance(error, TaskNotFound) == can_see(actor, task):
                accepted.append(f"{verb} was answered {error.code}")
        finally:
            transaction.savepoint_rollback(savepoint)
    return accepted


@pytest.mark.django_db
@pytest.mark.usefixtures("catalogue_remembered")
@pytest.mark.parametrize("task_type", TYPES)
def test_it_offers_what_the_table_says_and_accepts_what_it_offers(task_type: str, cast: dict[str, Actor]) -> None:
    relations = {**grid(RELATIONS)[task_type], "system": "system"}
    assert set(relations) == set(cast)
    wrong = []
    for status in STATUSES:
        task = task_in(status, task_type, cast)
        for who, actor in cast.items():
            should = expected(relations[who], status)
            offered = available_actions(actor, task)
            accepted = accepted_by_the_services(task, actor, HOLDERS[task_type])
            if not should == offered == accepted:
                wrong.append(
                    f"{who} ({relations[who]}), {status}: table {should}, offered {offered}, accepted {accepted}"
                )
    assert not wrong, "\n".join(wrong)


# Four eyes: at stage 2 ana decided first, the task waits or is held by bea.
SECOND_STAGE: Final = """
          pending     held_by_bea
ana       ..........m.  ..........m.
bea       c.d.......m.  .sdrh.g.e.m.
sam       c.d..a.oe.mv  ...rha.oe.mv
zoe       ............  ............
bot       .........wm.  .........wm.
clerk     ..d..a...wm.  ..d..a...wm.
system    .....a.oe...  ...rha.oe...
"""


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["pending", "held_by_bea"])
def test_it_keeps_the_first_reviewer_out_of_the_second_stage(column: str, cast: dict[str, Actor]) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    task = task_in("pending", "creative_approval", cast)
    services.decide_task(task.pk, cast["ana"], Decision("approved"))
    if column == "held_by_bea":
        services.claim_task(task.pk, cast["bea"])
    task = HumanTask.objects.select_related("task_type", "assigned_to").get(pk=task.pk)
    assert task.stage == 2
    for who, row in grid(SECOND_STAGE).items():
        should = [verb for verb, mark in zip(VERBS, row[column], strict=True) if mark != "."]
        assert available_actions(cast[who], task) == should, who
        assert accepted_by_the_services(task, cast[who], "bea") == should, who


@pytest.mark.django_db
def test_it_keeps_the_requester_out_of_the_second_stage(cast: dict[str, Actor]) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    task, _new = open_task(NewTask(task_type="creative_approval", principal_id="acme_corp"), cast["bea"])
    services.decide_task(task.pk, cast["ana"], Decision("approved"))
    task.refresh_from_db()
    assert "claim" not in available_actions(cast["bea"], task)
    assert "claim" in available_actions(cast["sam"], task)


@pytest.mark.django_db
def test_it_leaves_nothing_to_whom_was_deactivated(cast: dict[str, Actor]) -> None:
    task = task_in("in_progress", "creative_approval", cast)
    cast["ana"].user.is_active = False
    cast["ana"].user.save()
    gone = Actor(user=cast["ana"].user)
    assert available_actions(gone, task) == accepted_by_the_services(task, gone, "ana") == []


@pytest.mark.django_db
def test_it_leaves_nothing_to_whom_left_the_team(cast: dict[str, Actor]) -> None:
    task = task_in("in_progress", "creative_approval", cast)
    cast["ana"].user.memberships.all().delete()
    left = Actor(user=cast["ana"].user)
    assert available_actions(left, task) == accepted_by_the_services(task, left, "ana") == []


@pytest.mark.django_db
@pytest.mark.parametrize("scopes", [[], ["tasks:create"], ["tasks:work"], ["tasks:comment", "tasks:withdraw"]])
def test_it_offers_nothing_to_a_token_that_may_not_read(scopes: list[str], cast: dict[str, Actor]) -> None:
    task = task_in("pending", "creative_approval", cast)
    token = adapter(cast["bot"].user, "acme_corp", scopes=scopes)
    assert available_actions(token, task) == accepted_by_the_services(task, token, "ana") == []


def test_who_asked_another_team_goes_on_seeing_the_task(make_task: NewTaskFactory, ana: Actor, zoe: Actor) -> None:
    """And may comment and withdraw it, while he is in any team; not work on it, nor see its masked values."""
    task = make_task("compliance_review", actor=ana, error_detail="ask ops@acme.example")
    assert available_actions(ana, task) == ["withdraw", "comment"]
    assert list(selectors.visible_tasks(ana)) == [task]
    assert not can_see(zoe, task)
    assert not selectors.visible_tasks(zoe).exists()
    assert services.withdraw_task(task.pk, ana, reason="found it myself").resolution == "withdrawn"


def test_who_left_every_team_sees_nothing_of_what_he_asked_for(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task("compliance_review", actor=ana)
    TeamMembership.objects.filter(user=ana.user).delete()
    gone = Actor(user=ana.user)
    assert not can_see(gone, task)
    assert not selectors.visible_tasks(gone).exists()
    with pytest.raises(TaskNotFound):
        services.withdraw_task(task.pk, gone)
