"""`Idempotency-Key`: one effect, the first answer again, and nothing kept that must not be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import time_machine
from django.core.cache import cache

from notifications.models import Endpoint
from tasks_app import housekeeping, tokens
from tasks_app.api import idempotency
from tasks_app.models import HumanTask, IdempotencyRecord, Scope, TaskEvent, TeamMembership, User
from tests.api.conftest import TASKS, ClientFactory
from tests.api.test_tasks import Opened, problem

BODY: Final = {"task_type": "creative_approval", "principal_id": "acme_corp"}
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY: Final = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}

# In the order of a task's life: who, the verb, its body.
LIFE: Final = [
    ("ana", "claim", {}),
    ("ana", "start", {}),
    ("ana", "comment", {"text": "looking into it"}),
    ("ana", "release", {"reason": "lunch"}),
    ("sam", "assign", {"assigned_to": "ana"}),
    ("sam", "escalate", {"reason": "late"}),
    ("ana", "claim", {}),  # taken back from her: a decision without a new look would be refused
    ("ana", "complete", {"resolution": "approved"}),
]


@pytest.mark.django_db
def test_it_replays_the_answer_of_every_change(api: ClientFactory, opened: Opened) -> None:
    task = opened()["task_id"]
    clients = {who: api(who) for who in ("ana", "sam")}
    for number, (who, verb, body) in enumerate(LIFE):
        headers = {"Idempotency-Key": f"step-{number}"}
        first = clients[who].post(f"{TASKS}{task}/{verb}/", body, headers=headers)
        assert first.status_code in (200, 201), (verb, first.content)
        events = TaskEvent.objects.count()
        for _ in range(2):
            again = clients[who].post(f"{TASKS}{task}/{verb}/", body, headers=headers)
            assert (again.status_code, again.content) == (first.status_code, first.content), verb
            assert again["Idempotent-Replayed"] == "true"
            assert again.get("ETag") == first.get("ETag")
        assert "Idempotent-Replayed" not in first
        assert TaskEvent.objects.count() == events, f"{verb} had its effect twice"


@pytest.mark.django_db
def test_it_replays_an_empty_answer_and_the_next_task(api: ClientFactory, opened: Opened) -> None:
    ana = api("ana")
    empty = [ana.post(f"{TASKS}claim-next/", {}, headers={"Idempotency-Key": "none"}) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in empty] == [(204, b"")] * 2
    opened(), opened()
    taken = [ana.post(f"{TASKS}claim-next/", {}, headers=KEY).json() for _ in range(3)]
    assert taken[0] == taken[1] == taken[2]
    assert HumanTask.objects.filter(assigned_to__username="ana").count() == 1


@pytest.mark.django_db
def test_it_refuses_another_request_under_the_same_key(api: ClientFactory) -> None:
    bot: Any = api("bot")
    task = bot.post(TASKS, BODY, headers=KEY).json()["task_id"]
    for path, body in (
        (TASKS, {**BODY, "operation": "x"}),
        (TASKS, {}),
        (f"{TASKS}{task}/withdraw/", BODY),
        (f"{TASKS}{task}/comment/", {"text": "x"}),
        (f"{TASKS}claim-next/", BODY),
    ):
        problem(bot.post(path, body, headers=KEY), 422, "idempotency_key_reused")
    same = bot.generic(
        "POST",
        TASKS,
        b'{ "principal_id": "acme_corp",\n"task_type": "creative_approval" }',
        content_type="application/json",
        headers=KEY,
    )
    assert same.status_code == 201, "the order of keys and white space are not the body"
    assert HumanTask.objects.count() == 1


@pytest.mark.django_db
def test_it_keeps_users_apart_and_tokens_of_one_user_together(api: ClientFactory) -> None:
    first = api("bot").post(TASKS, BODY, headers=KEY).json()
    assert api("bot").post(TASKS, BODY, headers=KEY).json() == first, "a rotated token repeats the request"
    other = api("eve").post(TASKS, {**BODY, "principal_id": "globex"}, headers=KEY)
    assert (other.status_code, "Idempotent-Replayed" in other) == (201, False)
    assert other.json()["task_id"] != first["task_id"]


@pytest.mark.django_db
def test_it_keeps_no_refusal(api: ClientFactory, opened: Opened, settings: Any) -> None:
    task, ana, bot = opened()["task_id"], api("ana"), api("bot")
    problem(bot.post(TASKS, {**BODY, "priority": "highest"}, headers=KEY), 400, "invalid")
    problem(bot.post(TASKS, {**BODY, "principal_id": "globex"}, headers=KEY), 403, "permission_denied")
    problem(bot.post(f"{TASKS}task_x/withdraw/", {}, headers=KEY), 404, "not_found")
    problem(ana.post(f"{TASKS}{task}/start/", {}, headers=KEY), 409, "wrong_state")
    problem(ana.post(f"{TASKS}{task}/claim/", {}, headers={**KEY, "If-Match": '"9"'}), 412, "stale_version")
    settings.HITL_RATE_LIMIT = 1
    cache.clear()
    api("bot").get(TASKS)
    limited = api("bot")
    limited.get(TASKS)
    problem(limited.post(TASKS, BODY, headers=KEY), 429, "throttled")
    settings.HITL_RATE_LIMIT = 0
    assert not IdempotencyRecord.objects.exists()
    assert ana.post(f"{TASKS}{task}/claim/", {}, headers=KEY).status_code == 200
    assert bot.post(TASKS, BODY, headers=KEY).status_code == 201


@pytest.mark.django_db
def test_it_keeps_no_answer_that_carries_a_secret(
    api: ClientFactory, opened: Opened, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.services.check_destination", lambda url, allow_hosts: None)
    task = opened(error_detail="write to ops@acme.example")["task_id"]
    bot, calls = api("bot"), []
    endpoint = {"url": "https://receiver.test/"}
    made = bot.post("/api/v1/webhook-endpoints/", endpoint, headers={"Idempotency-Key": "a"})
    assert made.status_code == 201, made.content
    rotate = f"/api/v1/webhook-endpoints/{made.json()['endpoint_id']}/rotate-secret/"
    rotated = bot.post(rotate, {}, headers={"Idempotency-Key": "b"})
    reveal = {"placeholder": "[email 1]", "reason": "to ask them"}
    sam = api("sam")
    revealed = sam.post(f"{TASKS}{task}/reveal/", reveal, headers={"Idempotency-Key": "c"})
    assert revealed["Cache-Control"] == "no-store"
    calls += [
        bot.post("/api/v1/webhook-endpoints/", endpoint, headers={"Idempotency-Key": "a"}),
        bot.post(rotate, {}, headers={"Idempotency-Key": "b"}),
        sam.post(f"{TASKS}{task}/reveal/", reveal, headers={"Idempotency-Key": "c"}),
    ]
    for answer in calls:
        problem(answer, 409, "secret_already_shown")
    assert Endpoint.objects.count() == 1
    assert TaskEvent.objects.filter(type="task.detail_revealed").count() == 1
    kept = b"".join(bytes(row.body or b"") for row in IdempotencyRecord.objects.all())
    for secret in (made.json()["secret"], rotated.json()["secret"], "ops@acme.example"):
        assert secret.encode() not in kept


@pytest.mark.django_db
def test_it_checks_the_rights_again_at_a_replay(api: ClientFactory, opened: Opened, people: dict[str, User]) -> None:
    task, ana = opened()["task_id"], api("ana")
    assert ana.post(f"{TASKS}{task}/claim/", {}, headers=KEY).status_code == 200
    TeamMembership.objects.filter(user=people["ana"]).delete()
    problem(ana.post(f"{TASKS}{task}/claim/", {}, headers=KEY), 404, "not_found")


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["zoe", "a token that only opens tasks"])
def test_it_replays_to_whoever_opened_a_task_for_others(who: str, api: ClientFactory, people: dict[str, User]) -> None:
    """zoe's team does not serve it, and the token may not read: the repeated request must still find its task."""
    client = api("zoe" if who == "zoe" else "bot")
    if who != "zoe":
        _row, text = tokens.issue("blind", people["bot"], all_principals=True, scopes=[Scope.CREATE])
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    first, again = (client.post(TASKS, BODY, headers=KEY) for _ in range(2))
    assert (again.status_code, again.content) == (201, first.content)
    assert HumanTask.objects.count() == 1


@pytest.mark.django_db
def test_it_keeps_records_72_hours_and_not_the_key_itself(api: ClientFactory) -> None:
    bot = api("bot")
    with time_machine.travel(NOW, tick=False):
        first = bot.post(TASKS, BODY, headers=KEY).json()
    record = IdempotencyRecord.objects.get()
    assert KEY["Idempotency-Key"] not in (record.key, record.fingerprint)
    with time_machine.travel(NOW + timedelta(hours=71, minutes=59), tick=False):
        housekeeping.tidy_up()
        assert bot.post(TASKS, BODY, headers=KEY).json() == first
    with time_machine.travel(NOW + timedelta(hours=72, minutes=1), tick=False):
        housekeeping.tidy_up()
        assert not IdempotencyRecord.objects.exists()
        assert bot.post(TASKS, BODY, headers=KEY).json()["task_id"] != first["task_id"]


@pytest.mark.django_db
def test_its_check_fails_without_the_record(
    api: ClientFactory, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Any]
) -> None:
    monkeypatch.setattr(
        idempotency, "_reserve", lambda request, key, fingerprint: IdempotencyRecord(user_id=0, key="x")
    )
    monkeypatch.setattr(IdempotencyRecord, "save", lambda self, **options: None)
    bot = api("bot")
    first, again = (bot.post(TASKS, BODY, headers=KEY) for _ in range(2))
    assert first.json()["task_id"] != again.json()["task_id"]
