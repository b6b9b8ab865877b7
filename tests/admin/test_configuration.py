"""Configuration: each page explains itself, a dangerous change asks with numbers, every row has its history."""

import json
from typing import Any, cast

import pytest
from auditlog.models import LogEntry
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import Permission

from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.admin.base import CatalogAdmin
from tasks_app.models import Principal, TaskType, Team, TeamMembership, User
from tasks_app.services import Decision, claim_task, decide_task
from tests.admin.conftest import ClientFor, text_of
from tests.admin.test_catalog import form_values
from tests.cast import NewTaskFactory

TYPE = "/admin/tasks_app/tasktype/creative_approval/change/"
TEAM = "/admin/tasks_app/team/creative-review/change/"
PREVIEW = "/admin/tasks_app/tasktype/preview/"


def change(client: Any, url: str, *, without: Any = (), **fields: Any) -> Any:
    """Send the form as it stands, but for some fields."""
    values = {**form_values(client.get(url)), **fields}
    return client.post(url, {name: value for name, value in values.items() if name not in without})


def confirm(client: Any, url: str, asked: Any) -> Any:
    """Press the button of the page that asked."""
    sent: dict[str, list[Any]] = {"confirmed": ["1"]}
    for name, value in asked.context["sent"]:
        sent.setdefault(name, []).append(value)
    return client.post(url, sent)


@pytest.mark.parametrize("model", ["tasktype", "team", "principal", "adaptertoken", "user", "phrase"])
def test_its_pages_explain_themselves(model: str, client_for: ClientFor) -> None:
    client = client_for("root")
    for url in (f"/admin/tasks_app/{model}/", f"/admin/tasks_app/{model}/add/"):
        page = client.get(url)
        explanation = str(cast(Any, site._registry[apps.get_model("tasks_app", model)]).explanation)
        assert len(explanation) > 120
        assert explanation[:60] in text_of(page).replace("&#x27;", "'")


def test_no_page_of_the_configuration_is_left_unexplained() -> None:
    catalogue = [admin for admin in site._registry.values() if isinstance(admin, CatalogAdmin)]
    assert len(catalogue) >= 15
    assert [type(admin).__name__ for admin in catalogue if len(str(admin.explanation)) < 60] == []


def test_it_asks_before_a_type_is_switched_off(make_task: NewTaskFactory, client_for: ClientFor, root: Actor) -> None:
    make_task(), make_task(), make_task("manual_approval")
    client = client_for("root")
    asked = change(client, TYPE, without=("is_active",))
    assert asked.status_code == 200
    assert "their requests are refused. 2 open tasks of it stay to be done." in text_of(asked)
    assert TaskType.objects.get(pk="creative_approval").is_active
    assert not LogEntry.objects.filter(object_pk="creative_approval", actor=root.user).exists()
    assert confirm(client, TYPE, asked).status_code == 302
    assert not TaskType.objects.get(pk="creative_approval").is_active
    entry = LogEntry.objects.filter(object_pk="creative_approval").latest("timestamp")
    assert (entry.actor, entry.changes["is_active"]) == (root.user, ["True", "False"])


def test_it_asks_before_a_decision_is_taken_away(make_task: NewTaskFactory, client_for: ClientFor, ana: Actor) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    make_task()
    decide_task(make_task().pk, ana, Decision("rejected", "Too loud."))
    asked = text_of(change(client_for("root"), TYPE, allowed_resolutions=["approved", "cannot_complete"]))
    assert "Nobody can end a task with &#x27;Rejected&#x27; any more, also not the 2 open tasks of this type." in asked
    assert "1 open task wait for a second reviewer to confirm" in asked


def test_it_says_how_many_tasks_would_not_fit_new_data(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    make_task(context_data={"format_id": "x"}), make_task()
    schema = json.dumps({"type": "object", "required": ["format_id"]})
    asked = text_of(change(client_for("root"), TYPE, context_schema=schema))
    assert "1 of 2 open tasks looked at would be." in asked


def test_it_asks_nothing_about_harmless_changes(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    make_task()
    client = client_for("root")
    assert change(client, TYPE, label="Creative check", instructions="Look.").status_code == 302
    assert change(client, TEAM, name="Creatives").status_code == 302


def test_it_takes_a_browsers_line_ends_for_no_change(client_for: ClientFor) -> None:
    before = TaskType.objects.get(pk="creative_approval").instructions
    assert change(client_for("root"), TYPE, instructions=before.replace("\n", "\r\n"), label="X").status_code == 302
    assert TaskType.objects.get(pk="creative_approval").instructions == before


def test_it_asks_before_a_team_loses_people_or_work(
    make_task: NewTaskFactory, client_for: ClientFor, ana: Actor, people: dict[str, User]
) -> None:
    claim_task(make_task().pk, ana)
    make_task()
    client = client_for("root")
    values = form_values(client.get(TEAM))
    (row,) = {name.split("-")[1] for name, value in values.items() if name.endswith("-user") and value == ana.user.pk}
    asked = change(client, TEAM, **{f"memberships-{row}-DELETE": "on"})
    assert "ana leaves the team and holds 1 open task of it" in text_of(asked)
    assert TeamMembership.objects.filter(user=ana.user).exists()
    assert confirm(client, TEAM, asked).status_code == 302
    assert not TeamMembership.objects.filter(user=ana.user).exists()

    off = text_of(change(client, TEAM, without=("is_active",)))
    for said in (
        "1 person loses the rights",
        "2 open tasks are with this team",
        "New tasks of these types would still come to it: Creative approval",
    ):
        assert said in off
    fewer = change(client, TEAM, task_types=[])
    assert "Its people no longer see tasks of creative_approval" in text_of(fewer)


def test_it_asks_before_a_principal_is_switched_off(
    make_task: NewTaskFactory, client_for: ClientFor, bot: Actor
) -> None:
    make_task()
    tokens.issue("bot", bot.user, principals=[Principal.objects.get(pk="acme_corp")])
    url = "/admin/tasks_app/principal/acme_corp/change/"
    asked = text_of(change(client_for("root"), url, without=("is_active",)))
    for said in ("1 open task of it stay to be done.", "1 live token speaks for it."):
        assert said in asked
    assert Principal.objects.get(pk="acme_corp").is_active


def test_it_asks_before_a_person_is_switched_off(make_task: NewTaskFactory, client_for: ClientFor, sam: Actor) -> None:
    claim_task(make_task().pk, sam)
    tokens.issue("own", sam.user)
    url = f"/admin/tasks_app/user/{sam.user.pk}/change/"
    asked = text_of(change(client_for("root"), url, without=("is_active",)))
    for said in (
        "sam can no longer sign in.",
        "1 open task go back to the queue.",
        "1 token stops working.",
        "Creative review has no lead any more.",
    ):
        assert said in asked
    assert User.objects.get(username="sam").is_active


def test_it_gives_back_the_tasks_of_a_person_that_is_switched_off_by_somebody_who_sees_no_tasks(
    make_task: NewTaskFactory, client_for: ClientFor, ana: Actor, zoe: Actor
) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    zoe.user.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client, url = client_for("zoe"), f"/admin/tasks_app/user/{ana.user.pk}/change/"
    assert confirm(client, url, change(client, url, without=("is_active",))).status_code == 302
    task.refresh_from_db()
    assert (User.objects.get(username="ana").is_active, task.status) == (False, "pending")
    assert LogEntry.objects.filter(object_pk=task.pk).latest("timestamp").actor == zoe.user


def test_it_asks_before_a_token_is_revoked(client_for: ClientFor, bot: Actor) -> None:
    token, text = tokens.issue("gam", bot.user)
    tokens.issue("gam", bot.user)
    url = f"/admin/tasks_app/adaptertoken/{token.pk}/revoke/"
    asked = client_for("root").post(url)
    for said in ("never works again", "It was never used.", "bot has 1 other live token."):
        assert said in text_of(asked)
    assert tokens.resolve(text) is not None


# -- history


def test_it_tells_the_history_of_a_row(client_for: ClientFor, people: dict[str, User]) -> None:
    client = client_for("root")
    change(client, TYPE, label="Creative check", default_priority=3)
    assert "/admin/tasks_app/tasktype/creative_5Fapproval/history/" in client.get(TYPE).content.decode()
    told = text_of(client.get("/admin/tasks_app/tasktype/creative_approval/history/"))
    for said in ("root changed it", "Label Creative approval Creative check", "Default priority Medium High"):
        assert said in told


def test_it_tells_of_people_and_types_that_came_and_went(client_for: ClientFor, people: dict[str, User]) -> None:
    client = client_for("root")
    values = form_values(client.get(TEAM))
    row = next(
        name.split("-")[1] for name, value in values.items() if name.endswith("-user") and value == people["ana"].pk
    )
    sent = {
        **values,
        f"memberships-{row}-DELETE": "on",
        "task_types": ["creative_approval", "manual_approval"],
        "confirmed": "1",
    }
    assert client.post(TEAM, sent).status_code == 302
    told = text_of(client.get("/admin/tasks_app/team/creative-review/history/"))
    assert "root took it away Team member: ana (Member, Creative review)" in told
    assert "with Manual approval" in told
    assert "took it away Team member: ana" in text_of(client.get(f"/admin/tasks_app/user/{people['ana'].pk}/history/"))


def test_its_history_is_for_those_who_may_see_the_row(client_for: ClientFor) -> None:
    assert client_for("ana").get("/admin/tasks_app/tasktype/creative_approval/history/").status_code == 403
    assert client_for("root").get("/admin/tasks_app/tasktype/nothing/history/").status_code == 404
    assert "Nothing has changed since" in text_of(client_for("root").get("/admin/tasks_app/team/leads/history/"))


# -- preview


def test_it_previews_a_type_as_reviewers_will_see_it(client_for: ClientFor) -> None:
    client = client_for("root")
    schema = {"properties": {"age_min": {"type": "integer", "title": "Youngest age"}}}
    sent = {
        "question": "May it <run>?",
        "instructions": "Look *well*. <script>p0wn()</script>",
        "allowed_resolutions": ["approved", "cannot_complete"],
        "resolution_schema": json.dumps(schema),
    }
    answer = client.post(PREVIEW, sent)
    body, text = answer.content.decode(), text_of(answer)
    assert "<em>well</em>" in body
    assert "<script" not in body
    for said in ("May it &lt;run&gt;?", "Approve", "Cannot complete", "Youngest age"):
        assert said in text
    assert "Reject" not in text
    assert "not JSON" in text_of(client.post(PREVIEW, {**sent, "resolution_schema": "{"}))
    assert client.post(PREVIEW, {**sent, "resolution_schema": '{"properties": 3}'}).status_code == 200
    assert client.post(PREVIEW, {}).status_code == 200
    assert client.get(PREVIEW).status_code == 405
    assert client_for("ana").post(PREVIEW, sent).status_code == 403
    assert TaskType.objects.get(pk="creative_approval").question == "May this creative run?"
    assert Team.objects.get(pk="creative-review").is_active


def test_it_names_people_and_states_in_words(client_for: ClientFor, people: dict[str, User], bot: Actor) -> None:
    token, _text = tokens.issue("gam", bot.user, all_principals=True)
    page = text_of(client_for("root").get(f"/admin/tasks_app/adaptertoken/{token.pk}/change/"))
    assert "State live" in page
    member = TeamMembership.objects.create(team=Team.objects.get(pk="creative-review"), user=people["zoe"])
    member.role = TeamMembership.Role.LEAD
    member.save()
    history = text_of(client_for("root").get("/admin/tasks_app/team/creative-review/history/"))
    assert "Person – zoe" in history
    entry = LogEntry.objects.get_for_object(member).latest("timestamp")
    change = text_of(client_for("root").get(f"/admin/auditlog/logentry/{entry.pk}/change/"))
    assert "('update'" not in change


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [("/admin/nowhere/", 404, "There is nothing at this address"), ("/admin/tasks_app/user/", 403, "not open to you")],
)
def test_its_refusals_speak_to_people(path: str, status: int, said: str, client_for: ClientFor, ana: Actor) -> None:
    answer = client_for("ana").get(path, headers={"accept-language": "en"})
    assert answer.status_code == status
    assert said in text_of(answer)
    assert "To the console" in text_of(answer)
