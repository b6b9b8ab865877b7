"""Whoever may not see a task learns nothing of it by any page: a foreign task answers like one that never was.

The strangers: a reviewer of another team, somebody who left the team a moment ago, and a person of the staff without a
team. Every address of the URL conf is tried, with the key in the address and in the form.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from core import clock
from tasks_app import services
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, SavedView, TeamMembership, User
from tests.admin.conftest import QUEUE, ClientFor
from tests.admin.furnished import addresses
from tests.cast import NewTaskFactory, person

STRANGERS: Final = ("zoe", "left", "nobody")
UNKNOWN: Final = "task_00000000000070008000000000000000"
WORD: Final = "xylophone"
VERBS: Final = ("approve", "reject", "comment", "assign", "hold", "reveal", "withdraw", "hand-over", "nothing")
# What others than administrators may open of the configuration, refused to all others.
OPEN_TO_ALL: Final = re.compile(r"index|log.*|search|password_change.*|jsi18n|app_list|.*_user_mine|.*_humantask_.*")


@pytest.fixture
def secret(make_task: NewTaskFactory, ana: Actor, sam: Actor, people: dict[str, User]) -> HumanTask:
    """A task of ana's team with everything that could tell of it: ids, words, a twin, a comment, something sealed."""
    fields = {"media_buy_id": "mb-secret", "creative_id": "cr-secret", "operation": f"{WORD}_op"}
    task, _twin = (make_task(**fields, error_detail=f"{WORD} mail jane@acme.example") for _ in range(2))
    services.claim_task(task.pk, ana)
    services.comment_on_task(task.pk, sam, f"@ana @zoe {WORD}")
    return HumanTask.objects.get(pk=task.pk)


@pytest.fixture
def stranger(secret: HumanTask, people: dict[str, User], client_for: ClientFor) -> Callable[[str], Client]:
    def make(who: str) -> Client:
        if who == "left":  # was signed in, saw everything, and has just left
            people["left"] = person("left")
            TeamMembership.objects.create(user=people["left"], team_id="creative-review")
            client = client_for("left")
            assert WORD in client.get(f"{QUEUE}{secret.pk}/change/").content.decode()
            client.post(f"{QUEUE}{secret.pk}/presence/", {"version": 1})
            services.comment_on_task(secret.pk, Actor(user=people["ana"]), f"@left {WORD}")
            TeamMembership.objects.filter(user=people["left"]).delete()
            return client
        if who == "nobody":
            people["nobody"] = person("nobody")
        return client_for(who)

    return make


def told(response: Any, task_id: str) -> tuple[int, str, str]:
    """An answer without what differs from request to request, and without the id that was asked for."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    text = re.sub(r'(csrfmiddlewaretoken" value=)"\w+"', r"\1", bytes(body).decode())
    # The list's fingerprint is one of the question, too: the id that was asked for is in it.
    text = re.sub(r"(?<=tag=)?\"?\b[0-9a-f]{32}\b\"?", "TAG", text.replace(task_id, "ID"))
    headers = {name: value for name, value in response.headers.items() if name in ("Location", "Content-Type")}
    return response.status_code, str(headers).replace(task_id, "ID"), text


def calls(name: str, route: str, task_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, address and form for each way in which this address can name a task."""
    args = [task_id] if "<str:task_id>" in route else []
    sent = {"task": task_id, "version": "2", "text": "x", "task_id": task_id, "ids": "1", "view": f"q={task_id}"}
    if "verb_name" in route:
        verbs = VERBS if args or "deck" in name else ("decide", "claim", "assign")
        forms = [
            {**sent, "task": f"{task_id}:2", "confirmed": c, "decision": "approve", "assigned_to": "ana"}
            for c in ("", "1")
        ]
        if args or "deck" in name:
            forms = [{**sent, "placeholder": "[email 1]", "colleague": "ana", "assigned_to": "ana"}]
        return [("POST", reverse(f"admin:{name}", args=[*args, verb]), form) for verb in verbs for form in forms]
    if "<" in route and not args:
        return []
    address = reverse(f"admin:{name}", args=args)
    return [
        ("GET", address, {"task": task_id, "q": task_id}),
        ("POST", address, {**sent, "task": f"{task_id}:2"}),
        ("POST", address, sent),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("who", STRANGERS)
def test_a_foreign_task_answers_like_one_that_never_was(
    who: str, secret: HumanTask, stranger: Callable[[str], Client]
) -> None:
    client, before, asked = stranger(who), HumanTask.objects.values().get(pk=secret.pk), 0
    now = clock.now()
    for name, route in sorted(addresses().items()):
        if "_humantask_" not in name:
            continue
        for (method, address, sent), (_same, other, unlike) in zip(
            calls(name, route, secret.pk), calls(name, route, UNKNOWN), strict=True
        ):
            send = client.get if method == "GET" else client.post
            with clock.at(now):  # pages say when they were made
                foreign, unknown = told(send(address, sent), secret.pk), told(send(other, unlike), UNKNOWN)
            assert foreign == unknown, (name, method)
            assert WORD not in foreign[2].replace("ID", ""), (name, method)
            asked += 1
    assert asked >= 60
    assert HumanTask.objects.values().get(pk=secret.pk) == before


@pytest.mark.django_db
@pytest.mark.parametrize("who", STRANGERS)
def test_no_list_search_or_file_tells_of_it(who: str, secret: HumanTask, stranger: Callable[[str], Client]) -> None:
    client = stranger(who)
    searches = [f"?q={q}" for q in (secret.pk, secret.pk[-12:], "mb-secret", "cr-secret", WORD, f"{WORD}_op")]
    views = [f"?tab={tab}&adapter=&principal=acme_corp" for tab in ("mine", "unassigned", "all", "escalated", "closed")]
    pages = [
        f"{QUEUE}{part}{query}"
        for part in ("", "live/", "export/", "deck/", "deck/card/")
        for query in searches + views
    ]
    pages += [f"{QUEUE}{part}" for part in ("mentions/", "news/", "similar/", f"similar/{secret.similarity_key}/")]
    pages += ["/admin/", "/admin/my-notifications/", f"{QUEUE}deck/card/?task={secret.pk}", "/admin/tasks_app/quarter/"]
    for page in pages:
        response: Any = client.get(page)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        text = re.sub(r'value="[^"]*"|q=[^"&<]*|„[^“]*“', "", bytes(body).decode())
        for trace in (WORD, "mb-secret", "cr-secret", secret.pk):
            assert trace not in text, (page, trace)


@pytest.mark.django_db
@pytest.mark.parametrize("who", [*STRANGERS, "ana"])
def test_the_configuration_is_closed_to_whoever_does_not_keep_it(
    who: str, secret: HumanTask, stranger: Callable[[str], Client]
) -> None:
    client = stranger(who)
    for name, route in addresses().items():
        if OPEN_TO_ALL.fullmatch(name):
            continue
        address = "/admin/" + re.sub(r"<[^>]*>", "1", re.sub(r"<slug:[^>]*>", "test", route))
        for answer in (client.get(address), client.post(address, {"confirmed": "1"})):
            assert answer.status_code in (302, 403, 404, 405), (name, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"] in ("/admin/", f"/admin/login/?next={address}"), (
                    name,
                    answer.headers,
                )


@pytest.mark.django_db
def test_a_colleagues_view_answers_like_one_that_is_not_there(people: dict[str, User], client_for: ClientFor) -> None:
    view = SavedView.objects.create(user=people["sam"], name=WORD, query="tab=all")
    client = client_for("ana")
    for number in (view.pk, 999_999, 2**70):
        answer = client.post(f"{QUEUE}views/{number}/", {"what": "delete"}, follow=True)
        assert "There is no such view any more." in answer.content.decode()
        assert WORD not in answer.content.decode()
    assert SavedView.objects.filter(pk=view.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "target", ["//evil.invalid", "https://evil.invalid", "/\\evil.invalid", "\r\nX: y", "javascript:x"]
)
def test_it_leads_nowhere_else(target: str, client_for: ClientFor, make_task: NewTaskFactory) -> None:
    client, task = client_for("ana"), make_task()
    answers = [
        client.post("/admin/login/", {"username": "x", "password": "y", "next": target}),
        client.get("/admin/login/", {"next": target}),
        client.post(f"{QUEUE}{task.pk}/claim/", {"version": 1, "back": target}),
        client.post(f"{QUEUE}bulk/decide/", {"back": target}),
        client.get(f"{QUEUE}bulk/decide/", {"back": target}),
        client.post(f"{QUEUE}{task.pk}/mention-read/", {"back": target}),
        client.post(f"{QUEUE}views/", {"name": "x", "query": target}),
    ]
    for answer in answers:
        assert "X" not in answer.headers
        assert answer.headers.get("Location", "/admin/").startswith("/admin/"), answer.headers


@pytest.mark.django_db
def test_every_form_of_the_console_asks_for_its_token(people: dict[str, User], make_task: NewTaskFactory) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["root"])
    task, refused = make_task(), 0
    for name, route in addresses().items():
        if "<" in route and "<str:task_id>" not in route:
            continue
        args = [task.pk, "claim"] if "verb_name" in route else [task.pk] if "<" in route else []
        answer = client.post(reverse(f"admin:{name}", args=args), {"version": "1"})
        assert answer.status_code == 403, (name, answer.status_code)
        refused += 1
    assert refused >= 50
    assert HumanTask.objects.get(pk=task.pk).version == 1
