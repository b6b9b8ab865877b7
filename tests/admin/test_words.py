"""Phrases, mentions and modifications: the words of a decision, with one click."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app.actors import Actor
from tasks_app.admin.modifications import simple_fields
from tasks_app.models import Mention, Phrase, TaskType, Team, TeamMembership, User
from tasks_app.services import claim_task, comment_on_task
from tasks_app.services.mentions import names_in
from tests.admin.conftest import ClientFor, Press, page_of, text_of
from tests.cast import NewTaskFactory, add_to_team

MENTIONS = "/admin/tasks_app/humantask/mentions/"
PHRASES = "/admin/tasks_app/phrase/"
FORM = {
    "type": "object",
    "properties": {
        "age_min": {"type": "integer", "title": "Youngest age", "minimum": 13},
        "exclude": {"type": "array", "items": {"type": "string"}, "title": "Segments to leave out"},
        "pace": {"enum": ["even", "fast"]},
        "disclaimer": {"type": "boolean"},
        "bid": {"type": "number"},
        "note": {"type": "string"},
    },
}


def phrase(text: str, team: str = "creative-review", **fields: Any) -> Phrase:
    return Phrase.objects.create(team=Team.objects.get(pk=team), text=text, **fields)


def offered(response: Any, verb: str) -> list[str]:
    (dialog,) = [d for d in response.context["dialogs"] if d.verb.name == verb]
    return list(dialog.phrases)


# -- phrases


def test_it_offers_the_phrases_of_team_type_and_decision(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    phrase("The logo is cut off.", resolution="rejected", task_type_id="creative_approval")
    phrase("Thank you.")
    phrase("Of another type.", task_type_id="manual_approval")
    phrase("Of another team.", team="compliance")
    phrase("No longer said.", is_active=False)
    page = client_for("ana").get(page_of(make_task()))
    assert offered(page, "reject") == ["The logo is cut off.", "Thank you."]
    assert offered(page, "approve") == ["Thank you."]
    assert 'data-text="The logo is cut off."' in page.content.decode()


def test_it_lets_leads_keep_the_phrases_of_their_own_teams(client_for: ClientFor, people: dict[str, User]) -> None:
    mine, foreign = phrase("Mine."), phrase("Theirs.", team="compliance")
    sam = client_for("sam")
    assert "Phrases" in text_of(sam.get("/admin/"))
    listed = text_of(sam.get(PHRASES))
    assert "Mine." in listed
    assert "Theirs." not in listed
    form = sam.get(f"{PHRASES}add/")
    assert [team.pk for team in form.context["adminform"].form.fields["team"].queryset] == ["creative-review"]
    made = {
        "team": "creative-review",
        "task_type": "",
        "resolution": "rejected",
        "text": "Too loud.",
        "is_active": "on",
    }
    assert sam.post(f"{PHRASES}add/", made).status_code == 302
    refused = sam.post(f"{PHRASES}add/", {**made, "team": "compliance", "text": "Sneaked in."})
    assert refused.status_code == 200
    assert not Phrase.objects.filter(text="Sneaked in.").exists()
    assert sam.get(f"{PHRASES}{foreign.pk}/change/").status_code == 302, "as if it did not exist"
    assert sam.post(f"{PHRASES}{mine.pk}/change/", {**made, "text": "Still mine."}).status_code == 302
    assert Phrase.objects.get(pk=mine.pk).text == "Still mine."


def test_it_shows_phrases_to_nobody_else(client_for: ClientFor) -> None:
    phrase("Mine.")
    for url in (PHRASES, f"{PHRASES}add/"):
        assert client_for("ana").get(url).status_code == 403
    assert "Mine." in text_of(client_for("root").get(PHRASES))


# -- mentions


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@sam look", ["sam"]),
        ("Ask @sam, @zoe and (@tom).", ["sam", "zoe", "tom"]),
        ("@sam @sam", ["sam"]),
        ("mail to ana@agency.example", []),
        ("@ nobody, @@twice", []),
        (" ".join(f"@p{n}" for n in range(99)), [f"p{n}" for n in range(10)]),
    ],
)
def test_it_reads_names_after_an_at(text: str, names: list[str]) -> None:
    assert names_in(text) == names


def test_it_tells_those_who_may_see_the_task_and_nobody_else(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(creative_id="cr_1")
    sent = {"version": task.version, "text": "@sam @zoe @ana @nobody please look"}
    page = client_for("ana").post(f"/admin/tasks_app/humantask/{task.pk}/comment/", sent, follow=True)
    assert [m.person.username for m in Mention.objects.all()] == ["sam"]
    assert "Told: sam." in text_of(page)
    assert "Mentions 1 colleagues named you" in text_of(client_for("sam").get("/admin/"))
    assert "colleagues named you" not in text_of(client_for("zoe").get("/admin/"))
    listed = text_of(client_for("sam").get(MENTIONS))
    for said in ("ana", "please look", "new", "Creative approval · cr_1"):
        assert said in listed
    for other in ("zoe", "ana"):
        assert "please look" not in text_of(client_for(other).get(MENTIONS))


def test_its_mentions_are_read_by_pressing_and_by_their_person_alone(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    task, other = make_task(), make_task()
    for one in (task, other):
        comment_on_task(one.pk, ana, "@sam look")
    sam = client_for("sam")
    assert "named you:" in text_of(sam.get(page_of(task)))
    assert "named you:" not in text_of(client_for("ana").get(page_of(task)))
    url = f"/admin/tasks_app/humantask/{task.pk}/mention-read/"
    assert sam.get(url).status_code == 405
    client_for("ana").post(url)
    assert Mention.objects.filter(read_at=None).count() == 2
    sam.post(url)
    assert [m.task_id for m in Mention.objects.filter(read_at=None)] == [other.pk]
    assert "named you:" not in text_of(sam.get(page_of(task)))
    sam.post(f"{MENTIONS}read/")
    assert not Mention.objects.filter(read_at=None).exists()
    assert "colleagues named you" not in text_of(sam.get("/admin/"))


def test_it_forgets_mentions_of_tasks_out_of_sight(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor, people: dict[str, User]
) -> None:
    comment_on_task(make_task().pk, ana, "@sam secret")
    TeamMembership.objects.filter(user=people["sam"]).delete()
    assert "secret" not in text_of(client_for("sam").get(MENTIONS))


def test_its_mentions_cost_the_same_few_or_many(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    counts = []
    for number in (2, 15):
        for _ in range(number):
            comment_on_task(make_task().pk, ana, "@sam look")
        client = client_for("sam")
        with CaptureQueriesContext(connection) as captured:
            client.get(MENTIONS)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_it_offers_colleagues_names_for_a_comment(
    make_task: NewTaskFactory, client_for: ClientFor, people: dict[str, User]
) -> None:
    add_to_team(people["cora"], "creative-review")
    page = client_for("ana").get(page_of(make_task()))
    (dialog,) = [d for d in page.context["dialogs"] if d.verb.name == "comment"]
    assert dialog.names == ["cora", "sam"]


# -- modifications


def use_form(schema: dict[str, Any]) -> None:
    TaskType.objects.filter(pk="compliance_review").update(resolution_schema=schema)


def test_it_makes_a_form_of_a_simple_schema(
    make_task: NewTaskFactory, press: Press, client_for: ClientFor, cora: Actor
) -> None:
    use_form(FORM)
    task = make_task("compliance_review")
    claim_task(task.pk, cora)
    body = client_for("cora").get(page_of(task)).content.decode()
    assert re.search(
        r'<label for="approve_m_age_min">Youngest age</label>\s*<input type="number" name="m_age_min"', body
    )
    filled = {
        "m_age_min": "18",
        "m_exclude": "health\n\n politics ",
        "m_pace": "1",
        "m_disclaimer": "true",
        "m_bid": "",
        "m_note": "",
    }
    answer = press("cora", task, "approve", version=2, text="", **filled)
    assert answer.status_code == 302
    task.refresh_from_db()
    assert task.resolution_data == {
        "age_min": 18,
        "exclude": ["health", "politics"],
        "pace": "fast",
        "disclaimer": True,
    }


def test_it_says_at_the_field_what_does_not_fit(
    make_task: NewTaskFactory, press: Press, people: dict[str, User]
) -> None:
    use_form(FORM)
    task = make_task("compliance_review")
    answer = press("cora", task, "approve", text="", m_age_min="3")
    assert answer.status_code == 400
    (dialog,) = [d for d in answer.context["dialogs"] if d.is_open]
    assert "does not fit" in dialog.form.errors["m_age_min"][0]
    assert press("cora", task, "approve", text="", m_age_min="young").status_code == 400


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"properties": {}},
        {"properties": {"a": {"type": "object"}}},
        {"properties": {"a": {"$ref": "#/x"}}},
        {"properties": {"a": {"type": ["string", "null"]}}},
        {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}},
        {"properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]},
        {"properties": {f"p{n}": {"type": "string"} for n in range(13)}},
        {"properties": {"a": True}},
        {"properties": "x"},
    ],
)
def test_it_falls_back_to_json(schema: dict[str, Any]) -> None:
    assert simple_fields(schema) == []


def test_it_starts_json_from_what_was_sent(make_task: NewTaskFactory, client_for: ClientFor, cora: Actor) -> None:
    task = make_task("compliance_review", context_data={"targeting": {"age_min": 16}, "policy_id": "x"})
    page = client_for("cora").get(page_of(task))
    assert page.context["prefill"] == '{\n  "targeting": {\n    "age_min": 16\n  }\n}'
    assert "Start from what was sent" in text_of(page)
