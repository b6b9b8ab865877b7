"""Every button of the console, alone, for many and in the deck, leaves its events with outbox row and audit entry: who,
from where, under which correlation id, and why. The addresses are those of the URL conf.
"""

from datetime import timedelta
from typing import Any, Final

import pytest
from auditlog.models import LogEntry
from django.test import override_settings

from core import clock
from tasks_app import services, timers
from tasks_app.actors import Actor
from tasks_app.admin.bulk_verbs import BULK
from tasks_app.admin.verbs import VERBS
from tasks_app.models import HumanTask, Principal, TaskType, Team, User
from tests.admin.conftest import QUEUE, ClientFor
from tests.admin.furnished import addresses
from tests.admin.test_catalog import form_values
from tests.api.test_trail_by_api import FORGED
from tests.cast import NewTaskFactory
from tests.watch import Watch

WHY: Final = "because the buyer asked"
SEEN: Final[Any] = {"REMOTE_ADDR": "198.51.100.7", "HTTP_X_CORRELATION_ID": "from-the-browser"}


# What changes a task, and what only shows, or keeps something of the reader's own.
CHANGES: Final = {"next", "bulk", "act", "deck_show", "deck_leave", "deck_skip", "deck_undo", "deck_poll", "deck_act"}
SHOWS: Final = {
    *("changelist", "mentions", "mentions_read", "mention_read", "live", "export", "groups", "group", "save_view"),
    *(
        "change_view",
        "deck",
        "deck_card",
        "news",
        "news_told",
        "presence",
        "left",
        "change",
        "group_live",
        "groups_live",
    ),
}

# Verb -> who, whether ana works on the task, and what the dialog sends.
BUTTONS: Final[dict[str, tuple[str, bool, dict[str, str]]]] = {
    "approve": ("ana", True, {"text": WHY}),
    "complete": ("zoe", True, {"text": WHY}),
    "reject": ("ana", False, {"text": WHY}),
    "cannot-complete": ("ana", True, {"text": WHY}),
    "claim": ("ana", False, {}),
    "start": ("ana", True, {}),
    "comment": ("ana", False, {"text": WHY}),
    "assign": ("sam", False, {"assigned_to": "ana", "text": WHY}),
    "hold": ("ana", True, {"text": WHY, "follow_up_at": ""}),
    "resume": ("ana", True, {"text": WHY}),
    "extend": ("ana", True, {"text": WHY, "until": ""}),
    "hand-over": ("ana", True, {"colleague": "sam", "text": WHY}),
    "release": ("ana", True, {"text": WHY}),
    "escalate": ("ana", True, {"text": WHY}),
    "route": ("sam", False, {"team": "compliance", "text": WHY}),
    "withdraw": ("root", False, {"text": WHY}),
    "reveal": ("sam", False, {"placeholder": "[email 1]", "text": WHY}),
}
FOR_MANY: Final[dict[str, tuple[str, bool, dict[str, str]]]] = {
    "claim": ("ana", False, {}),
    "assign": ("sam", False, {"assigned_to": "ana", "text": WHY}),
    "decide": ("ana", False, {"decision": "reject", "text": WHY}),
    "escalate": ("ana", True, {"text": WHY}),
    "release": ("ana", True, {"text": WHY}),
}


@pytest.fixture(autouse=True)
def _expiring(db: None) -> None:
    TaskType.objects.update(expires_after_hours=24)


def made(make_task: NewTaskFactory, verb: str, holder: Actor | None, root: Actor) -> HumanTask:
    kind = "permission_exception" if verb == "complete" else "creative_approval"
    asks = {"actor": root} if verb == "withdraw" else {}
    task = make_task(kind, error_detail="mail jane@acme.example", **asks)
    if holder is not None:
        services.claim_task(task.pk, holder)
    if verb == "resume":
        assert holder is not None
        services.hold_task(task.pk, holder, reason="waits", follow_up_at=clock.now() + timedelta(days=1))
    return HumanTask.objects.get(pk=task.pk)


def in_a_week() -> str:
    return f"{clock.now() + timedelta(days=7):%Y-%m-%dT%H:%M}"


def test_it_knows_every_address_verb_and_action() -> None:
    ours = {name.removeprefix("tasks_app_humantask_") for name in addresses() if "_humantask_" in name}
    assert ours - SHOWS == CHANGES
    assert set(BUTTONS) == set(VERBS)
    assert set(FOR_MANY) == set(BULK)


@pytest.mark.parametrize("verb", BUTTONS)
def test_every_button_leaves_its_trail(
    verb: str, make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor], zoe: Actor
) -> None:
    who, is_held, sent = BUTTONS[verb]
    holder = {"ana": actors["ana"], "zoe": zoe}.get(who) if is_held else None
    task = made(make_task, verb, holder, actors["root"])
    fields = {name: value or in_a_week() for name, value in sent.items()}
    with Watch() as watch:
        answer = client_for(who).post(f"{QUEUE}{task.pk}/{verb}/", {"version": task.version, **fields}, **SEEN)
    assert answer.status_code in (200, 302), answer.content
    watch.check(User.objects.get(username=who), address="198.51.100.7", correlation_id="from-the-browser")
    if "text" in sent:
        assert any(WHY in event.reason for event in watch.events)


@pytest.mark.parametrize("verb", FOR_MANY)
def test_every_action_for_many_leaves_a_trail_for_each(
    verb: str, make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    who, is_held, sent = FOR_MANY[verb]
    tasks = [made(make_task, verb, actors["ana"] if is_held else None, actors["root"]) for _ in range(3)]
    ticked = [f"{task.pk}:{task.version}" for task in tasks]
    with Watch() as watch:
        answer = client_for(who).post(f"{QUEUE}bulk/{verb}/", {"confirmed": "1", "task": ticked, **sent}, **SEEN)
    assert answer.status_code == 200
    watch.check(User.objects.get(username=who), address="198.51.100.7", correlation_id="from-the-browser")
    assert {event.task_id for event in watch.events} == {task.pk for task in tasks}
    if sent:
        assert {event.task_id for event in watch.events if WHY in event.reason} == {task.pk for task in tasks}


DECK: Final[dict[str, tuple[bool, dict[str, str]]]] = {
    "show/": (False, {}),
    "leave/": (True, {}),
    "skip/": (True, {"text": WHY}),
    "act/approve/": (True, {}),
    "act/reject/": (True, {"text": WHY}),
    "act/escalate/": (True, {"text": WHY}),
    "act/hand-over/": (True, {"colleague": "sam", "text": WHY}),
}


@pytest.mark.parametrize("key", DECK)
def test_every_key_of_the_deck_leaves_its_trail(
    key: str, make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    is_held, sent = DECK[key]
    task = made(make_task, key, actors["ana"] if is_held else None, actors["root"])
    with Watch() as watch:
        answer = client_for("ana").post(
            f"{QUEUE}deck/{key}", {"task": task.pk, "version": task.version, **sent}, **SEEN
        )
    assert answer.status_code == 200, answer.content
    watch.check(actors["ana"].user, address="198.51.100.7", correlation_id="from-the-browser")


def test_taking_the_next_one_leaves_its_trail(
    make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    make_task()
    with Watch() as watch:
        client_for("ana").post(f"{QUEUE}next/", **SEEN)
    watch.check(actors["ana"].user, address="198.51.100.7", correlation_id="from-the-browser")


@pytest.mark.parametrize("by", ["poll", "sweep", "undo"])
def test_a_decision_that_waited_is_recorded_under_its_person_whoever_carries_it_out(
    by: str, make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    """As it was made: from that address, in that request. What takes it back is a request of its own."""
    task, client = made(make_task, by, actors["ana"], actors["root"]), client_for("ana")
    client.post(f"{QUEUE}deck/act/reject/", {"task": task.pk, "version": task.version, "text": WHY}, **SEEN)
    elsewhere: Any = {"REMOTE_ADDR": "203.0.113.1", "HTTP_X_CORRELATION_ID": "another-request"}
    with Watch() as watch, clock.at(clock.now() + timedelta(seconds=0 if by == "undo" else 60)):
        if by == "sweep":
            timers.sweep()
        else:
            client.post(f"{QUEUE}deck/{by}/", {"task": task.pk, "ids": ""}, **elsewhere)
    address, request = ("203.0.113.1", "another-request") if by == "undo" else ("198.51.100.7", "from-the-browser")
    watch.check(actors["ana"].user, address=address, correlation_id=request)
    assert HumanTask.objects.get(pk=task.pk).is_open is (by == "undo")


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_address_is_not_recorded_by_the_console(
    forged: str, make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    task = make_task()
    headers: Any = {"HTTP_X_FORWARDED_FOR": f"{forged}, 203.0.113.5", "HTTP_X_REAL_IP": "6.6.6.6", **SEEN}
    with Watch() as plain:
        client_for("ana").post(f"{QUEUE}{task.pk}/claim/", {"version": 1}, **headers)
    plain.check(actors["ana"].user, address="198.51.100.7", correlation_id="from-the-browser")
    with override_settings(HITL_TRUSTED_PROXIES=["198.51.100.0/24"]), Watch() as behind:
        client_for("ana").post(f"{QUEUE}{task.pk}/release/", {"version": 2}, **headers)
    behind.check(actors["ana"].user, address="203.0.113.5", correlation_id="from-the-browser")


CONFIGURATION: Final = {
    "/admin/tasks_app/team/creative-review/change/": ("name", Team, "creative-review"),
    "/admin/tasks_app/tasktype/creative_approval/change/": ("label", TaskType, "creative_approval"),
    "/admin/tasks_app/principal/acme_corp/change/": ("name", Principal, "acme_corp"),
}


@pytest.mark.parametrize("url", CONFIGURATION)
def test_a_change_of_the_configuration_names_who_from_where_and_in_which_request(
    url: str, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    field, model, key = CONFIGURATION[url]
    client: Any = client_for("root")
    forged: Any = {"HTTP_X_FORWARDED_FOR": "6.6.6.6", **SEEN}
    answer = client.post(url, {**form_values(client.get(url)), field: "Another"}, **forged)
    assert answer.status_code == 302
    entry = LogEntry.objects.filter(content_type__model=model._meta.model_name, object_pk=key).latest("timestamp")
    assert (entry.actor, entry.remote_addr, entry.cid) == (actors["root"].user, "198.51.100.7", "from-the-browser")
    assert entry.changes[field][1] == "Another"


def test_what_is_refused_leaves_nothing(
    make_task: NewTaskFactory, client_for: ClientFor, actors: dict[str, Actor]
) -> None:
    task = make_task()
    with Watch() as watch:
        client_for("zoe").post(f"{QUEUE}{task.pk}/claim/", {"version": 1})
        client_for("ana").post(f"{QUEUE}{task.pk}/claim/", {"version": 7})
        client_for("ana").post(f"{QUEUE}{task.pk}/reject/", {"version": 1, "text": ""})
        client_for("ana").get(f"{QUEUE}{task.pk}/claim/")
    assert (watch.events, watch.added) == ([], 0)
