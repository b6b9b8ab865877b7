"""The buttons: what was seen is what is decided, and every refusal is said in words, with what was typed kept."""

from typing import Any

import pytest
from django.test import Client

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent, Team, TeamMembership
from tasks_app.services import Decision, claim_task, decide_task, release_task
from tests.admin.conftest import QUEUE, ClientFor, Press, page_of, text_of
from tests.cast import NewTaskFactory, add_to_team


def fresh(task: HumanTask) -> HumanTask:
    return HumanTask.objects.get(pk=task.pk)


def test_it_approves_an_unclaimed_task_at_once(make_task: NewTaskFactory, press: Press, ana: Actor) -> None:
    task = make_task()
    answer = press("ana", task, "approve")
    assert (answer.status_code, answer.headers["Location"]) == (302, QUEUE)
    done = fresh(task)
    assert (done.status, done.resolution, done.resolved_by) == ("completed", "approved", ana.user)


def test_it_leads_back_to_the_queue_as_it_was_with_a_link_to_the_decided_task(
    make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    task, client = make_task(creative_id="cr_7"), client_for("ana")
    url = f"{QUEUE}{task.pk}/approve/"
    answer = client.post(url, {"version": 1, "back": "tab=all&priority=2"})
    assert answer.headers["Location"] == f"{QUEUE}?tab=all&priority=2"
    page = client.get(answer.headers["Location"])
    assert f'<a href="{page_of(task)}">Creative approval · cr_7</a>' in page.content.decode()


def test_it_never_leads_out_of_the_queue(make_task: NewTaskFactory, press: Press) -> None:
    answer = press("ana", make_task(), "approve", back="//evil.example/?tab=all")
    assert answer.headers["Location"].startswith(f"{QUEUE}?")


def test_it_takes_the_next_one_after_a_decision(make_task: NewTaskFactory, press: Press, ana: Actor) -> None:
    first, second = make_task(), make_task()
    answer = press("ana", first, "reject", text="The logo is cut off.", then="next")
    assert answer.headers["Location"] == page_of(second)
    assert fresh(second).assigned_to == ana.user


def test_it_refuses_a_rejection_without_feedback(make_task: NewTaskFactory, press: Press) -> None:
    task = make_task()
    answer = press("ana", task, "reject", text="   ")
    assert answer.status_code == 400
    assert "Write a text" in text_of(answer)
    assert fresh(task).status == "pending"


@pytest.mark.parametrize("modifications", ["[1]", "{", '{"a": NaN}', "x" * 200_000, '{"a": "\\u0000"}'])
def test_it_says_what_is_wrong_with_modifications(make_task: NewTaskFactory, press: Press, modifications: str) -> None:
    task = make_task("compliance_review")
    answer = press("cora", task, "reject", text="Too young.", modifications=modifications)
    assert (answer.status_code, fresh(task).status) == (400, "pending")
    assert "Too young." in answer.content.decode()


def test_it_carries_modifications(make_task: NewTaskFactory, press: Press) -> None:
    task = make_task("compliance_review")
    press("cora", task, "approve", modifications='{"age_min": 18}')
    assert fresh(task).resolution_data == {"age_min": 18}


def test_it_answers_a_stale_page_in_words_and_keeps_what_was_typed(
    make_task: NewTaskFactory, press: Press, ana: Actor, sam: Actor
) -> None:
    task = make_task()
    claim_task(task.pk, sam)
    answer = press("ana", task, "reject", version=1, text="The claim needs a source.")
    page = answer.content.decode()
    assert answer.status_code == 412
    assert "sam has taken this task just now." in text_of(answer)
    assert "The claim needs a source." in page
    assert 'id="dialog-reject"' in page
    assert fresh(task).assigned_to == sam.user


def test_it_lets_a_reader_go_on_with_what_is_shown_after_a_conflict(
    make_task: NewTaskFactory, press: Press, ana: Actor, sam: Actor
) -> None:
    task = make_task()
    claim_task(task.pk, sam)
    release_task(task.pk, sam)
    answer: Any = press("ana", task, "approve", version=1)
    assert answer.status_code == 412
    assert "sam has given this task back to the queue" in text_of(answer)
    (dialog,) = [d for d in answer.context["dialogs"] if d.is_open]
    assert press("ana", task, "approve", version=dialog.form["version"].value()).status_code == 302


def test_it_answers_409_on_a_task_that_somebody_else_holds(make_task: NewTaskFactory, press: Press, sam: Actor) -> None:
    task = make_task()
    claim_task(task.pk, sam)
    for verb, fields in (("claim", {}), ("approve", {}), ("reject", {"text": "No."})):
        answer = press("ana", task, verb, version=2, **fields)
        assert answer.status_code == 409
        assert "sam has taken this task" in text_of(answer)


def test_it_answers_409_on_a_task_that_ended(make_task: NewTaskFactory, press: Press, sam: Actor) -> None:
    task = make_task()
    decide_task(task.pk, sam, Decision("approved"))
    answer = press("ana", task, "reject", version=fresh(task).version, text="No.")
    assert answer.status_code == 409
    assert "sam has decided this task just now: approved." in text_of(answer)


def test_it_answers_403_without_the_right(make_task: NewTaskFactory, press: Press) -> None:
    task = make_task()
    answer = press("ana", task, "assign", assigned_to="sam")
    assert answer.status_code == 403
    assert "Only a lead of a team that serves this task may assign it." in text_of(answer)


def test_it_answers_404_alike_for_unknown_and_foreign_tasks(make_task: NewTaskFactory, press: Press) -> None:
    task = make_task()
    foreign = press("zoe", task, "approve", text="mine")
    unknown = press("zoe", HumanTask(pk="task_nothing"), "approve", text="mine")
    assert foreign.status_code == unknown.status_code == 404
    assert text_of(foreign) == text_of(unknown)
    assert press("ana", task, "explode").status_code == 404


def test_it_gives_back_what_was_typed_when_the_task_left_ones_sight(
    make_task: NewTaskFactory, press: Press, ana: Actor
) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    TeamMembership.objects.filter(user=ana.user).delete()
    answer = press("ana", task, "reject", version=2, text="A long explanation.")
    assert answer.status_code == 404
    assert "A long explanation." in text_of(answer)


def test_it_changes_nothing_on_get(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    events = TaskEvent.objects.count()
    for verb in ("claim", "approve", "reject", "escalate", "withdraw"):
        answer = client_for("sam").get(f"{QUEUE}{task.pk}/{verb}/", {"version": "1", "text": "x"})
        assert answer.headers["Location"] == page_of(task)
    assert (TaskEvent.objects.count(), fresh(task).version) == (events, 1)


def test_it_wants_the_csrf_token(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task()
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana.user)
    assert client.post(f"{QUEUE}{task.pk}/approve/", {"version": 1}).status_code == 403
    assert fresh(task).status == "pending"


def test_it_wants_the_version_that_was_seen(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    assert client_for("ana").post(f"{QUEUE}{task.pk}/approve/", {}).status_code == 400
    assert fresh(task).status == "pending"


def test_it_works_a_task_step_by_step(make_task: NewTaskFactory, press: Press, ana: Actor) -> None:
    task = make_task("creative_approval")
    for verb, fields in (
        ("claim", {}),
        ("start", {}),
        ("comment", {"text": "Looking."}),
        ("cannot-complete", {"text": "Gone."}),
    ):
        assert press("ana", fresh(task), verb, **fields).status_code == 302
    assert (fresh(task).status, fresh(task).resolution) == ("failed", "cannot_complete")


def test_it_lets_a_lead_assign_route_release_and_escalate(
    make_task: NewTaskFactory, press: Press, ana: Actor, client_for: ClientFor
) -> None:
    task = make_task()
    page: Any = client_for("sam").get(page_of(task))
    (assign,) = [d.form for d in page.context["dialogs"] if d.verb.name == "assign"]
    assert [value for value, _label in assign.fields["assigned_to"].widget.choices] == ["", "ana", "sam"]
    press("sam", fresh(task), "assign", assigned_to="ana", text="you know them")
    assert fresh(task).assigned_to == ana.user
    press("sam", fresh(task), "release")
    assert fresh(task).status == "pending"
    press("sam", fresh(task), "escalate")
    assert fresh(task).team_id == "leads"
    press("sam", fresh(task), "route", team="compliance")
    assert fresh(task).team_id == "compliance"


def test_it_says_at_the_field_why_a_person_cannot_be_chosen(make_task: NewTaskFactory, press: Press) -> None:
    answer = press("sam", make_task(), "assign", assigned_to="zoe")
    assert answer.status_code == 400
    assert "&#x27;zoe&#x27; may not work on this task" in answer.content.decode()


def test_it_says_that_a_second_reviewer_is_needed(make_task: NewTaskFactory, client_for: ClientFor, ana: Actor) -> None:
    task = make_task()
    task.task_type.needs_second_reviewer = True
    task.task_type.save()
    client = client_for("ana")
    page = client.post(f"{QUEUE}{task.pk}/approve/", {"version": 1}, follow=True)
    assert "A second reviewer confirms it." in text_of(page)
    again: Any = client.get(page_of(task))
    assert again.context["decisions"] == []


def test_it_reveals_a_masked_value_once_with_a_reason(make_task: NewTaskFactory, press: Press, sam: Actor) -> None:
    task = make_task(error_detail="Ask jane@acme.example about it.")
    assert press("sam", task, "reveal", placeholder="[email 1]", text="").status_code == 400
    answer = press("sam", task, "reveal", placeholder="[email 1]", text="to call her")
    assert "jane@acme.example" in text_of(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    assert TaskEvent.objects.filter(type="task.detail_revealed", actor=sam.user).count() == 1
    assert press("ana", task, "reveal", placeholder="[email 1]", text="curious").status_code == 403


def test_it_hides_the_link_to_a_task_that_left_ones_sight(
    make_task: NewTaskFactory, zoe: Actor, client_for: ClientFor
) -> None:
    task = make_task("permission_exception")
    Team.objects.get(pk="ad-operations").task_types.clear()
    claim_task(task.pk, zoe)
    client = client_for("zoe")
    page = client.post(f"{QUEUE}{task.pk}/escalate/", {"version": 2}, follow=True)
    assert "Escalated. Permission exception" in text_of(page)
    assert page_of(task) not in page.content.decode()


def test_it_shows_the_actor_in_the_trail(make_task: NewTaskFactory, press: Press, cora: Actor) -> None:
    add_to_team(cora.user, "creative-review")
    task = make_task()
    press("cora", task, "reject", text="See policy 4.")
    event = TaskEvent.objects.get(task=task, type="task.failed")
    assert (event.actor, event.reason) == (cora.user, "See policy 4.")


def test_it_tells_the_page_which_draft_was_taken(make_task: NewTaskFactory, press: Press) -> None:
    """Only what was carried out; and nothing else than a name can get into the cookie."""
    task, draft = make_task(), "0c5f7b3a-0000-4000-8000-000000000000"
    assert "draft_sent" not in press("ana", task, "reject", text="", draft=draft).cookies
    assert "draft_sent" not in press("ana", task, "comment", text="hm", draft="x; Path=/ é").cookies
    cookie = press("ana", task, "comment", text="hm", draft=draft).cookies["draft_sent"]
    assert (cookie.value, cookie["path"], cookie["samesite"]) == (draft, "/admin/", "Lax")
