"""Who sees what, generated: every operation of the URL conf, as everybody, on everybody's tasks, endpoints, deliveries.

What is out of sight must answer exactly like what does not exist: status, headers and body. What each of the cast sees
is written down here once, by hand; nothing is asked of the code under test. A new route without an entry fails.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import orjson
import pytest
from django.db import transaction
from django.db.models import Q
from rest_framework.test import APIClient

from notifications.models import Endpoint
from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import NotAllowed
from tasks_app.models import HumanTask, TaskEvent, User
from tests.api.matrix import (
    ALL,
    API,
    ENTRIES,
    KINDS,
    MALFORMED,
    MANAGES,
    NOBODY,
    OF,
    ON_ONE,
    PREFIX,
    SEES,
    STRANGERS,
    UNKNOWN,
    ClientFor,
    Things,
    client_for,
    operations,
    things,
)
from tests.cast import NewTaskFactory, adapter

__all__ = ["client_for", "things"]  # fixtures


@pytest.fixture(autouse=True)
def _no_rate_limit(settings: Any) -> None:
    settings.HITL_RATE_LIMIT = 0


def test_it_has_an_entry_for_every_operation() -> None:
    assert set(operations()) == set(ENTRIES)


def test_it_checks_enough() -> None:
    per_operation = len(SEES) * (3 + 1) + len(STRANGERS) * (3 + 1)
    assert len(ON_ONE) * per_operation >= 1_500


class Answer(NamedTuple):
    """What a caller can tell two answers apart by."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


@contextmanager
def undone() -> Iterator[None]:
    """Run and roll back, so that every cell of the matrix finds the same database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(client: Any, method: str, route: str, body: dict[str, Any] | None, pk: str) -> Answer:
    path = API + re.sub(r"<str:\w+>", pk, route)
    response: Any
    if method == "GET":
        response = client.get(path)
    else:
        with undone():
            before = TaskEvent.objects.count()
            response = client.generic(method, path, orjson.dumps(body or {}), content_type="application/json")
            if response.status_code >= 400:
                assert TaskEvent.objects.count() == before, "a refused call left an event"
    differing = ((k, v) for k, v in response.headers.items() if k.lower() != "x-correlation-id")
    return Answer(response.status_code, response.content, tuple(sorted(differing)))


def seen_by(who: str, kind: str) -> frozenset[str]:
    return SEES[who] if kind == "task" else MANAGES.get(who, NOBODY)


def leaks(who: str, client: APIClient, things: Things) -> Iterator[str]:
    """The operations that tell a thing out of sight from one that does not exist, or hide one in sight."""
    for number, ((method, route), entry) in enumerate(ON_ONE.items()):
        sees = seen_by(who, entry.kind)
        unknown = ask(client, method, route, entry.body, PREFIX[entry.kind] + "0" * 32)
        if unknown.status != (404 if entry.kind == "task" or who in MANAGES else 403):
            yield f"{method} {route} of an unknown {entry.kind}: {unknown.status}"
        for name, pk in things[entry.kind].items():
            answer = ask(client, method, route, entry.body, pk)
            if name in sees:
                if answer.status == 404:
                    yield f"{method} {route} hides {name}"
            elif answer != unknown:
                yield f"{method} {route} shows {name}: {answer.status}"
        malformed = MALFORMED[number % len(MALFORMED)]
        if ask(client, method, route, entry.body, malformed) != unknown:
            yield f"{method} {route} of {malformed!r}"
    yield from list_leaks(who, client, things)


LISTS: Final = {
    "tasks": ("task", ("", "limit=1", "principal_id=acme_corp", "principal_id=globex")),
    "events": ("task", ("", "limit=1")),
    "endpoints": ("endpoint", ("", "limit=1")),
    "deliveries": ("delivery", ("", "limit=1")),
}


def list_leaks(who: str, client: APIClient, things: Things) -> Iterator[str]:
    for (method, route), entry in ENTRIES.items():
        if entry.kind not in LISTS:
            continue
        kind, queries = LISTS[entry.kind]
        named, sees = {pk: name for name, pk in things[kind].items()}, seen_by(who, kind)
        for query in queries:
            response = client.get(f"{API}{route}?{query}")
            if response.status_code == 403 and kind != "task" and who not in MANAGES:
                continue
            answer = response.json()
            rows = {named[row[f"{kind}_id"]] for row in answer["results"]}
            if not rows <= sees:
                yield f"{method} {route}?{query}"
            expected = {name for name in sees if query in ("", f"principal_id={OF.get(name)}")}
            if query != "limit=1" and rows != expected:
                yield f"{method} {route}?{query} is not what they see"
            if query == "limit=1" and bool(answer["next"]) != (len(sees) > 1):
                yield f"{method} {route} has a page more than they see"
            if "total_count" in answer and query == "" and answer["total_count"] != len(sees):
                yield f"{method} {route} counts what they do not see"


@pytest.mark.django_db
@pytest.mark.parametrize("who", SEES)
def test_it_answers_a_task_out_of_sight_exactly_like_an_unknown_one(
    who: str, client_for: ClientFor, things: Things
) -> None:
    assert list(leaks(who, client_for(who), things)) == []


@pytest.mark.django_db
@pytest.mark.parametrize("who", STRANGERS)
def test_it_asks_a_stranger_who_he_is_whatever_he_asks_for(who: str, client_for: ClientFor, things: Things) -> None:
    client = client_for(who)
    for method, route in operations():
        entry = ENTRIES[method, route]
        wanted = [UNKNOWN, *things[entry.kind].values()] if entry.kind in KINDS else [UNKNOWN]
        answers = {ask(client, method, route, entry.body, pk) for pk in wanted}
        assert len(answers) == 1, f"{method} {route} tells tasks apart"
        (answer,) = answers
        assert answer.status == 401, f"{method} {route}"
        assert dict(answer.headers)["WWW-Authenticate"] == "Bearer"


@pytest.mark.django_db
@pytest.mark.parametrize("who", SEES)
def test_it_hands_out_only_tasks_that_the_caller_sees(who: str, client_for: ClientFor, things: Things) -> None:
    named, client = {pk: name for name, pk in things["task"].items()}, client_for(who)
    for body in (
        {},
        {"principal_id": "globex"},
        {"principal_id": "acme_corp", "task_type": "creative_approval"},
        {"task_type": "permission_exception"},
    ):
        with undone():
            response = client.post(f"{API}tasks/claim-next/", body)
        assert response.status_code in (200, 204)
        if response.status_code == 200:
            assert named[response.json()["task_id"]] in SEES[who]


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["bot", "ana", "zoe", "a token for all principals that may not read"])
def test_it_opens_no_back_door_through_a_task_that_a_new_one_follows(
    who: str, client_for: ClientFor, things: Things
) -> None:
    body = {"task_type": "permission_exception", "principal_id": "acme_corp"}
    client = client_for(who)
    unknown = client.post(f"{API}tasks/", {**body, "follows": UNKNOWN})
    assert unknown.status_code == 400
    for name, pk in things["task"].items():
        if name not in SEES[who]:
            answer = client.post(f"{API}tasks/", {**body, "follows": pk})
            assert answer.content == unknown.content.replace(UNKNOWN.encode(), pk.encode())


@pytest.mark.django_db
def test_it_shows_nobody_a_foreign_task_for_a_guessed_dedup_key(
    client_for: ClientFor, make_task: NewTaskFactory
) -> None:
    secret = make_task(dedup_key="gam-403", error_detail="PERMISSION_DENIED at Acme")
    body = {"task_type": "permission_exception", "principal_id": "acme_corp", "dedup_key": "gam-403"}
    answer = client_for("zoe").post(f"{API}tasks/", body)
    assert answer.status_code == 201
    assert answer.json()["task_id"] != secret.task_id
    assert client_for("zoe").post(f"{API}tasks/", body).json()["task_id"] == answer.json()["task_id"]
    assert client_for("bot").post(f"{API}tasks/", body).json()["task_id"] == secret.task_id


@pytest.mark.django_db
def test_it_names_no_people_to_those_who_may_assign(client_for: ClientFor, things: Things) -> None:
    path = f"{API}tasks/{things['task']['acme_creative']}/assign/"
    client = client_for("sam")
    unknown = client.post(path, {"assigned_to": "nobody-here"})
    assert unknown.status_code == 400
    for name in ("zoe", "bot", "system", "zoe@agency.example"):
        assert client.post(path, {"assigned_to": name}).content == unknown.content.replace(
            b"nobody-here", name.encode()
        )


# -- negative controls: with the guard away, the matrix sees it


@pytest.mark.django_db
def test_its_matrix_finds_the_leak_when_everything_is_visible(
    client_for: ClientFor, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.selectors.visible_to", lambda actor: Q())
    monkeypatch.setattr("tasks_app.api.lists.visible_to", lambda actor: Q())
    monkeypatch.setattr("tasks_app.services.rhythm.can_see", lambda actor, task: True)
    monkeypatch.setattr("notifications.services.visible_endpoints", lambda actor: Endpoint.objects.all())
    found = [leak for who in ("bot", "zoe") for leak in leaks(who, client_for(who), things)]
    for (method, route), entry in ENTRIES.items():
        if entry.kind != "other":
            assert any(leak.startswith(f"{method} {route}") for leak in found), f"{method} {route} was not found out"


@pytest.mark.django_db
def test_its_matrix_finds_the_leak_when_a_refusal_says_more(
    client_for: ClientFor, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = permissions.can_see

    def chatty(actor: Actor, task: HumanTask) -> bool:
        if not real(actor, task):
            raise NotAllowed("This task belongs to another team.")
        return True

    monkeypatch.setattr("tasks_app.services.rhythm.can_see", chatty)
    found = list(leaks("eve", client_for("eve"), things))
    writes = [key for key, entry in ON_ONE.items() if key[0] == "POST" and entry.kind == "task"]
    assert len([leak for leak in found if "shows" in leak]) == len(writes) * len(ALL - SEES["eve"])


def test_its_cast_is_bound_as_it_says(bot: Actor, eve: Actor, people: dict[str, User]) -> None:
    assert adapter(people["bot"], "acme_corp").principals == bot.principals
    assert bot.principals is not None
    assert eve.principals is not None
    assert not bot.principals & eve.principals
