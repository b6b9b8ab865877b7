"""Login, sessions, headers, limits and what a production installation shows of itself."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from axes.models import AccessAttempt
from django.core.cache import cache
from django.test import Client
from rest_framework.test import APIClient

from hitl import home
from tasks_app import tokens
from tasks_app.api import throttling
from tasks_app.models import HumanTask, User
from tests.api.conftest import TASKS, ClientFactory
from tests.api.matrix import operations
from tests.api.test_tasks import Opened, problem
from tests.cast import PASSWORD

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
LOGIN: Final = "/admin/login/"

# -- login


def sign_in(client: Client, username: str, password: str, **environ: Any) -> Any:
    return client.post(LOGIN, {"username": username, "password": password, "next": "/admin/"}, **environ)


@pytest.mark.django_db
def test_it_throttles_the_sixth_bad_login_and_then_the_right_one_too(people: dict[str, User]) -> None:
    client = Client()
    statuses = [sign_in(client, "ana", f"wrong {number}").status_code for number in range(6)]
    assert set(statuses[:4]) == {200}
    assert statuses[5] == 429
    assert sign_in(client, "ana", PASSWORD).status_code == 429
    assert sign_in(client, "sam", PASSWORD).status_code == 302, "another person is not locked out"
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7"), "ana", PASSWORD).status_code == 302, "nor she, from elsewhere"


@pytest.mark.django_db
def test_its_lock_is_not_escaped_by_a_forged_address(people: dict[str, User]) -> None:
    statuses = [
        sign_in(Client(), "ana", "wrong", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}").status_code for number in range(6)
    ]
    assert statuses[5] == 429
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"127.0.0.1"}


@pytest.mark.django_db
def test_its_lock_is_what_throttles(people: dict[str, User], settings: Any) -> None:
    settings.AXES_ENABLED = False
    assert {sign_in(Client(), "ana", f"wrong {number}").status_code for number in range(7)} == {200}


@pytest.mark.django_db
def test_it_forgets_bad_logins_after_a_good_one(people: dict[str, User]) -> None:
    client = Client()
    for _ in range(2):
        for number in range(4):
            assert sign_in(client, "ana", f"wrong {number}").status_code == 200
        assert sign_in(client, "ana", PASSWORD).status_code == 302
        client.logout()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "username", ["x" * 200, "x" * 5_000, "a\0b", "\ud800".encode("utf-8", "surrogatepass"), "' OR 1"]
)
def test_it_survives_a_hostile_login(username: Any) -> None:
    assert sign_in(Client(raise_request_exception=False), username, "x").status_code < 500


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["bot", "system", "nobody", "inactive"])
def test_it_lets_only_active_people_in(who: str, people: dict[str, User]) -> None:
    User.objects.filter(username="zoe").update(is_active=False, username="inactive")
    client = Client()
    assert sign_in(client, who, PASSWORD).status_code == 200
    assert "_auth_user_id" not in client.session
    for password in ("", "!", "None"):
        assert sign_in(client, who, password).status_code == 200


@pytest.mark.django_db
def test_it_does_not_forward_a_login_to_another_site(people: dict[str, User]) -> None:
    for target in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"):
        response = Client().post(LOGIN, {"username": "ana", "password": PASSWORD, "next": target})
        assert response.status_code == 302
        assert response["Location"] == "/admin/", target


@pytest.mark.django_db
def test_it_ends_other_sessions_when_the_password_changes(people: dict[str, User]) -> None:
    client = Client()
    sign_in(client, "ana", PASSWORD)
    assert client.get(TASKS).status_code == 200
    people["ana"].set_password("another long pass phrase")
    people["ana"].save()
    assert client.get(TASKS).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("https", [True, False])
def test_it_sets_careful_cookies(https: bool, people: dict[str, User], settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = https
    client = Client()
    client.get(LOGIN)
    sign_in(client, "ana", PASSWORD)
    session, csrf = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert session["httponly"] is True
    assert (session["samesite"], csrf["samesite"]) == ("Lax", "Lax")
    assert (bool(session["secure"]), bool(csrf["secure"])) == (https, https)


@pytest.mark.django_db
def test_it_asks_a_session_for_its_csrf_token(people: dict[str, User], opened: Opened) -> None:
    path = f"{TASKS}{opened()['task_id']}/claim/"
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["ana"], backend="django.contrib.auth.backends.ModelBackend")
    client.get("/admin/login/")
    assert client.get(TASKS).status_code == 200
    for headers in ({}, {"X-CSRFToken": "x" * 32}, {"X-CSRFToken": "y" * 64}):
        assert "CSRF" in problem(client.post(path, headers=headers), 403, "permission_denied")["detail"]
    token = client.get("/admin/password_change/").context["csrf_token"]
    foreign = client.post(
        path, HTTP_X_CSRFTOKEN=str(token), HTTP_ORIGIN="https://evil.example", content_type="application/json"
    )
    problem(foreign, 403, "permission_denied")
    assert HumanTask.objects.get().version == 1
    assert client.post(path, HTTP_X_CSRFTOKEN=str(token), content_type="application/json").status_code == 200


# -- headers

EVERYWHERE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def without_headers(client: Client, paths: list[tuple[str, str]]) -> list[str]:
    """The routes whose answer lacks one of the headers that every answer has."""
    found = []
    for method, path in paths:
        response = client.generic(method, path, b"{}", content_type="application/json")
        policy = response.headers.get("Content-Security-Policy", "")
        found += [f"{method} {path}: {name}" for name, value in EVERYWHERE.items() if response.get(name) != value]
        if not all(part in policy for part in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'")):
            found.append(f"{method} {path}: policy {policy!r}")
        if "unsafe" in policy and not path.startswith(("/admin/", "/api/docs/")):
            found.append(f"{method} {path}: relaxed {policy!r}")
        if not re.fullmatch(r"[0-9a-f]{32}", response.get("X-Correlation-ID", "")):
            found.append(f"{method} {path}: no correlation id")
        if path.startswith("/api/v1/") and response.get("Cache-Control") != "no-store":
            found.append(f"{method} {path}: may be kept by a cache")
        if "Server" in response or "X-Powered-By" in response:
            found.append(f"{method} {path}: names its server")
    return found


def every_path() -> list[tuple[str, str]]:
    api = [(method, "/api/v1/" + re.sub(r"<str:\w+>", "task_" + "0" * 32, route)) for method, route in operations()]
    others = ["/", "/admin/", LOGIN, "/admin/tasks_app/humantask/", "/admin/logout/", "/api/schema/", "/api/docs/"]
    return [*api, *(("GET", path) for path in (*others, "/api/v1/nothing/", "/nothing/", "/api/"))]


@pytest.mark.django_db
def test_it_protects_every_answer(people: dict[str, User]) -> None:
    stranger, root = Client(), Client()
    root.force_login(people["root"], backend="django.contrib.auth.backends.ModelBackend")
    for client in (stranger, root):
        assert without_headers(client, every_path()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/static/admin/css/base.css", "/static/nothing.css"])
def test_it_protects_what_is_answered_before_the_views(path: str, client: Client) -> None:
    response = client.get(path)
    response.close()
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_its_check_misses_no_header(people: dict[str, User], settings: Any) -> None:
    settings.SECURE_CONTENT_TYPE_NOSNIFF = False
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "ContentPolicy" not in name]
    found = without_headers(Client(), every_path())
    for _method, path in every_path():
        assert any(f" {path}: X-Content-Type-Options" in line for line in found)
        assert any(f" {path}: policy" in line for line in found)


# -- production settings


def run_check(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check --deploy` in an installation of its own."""
    home.prepare(tmp_path, {})
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HITL_", "DATABASE_", "REDIS_"))}
    environment = {
        "HITL_HOME": str(tmp_path),
        "HITL_BASE_URL": "https://tasks.agency.example",
        "HITL_ALLOWED_HOSTS": "tasks.agency.example",
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=REPOSITORY,
        env=keep | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_is_clean_under_production_settings(tmp_path: Path) -> None:
    done = run_check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "dangerous",
    [
        {
            "HITL_BASE_URL": ("http://tasks.agency.example", "security.W008"),
            "HITL_SECRET_KEY": ("changeme", "hitl.E002"),
        },
        {"HITL_DEBUG": ("1", "hitl.E004")},
        {"HITL_ALLOWED_HOSTS": ("*", "hitl.E005")},
    ],
)
def test_it_names_each_dangerous_one(dangerous: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    done = run_check(tmp_path, **{variable: value for variable, (value, _word) in dangerous.items()})
    assert done.returncode != 0
    assert [word for _value, word in dangerous.values() if word not in done.stderr] == [], done.stderr


# -- rate limits


@pytest.mark.django_db
def test_it_limits_each_token_and_says_when_to_come_back(api: ClientFactory, settings: Any) -> None:
    settings.HITL_RATE_LIMIT = 3
    cache.clear()
    bot, other = api("bot"), api("bot")
    assert [bot.get(TASKS).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = bot.post(TASKS, {})
    problem(refused, 429, "throttled")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert other.get(TASKS).status_code == 200, "another token has its own count"


@pytest.mark.django_db
def test_it_lets_requests_pass_when_the_store_of_the_counts_is_down(
    api: ClientFactory, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    class Down:
        def incr(self, *args: Any, **options: Any) -> None:
            asked.append(1)
            raise ConnectionError("Redis is away")

    settings.HITL_RATE_LIMIT = 1
    monkeypatch.setattr(throttling, "cache", Down())
    bot = api("bot")
    assert {bot.get(TASKS).status_code for _ in range(4)} == {200}
    assert "rate limit not counted" in caplog.text
    assert len(asked) == 1, "a dead store is left alone for a while, so that not every request waits for it"
    throttling.allowances.wake()


@pytest.mark.django_db
def test_several_processes_never_let_pass_more_than_the_limit() -> None:
    """Each takes parcels of the minute; together they reach the limit to within one parcel each."""
    cache.clear()
    limit, minute = 1_000, 7
    processes = [throttling.Allowances() for _ in range(3)]
    passed = sum(processes[number % 3].take("t1", minute, limit) for number in range(3 * limit))
    assert limit - 3 * (limit // 100) <= passed <= limit
    assert not any(process.take("t1", minute, limit) for process in processes)
    assert processes[0].take("t2", minute, limit), "another token has its own count"
    assert processes[0].take("t1", minute + 1, limit), "and so has the next minute"


@pytest.mark.django_db
def test_it_asks_the_store_once_a_parcel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Counting:
        def incr(self, key: str, by: int) -> int:
            asked.append(key)
            return by * len(asked)

    monkeypatch.setattr(throttling, "cache", Counting())
    allowances = throttling.Allowances()
    assert all(allowances.take("t1", 1, 1_200) for _ in range(120))
    assert len(asked) == 10


@pytest.mark.django_db
def test_it_takes_a_token_from_the_header_alone(people: dict[str, User], opened: Opened) -> None:
    opened()
    _row, text = tokens.issue("t", people["ana"])
    client = APIClient()
    for path in (f"{TASKS}?token={text}", f"{TASKS}?access_token={text}", f"{TASKS}?authorization=Bearer%20{text}"):
        assert client.get(path).status_code == 401
    assert client.post(TASKS, {"token": text}).status_code == 401
    client.cookies["token"] = text
    assert client.get(TASKS).status_code == 401
