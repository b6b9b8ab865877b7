"""The catalogue in the console: nothing is deleted, what leaves gives back its work, secrets are shown once."""

import re
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.models import AdapterToken, HumanTask, TaskType, TeamMembership, User
from tasks_app.services import claim_task
from tests.admin.conftest import ClientFor, text_of
from tests.cast import NewTaskFactory, add_to_team, person

LISTS = ["tasktype", "team", "principal", "adaptertoken", "user"]


def form_values(response: Any) -> dict[str, Any]:
    """What a browser would send back of the page's form."""
    forms = [response.context["adminform"].form, *(fs.formset for fs in response.context["inline_admin_formsets"])]
    values: dict[str, Any] = {}
    for form in forms:
        for one in [form] if not hasattr(form, "forms") else [form.management_form, *form.forms]:
            for bound in one:
                parts = bound.value()
                if (
                    hasattr(bound.field, "widget")
                    and hasattr(bound.field.widget, "decompress")
                    and not bound.field.disabled
                ):
                    values |= {
                        f"{bound.html_name}_{n}": "" if v is None else v
                        for n, v in enumerate(bound.field.widget.decompress(parts))
                    }
                elif isinstance(parts, bool):
                    values |= {bound.html_name: "on"} if parts else {}
                elif parts is not None:
                    values[bound.html_name] = [getattr(v, "pk", v) for v in parts] if isinstance(parts, list) else parts
    return values


def administrator() -> Client:
    user = person("adam")
    user.groups.add(Group.objects.get(name="Administrator"))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", [*LISTS, "group", "logentry"])
def test_it_shows_lists_and_forms_to_administrators(
    model: str, make_task: NewTaskFactory, client_for: ClientFor, bot: Actor
) -> None:
    make_task()
    tokens.issue("bot", bot.user)
    app = {"group": "auth", "logentry": "auditlog"}.get(model, "tasks_app")
    client = client_for("root")
    page = client.get(f"/admin/{app}/{model}/")
    assert page.status_code == 200
    row: Any = page.context["cl"].result_list[0] if page.context["cl"].result_list else None
    assert row is None or client.get(f"/admin/{app}/{model}/{row.pk}/change/").status_code == 200
    assert client.get(f"/admin/{app}/{model}/add/").status_code == (403 if model == "logentry" else 200)


@pytest.mark.parametrize("model", LISTS)
def test_it_hides_the_catalogue_from_reviewers(model: str, client_for: ClientFor) -> None:
    assert client_for("ana").get(f"/admin/tasks_app/{model}/").status_code == 403
    assert client_for("ana").get("/admin/auditlog/logentry/").status_code == 403


def test_it_deletes_nothing_anywhere(client_for: ClientFor) -> None:
    request: Any = client_for("root").get("/admin/").wsgi_request
    kept = [m for m in admin.site._registry if m._meta.app_label in ("tasks_app", "auth", "auditlog", "notifications")]
    assert HumanTask in kept
    assert [m for m in kept if admin.site._registry[m].has_delete_permission(request)] == []


def test_it_changes_a_task_type_and_says_who_did(client_for: ClientFor, root: Actor) -> None:
    client = client_for("root")
    url = "/admin/tasks_app/tasktype/creative_approval/change/"
    values = {**form_values(client.get(url)), "label": "Creative check", "instructions": "Look *well*."}
    assert client.post(url, values).status_code == 302
    assert TaskType.objects.get(pk="creative_approval").label == "Creative check"
    entry = LogEntry.objects.filter(object_pk="creative_approval").latest("timestamp")
    assert (entry.actor, entry.remote_addr) == (root.user, "127.0.0.1")
    assert "<em>well</em>" in client.get(url).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("context_schema", '{"type": "no such type"}', "This is not a JSON Schema"),
        ("context_schema", "[]", "Give a JSON Schema as an object"),
        ("safe_fields", '{"a": 1}', "Give a list of names"),
        ("allowed_resolutions", [], "This field is required"),
    ],
)
def test_it_refuses_a_broken_task_type(field: str, value: Any, said: str, client_for: ClientFor) -> None:
    client = client_for("root")
    url = "/admin/tasks_app/tasktype/creative_approval/change/"
    answer = client.post(url, {**form_values(client.get(url)), field: value})
    assert answer.status_code == 200
    assert said in text_of(answer)


def test_it_returns_the_tasks_of_who_leaves_a_team(
    make_task: NewTaskFactory, cora: Actor, client_for: ClientFor
) -> None:
    add_to_team(cora.user, "creative-review")
    creative, compliance = make_task(), make_task("compliance_review")
    for task in (creative, compliance):
        claim_task(task.pk, cora)
    client = client_for("root")
    url = "/admin/tasks_app/team/creative-review/change/"
    values = form_values(client.get(url))
    (row,) = {name.split("-")[1] for name, value in values.items() if name.endswith("-user") and value == cora.user.pk}
    page = client.post(url, {**values, f"memberships-{row}-DELETE": "on", "confirmed": "1"}, follow=True)
    assert "1 tasks of cora went back to the queue." in text_of(page)
    held = {task.pk: task.assigned_to for task in HumanTask.objects.all()}
    assert held == {creative.pk: None, compliance.pk: cora.user}
    assert not TeamMembership.objects.filter(user=cora.user, team="creative-review").exists()
    assert (
        LogEntry.objects.get_for_model(TeamMembership).filter(action=LogEntry.Action.DELETE).latest("timestamp").actor
    )


def test_it_returns_the_tasks_of_who_is_deactivated(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    client = client_for("root")
    url = f"/admin/tasks_app/user/{ana.user.pk}/change/"
    values = form_values(client.get(url))
    assert values.pop("is_active") == "on"
    assert client.post(url, {**values, "confirmed": "1"}).status_code == 302
    task.refresh_from_db()
    assert (task.status, task.assigned_to) == ("pending", None)


def test_it_lets_administrators_change_no_superuser_and_make_none(
    client_for: ClientFor, root: Actor, ana: Actor
) -> None:
    client = administrator()
    url = f"/admin/tasks_app/user/{root.user.pk}/"
    assert "adminform" not in (client.post(f"{url}change/", {"username": "mine"}).context or {})
    assert client.post(f"{url}password/", {"password1": "x", "password2": "x"}).status_code == 403
    system = User.objects.system()
    assert client.post(f"/admin/tasks_app/user/{system.pk}/change/", {"username": "x"}).status_code == 403
    page = client.get(f"/admin/tasks_app/user/{ana.user.pk}/change/")
    assert page.status_code == 200
    client.post(f"/admin/tasks_app/user/{ana.user.pk}/change/", {**form_values(page), "is_superuser": "on"})
    assert not User.objects.get(pk=ana.user.pk).is_superuser


def test_it_makes_a_token_and_shows_it_once(client_for: ClientFor, bot: Actor) -> None:
    client = client_for("root")
    url = "/admin/tasks_app/adaptertoken/add/"
    sent = {"name": "gam", "user": bot.user.pk, "scopes": ["tasks:create"], "principals": ["acme_corp"]}
    page = client.post(url, sent)
    (text,) = re.findall(r"hitl_[0-9a-f]{12}_[\w-]{20,}", page.content.decode())
    assert "no-store" in page.headers["Cache-Control"]
    token = tokens.resolve(text)
    assert token is not None
    assert (token.scopes, [p.pk for p in token.principals.all()]) == (["tasks:create"], ["acme_corp"])
    secret = text.split("_", 2)[2]
    for later in ("/admin/tasks_app/adaptertoken/", f"/admin/tasks_app/adaptertoken/{token.pk}/change/"):
        shown = client.get(later).content.decode()
        assert secret not in shown
        assert token.digest not in shown
    assert not any(secret in str(cookie.value) for cookie in client.cookies.values())


def test_it_wants_an_adapters_token_bound(client_for: ClientFor, bot: Actor) -> None:
    sent = {"name": "gam", "user": bot.user.pk, "scopes": ["tasks:create"]}
    answer = client_for("root").post("/admin/tasks_app/adaptertoken/add/", sent)
    assert "Name the principals that this adapter speaks for" in text_of(answer)
    assert not AdapterToken.objects.exists()


def test_it_makes_tokens_for_nobody_else(client_for: ClientFor, root: Actor, ana: Actor) -> None:
    client = administrator()
    for person_ in (root, ana):
        answer = client.post("/admin/tasks_app/adaptertoken/add/", {"name": "x", "user": person_.user.pk})
        assert "not one of the available choices" in text_of(answer)
    assert not AdapterToken.objects.exists()


def test_it_revokes_a_token_by_post_with_the_right_alone(client_for: ClientFor, bot: Actor) -> None:
    token, text = tokens.issue("bot", bot.user)
    url = f"/admin/tasks_app/adaptertoken/{token.pk}/revoke/"
    assert client_for("root").get(url).status_code == 405
    assert client_for("ana").post(url).status_code == 403
    assert tokens.resolve(text) is not None
    assert client_for("root").post(url, {"confirmed": "1"}).status_code == 302
    assert tokens.resolve(text) is None
    assert "revoked_at" in LogEntry.objects.filter(object_pk=str(token.pk)).latest("timestamp").changes


def test_it_never_counts_the_audit_log(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    client = client_for("root")
    with CaptureQueriesContext(connection) as captured:
        page = client.get("/admin/auditlog/logentry/", {"q": task.pk})
    assert task.pk in text_of(page)
    assert not any("COUNT(" in q["sql"] and "auditlog" in q["sql"] for q in captured.captured_queries)


def test_a_member_that_cannot_be_one_is_said_beside_the_field(people: dict[str, User]) -> None:
    """Django looks up whatever was chosen when it shows the form again, and falls over what is no number."""
    client = administrator()
    url = "/admin/tasks_app/team/creative-review/change/"
    sent = {**form_values(client.get(url)), "memberships-0-user": "x"}
    answer: Any = client.post(url, sent)
    assert answer.status_code == 200
    assert "user" in answer.context["inline_admin_formsets"][0].formset.errors[0]
