"""The access matrix: every operation, who sees what (by hand, once), and the clients and things it is played with."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import pytest
from django.contrib.auth.models import Group
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from notifications.models import Delivery, Endpoint
from tasks_app import events, tokens
from tasks_app.actors import Actor
from tasks_app.models import Principal, Scope, TaskEvent, Team, User
from tasks_app.models.access import default_scopes
from tests.cast import NewTaskFactory, person

API: Final = "/api/v1/"
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Entry(NamedTuple):
    """One operation. `kind`: on one task (endpoint, delivery), a list of them, a list of events, or another."""

    kind: str
    body: dict[str, Any] | None = None


ENTRIES: Final[dict[tuple[str, str], Entry]] = {
    ("GET", "tasks/"): Entry("tasks"),
    ("POST", "tasks/"): Entry("other"),
    ("POST", "tasks/batch/"): Entry("other"),
    ("GET", "tasks/pending/"): Entry("tasks"),
    ("POST", "tasks/claim-next/"): Entry("other"),
    ("GET", "tasks/<str:task_id>/"): Entry("task"),
    ("POST", "tasks/<str:task_id>/assign/"): Entry("task", {"assigned_to": "ana"}),
    ("POST", "tasks/<str:task_id>/complete/"): Entry("task", {"resolution": "rejected", "resolution_detail": "no"}),
    ("POST", "tasks/<str:task_id>/claim/"): Entry("task", {}),
    ("POST", "tasks/<str:task_id>/start/"): Entry("task", {}),
    ("POST", "tasks/<str:task_id>/hand-over/"): Entry("task", {"to": "sam", "note": "you know them"}),
    ("POST", "tasks/<str:task_id>/release/"): Entry("task", {"reason": "busy"}),
    ("POST", "tasks/<str:task_id>/route/"): Entry("task", {"team": "compliance"}),
    ("POST", "tasks/<str:task_id>/hold/"): Entry("task", {"reason": "asked", "follow_up_at": "2026-03-02T12:00:00Z"}),
    ("POST", "tasks/<str:task_id>/resume/"): Entry("task", {}),
    ("POST", "tasks/<str:task_id>/extend/"): Entry("task", {"until": "2026-03-02T12:00:00Z"}),
    ("GET", "tasks/<str:task_id>/clock/"): Entry("task"),
    ("GET", "metrics/summary/"): Entry("other"),
    ("POST", "tasks/<str:task_id>/escalate/"): Entry("task", {"reason": "late"}),
    ("POST", "tasks/<str:task_id>/withdraw/"): Entry("task", {"reason": "moot"}),
    ("POST", "tasks/<str:task_id>/comment/"): Entry("task", {"text": "seen"}),
    ("POST", "tasks/<str:task_id>/reveal/"): Entry("task", {"placeholder": "[email 1]", "reason": "to ask"}),
    ("GET", "tasks/<str:task_id>/events/"): Entry("task"),
    ("GET", "events/"): Entry("events"),
    ("GET", "webhook-endpoints/"): Entry("endpoints"),
    ("POST", "webhook-endpoints/"): Entry("other"),
    ("GET", "webhook-endpoints/<str:endpoint_id>/"): Entry("endpoint"),
    ("PATCH", "webhook-endpoints/<str:endpoint_id>/"): Entry("endpoint", {"description": "mine"}),
    ("DELETE", "webhook-endpoints/<str:endpoint_id>/"): Entry("endpoint"),
    ("POST", "webhook-endpoints/<str:endpoint_id>/test/"): Entry("endpoint", {}),
    ("POST", "webhook-endpoints/<str:endpoint_id>/rotate-secret/"): Entry("endpoint", {}),
    ("POST", "webhook-endpoints/<str:endpoint_id>/enable/"): Entry("endpoint", {}),
    ("POST", "webhook-endpoints/<str:endpoint_id>/recover/"): Entry("endpoint", {"since": "2026-01-01T00:00:00Z"}),
    ("GET", "deliveries/"): Entry("deliveries"),
    ("GET", "deliveries/<str:delivery_id>/"): Entry("delivery"),
    ("POST", "deliveries/<str:delivery_id>/redeliver/"): Entry("delivery", {}),
}
KINDS: Final = ("task", "endpoint", "delivery")
ON_ONE: Final = {key: entry for key, entry in ENTRIES.items() if entry.kind in KINDS}

ACME: Final = frozenset({"acme_creative", "acme_permission"})
CREATIVE: Final = frozenset({"acme_creative", "globex_creative"})
ALL: Final = ACME | CREATIVE
NOBODY: Final[frozenset[str]] = frozenset()
OF: Final = {"acme_creative": "acme_corp", "acme_permission": "acme_corp", "globex_creative": "globex"}
SEES: Final[dict[str, frozenset[str]]] = {
    "bot": ACME,
    "bot with tasks:work": ACME,
    "eve": frozenset({"globex_creative"}),
    "a token for all principals": ALL,
    "a token for all principals that may not read": NOBODY,
    "a token for no principal": NOBODY,
    "ana": CREATIVE,
    "ana by session": CREATIVE,
    "sam": CREATIVE,
    "zoe": frozenset({"acme_permission"}),
    "zoe by session": frozenset({"acme_permission"}),
    "a person without a team": NOBODY,
    "a member of an inactive team": NOBODY,
    "root": ALL,
    "audrey": ALL,
}
# Endpoints and their deliveries: an adapter's own, by service user; the rest is for administrators. Others get a 403
# for known and unknown ones alike.
MANAGES: Final[dict[str, frozenset[str]]] = {
    "bot": frozenset({"bot's"}),
    "bot with tasks:work": frozenset({"bot's"}),
    "a token for no principal": frozenset({"bot's"}),
    "eve": frozenset({"eve's"}),
    "a token for all principals": frozenset({"eve's"}),
    "root": frozenset({"bot's", "eve's", "the operator's"}),
}
STRANGERS: Final = (
    "nobody",
    "a wrong secret",
    "a revoked token",
    "an expired token",
    "the token of an inactive user",
    "an inactive person's session",
)
PREFIX: Final = {"task": "task_", "endpoint": "ep_", "delivery": "dlv_"}
UNKNOWN: Final = "task_" + "0" * 32
# One of them a cell, in turn.
MALFORMED: Final = ("x", "task_", "TASK_" + "0" * 32, "task_" + "g" * 32, "1", "..", "null", "task_%27%20OR%201=1--")


def operations() -> Iterator[tuple[str, str]]:
    """(method, route below the API's root) of every operation that the URL conf serves."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, URLPattern]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            else:
                yield route, pattern

    for route, pattern in walk(get_resolver().url_patterns, "/"):
        if route.startswith(API):
            view = pattern.callback.view_class  # type: ignore[attr-defined]  # set by as_view()
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(view, method):
                    yield method.upper(), route.removeprefix(API)


Things = dict[str, dict[str, str]]


@pytest.fixture
def things(make_task: NewTaskFactory, eve: Actor, people: dict[str, User]) -> Things:
    """Kind -> whose -> id. Every task has a sealed value, so that there is something to reveal."""
    made = {
        "acme_creative": make_task(error_detail="ask ops@acme.example"),
        "acme_permission": make_task("permission_exception", error_detail="ask it@acme.example"),
        "globex_creative": make_task(actor=eve, principal_id="globex", error_detail="ask a@globex.example"),
    }
    events.assign_positions()
    endpoints, deliveries = {}, {}
    owners = {"bot's": people["bot"], "eve's": people["eve"], "the operator's": None}
    for (whose, owner), task in zip(owners.items(), made.values(), strict=True):
        endpoint = Endpoint(url="https://receiver.invalid/", owner=owner, created_at=NOW)
        endpoint.add_secret("whsec_" + "c2VjcmV0" * 4, now=NOW)
        endpoint.save(force_insert=True)
        event = TaskEvent.objects.get(task=task)
        endpoints[whose] = endpoint.pk
        deliveries[whose] = Delivery.objects.create(
            endpoint=endpoint,
            event=event,
            task_id=task.pk,
            event_type=event.type,
            seq=1,
            next_attempt_at=NOW,
            created_at=NOW,
        ).pk
    tasks = {name: task.task_id for name, task in made.items()}
    return {"task": tasks, "endpoint": endpoints, "delivery": deliveries}


ClientFor = Callable[[str], APIClient]


@pytest.fixture
def client_for(people: dict[str, User], principals: dict[str, Principal]) -> ClientFor:
    def bearer(user: User, *of: str, **options: Any) -> APIClient:
        change = options.pop("change", {})
        text_suffix = options.pop("suffix", "")
        token, text = tokens.issue("t", user, principals=[principals[pk] for pk in of], **options)
        for name, value in change.items():
            setattr(token, name, value)
        token.save()
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}{text_suffix}")
        return client

    def session(user: User) -> APIClient:
        client = APIClient()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def inactive(user: User) -> User:
        User.objects.filter(pk=user.pk).update(is_active=False)
        return user

    def auditor() -> User:
        audrey = person("audrey")
        audrey.groups.add(Group.objects.get(name="Auditor"))
        return audrey

    def left_behind() -> User:
        Team.objects.filter(memberships__user=people["sam"]).update(is_active=False)
        return people["sam"]

    past = datetime(2020, 1, 1, tzinfo=UTC)
    bot, eve, ana, zoe = (people[name] for name in ("bot", "eve", "ana", "zoe"))
    makers: dict[str, Callable[[], APIClient]] = {
        "bot": lambda: bearer(bot, "acme_corp"),
        "bot with tasks:work": lambda: bearer(bot, "acme_corp", scopes=[*default_scopes(), Scope.WORK]),
        "eve": lambda: bearer(eve, "globex"),
        "a token for all principals": lambda: bearer(eve, all_principals=True),
        "a token for all principals that may not read": lambda: bearer(eve, all_principals=True, scopes=[Scope.CREATE]),
        "a token for no principal": lambda: bearer(bot),
        "ana": lambda: bearer(ana),
        "ana by session": lambda: session(ana),
        "sam": lambda: bearer(people["sam"]),
        "zoe": lambda: bearer(zoe),
        "zoe by session": lambda: session(zoe),
        "a person without a team": lambda: bearer(person("newcomer")),
        "a member of an inactive team": lambda: bearer(left_behind()),
        "root": lambda: bearer(people["root"]),
        "audrey": lambda: bearer(auditor()),
        "nobody": APIClient,
        "a wrong secret": lambda: bearer(bot, "acme_corp", suffix="x"),
        "a revoked token": lambda: bearer(bot, "acme_corp", change={"revoked_at": past}),
        "an expired token": lambda: bearer(bot, "acme_corp", change={"expires_at": past}),
        "the token of an inactive user": lambda: bearer(inactive(people["root"])),
        "an inactive person's session": lambda: session(inactive(people["sam"])),
    }
    return lambda who: makers[who]()
