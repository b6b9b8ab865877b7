"""The task page: everything to decide on, and the buttons that would succeed."""

import re
from datetime import timedelta
from typing import Any

from core import clock
from tasks_app.actors import Actor
from tasks_app.admin import timeline
from tasks_app.admin.texts import data_table, rendered_markdown, span
from tasks_app.models import HumanTask, TaskType
from tasks_app.services import Decision, claim_task, comment_on_task, decide_task, escalate_task
from tasks_app.states import EventType
from tests.admin.conftest import ClientFor, page_of, text_of
from tests.cast import NewTaskFactory


def buttons(response: Any) -> list[str]:
    return [d.verb.name for d in (*response.context["decisions"], *response.context["work"])]


def test_it_shows_what_is_asked_why_and_about_what(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(
        adapter_name="kevel",
        media_buy_id="mb_1",
        creative_id="cr_1",
        operation="create_creative",
        error_detail="Format video_hosted is not auto-approved.",
        context_data={"creative": {"assets": [{"url": "https://cdn.example/a.png"}]}, "flags": ["loud", "long"]},
    )
    text = text_of(client_for("ana").get(page_of(task)))
    for said in (
        "May this creative run?",
        "Format video_hosted is not auto-approved.",
        "Acme Corp",
        "kevel",
        "mb_1",
        "cr_1",
        "create_creative",
        "assets 1",
        "https://cdn.example/a.png",
        "loud",
        "long",
        "loads over https from the advertiser's own hosts",
        "opened the task for Creative review",
    ):
        assert said in text.replace("&#x27;", "'")


def test_it_loads_nothing_from_outside_but_the_creatives_media(
    make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    task = make_task(
        context_data={"image_url": "https://cdn.example/a.png", "landing_url": "https://shop.example/x.png"},
        error_detail="see https://evil.example/x",
    )
    page = client_for("ana").get(page_of(task)).content.decode()
    assert re.findall(r'\b(?:src|href|action|data|poster)="(http[^"]*)"', page) == ["https://cdn.example/a.png"]
    assert '<img src="https://cdn.example/a.png"' in page
    assert "url(http" not in page


def test_it_offers_what_would_succeed(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    task = make_task()
    assert buttons(client_for("ana").get(page_of(task))) == ["approve", "reject", "cannot-complete", "claim", "comment"]
    claim_task(task.pk, ana)
    held = ["approve", "reject", "cannot-complete", "start", "comment", "hold", "hand-over", "release", "escalate"]
    assert buttons(client_for("ana").get(page_of(task))) == held
    lead = ["comment", "assign", "hold", "release", "escalate", "route"]
    assert buttons(client_for("sam").get(page_of(task))) == lead
    exception = make_task("permission_exception")
    assert buttons(client_for("zoe").get(page_of(exception))) == ["complete", "cannot-complete", "claim", "comment"]


def test_it_offers_comments_alone_after_the_end(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    task = make_task()
    decide_task(task.pk, ana, Decision("rejected", "The logo is cut off.", {"size": "300x250"}))
    page = client_for("ana").get(page_of(task))
    assert buttons(page) == ["comment"]
    for said in ("Decided by ana just now.", "The logo is cut off.", "300x250"):
        assert said in text_of(page)


def test_it_is_not_found_alike_for_unknown_and_foreign_tasks(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task, client = make_task(), client_for("zoe")
    foreign, unknown = client.get(page_of(task)), client.get(page_of(HumanTask(pk="task_nothing")))
    assert foreign.status_code == unknown.status_code == 404
    assert text_of(foreign) == text_of(unknown)


def test_it_renders_the_version_with_the_page(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    page: Any = client_for("ana").get(page_of(task))
    assert {d.form["version"].value() for d in page.context["dialogs"]} == {2}


def test_it_lists_related_tasks_in_sight(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    task = make_task(media_buy_id="mb_1", creative_id="cr_1")
    same_buy, same_creative = make_task(media_buy_id="mb_1"), make_task(creative_id="cr_1")
    decide_task(same_buy.pk, ana, Decision("approved"))
    follower = make_task(follows=task.pk)
    make_task("permission_exception", media_buy_id="mb_1"), make_task(media_buy_id="mb_2")
    related: Any = client_for("ana").get(page_of(task)).context["related"]
    assert [line.task_id for line in related] == [follower.pk, same_creative.pk, same_buy.pk]
    back: Any = client_for("ana").get(page_of(follower)).context["related"]
    assert [line.task_id for line in back] == [task.pk]


def test_it_tells_the_story_newest_first(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    with clock.at(clock.now() - timedelta(hours=2)):
        task = make_task()
    claim_task(task.pk, ana)
    comment_on_task(task.pk, ana, "Asked the advertiser.")
    timeline: Any = client_for("ana").get(page_of(task)).context["timeline"]
    assert [(e.who, e.what, e.ago) for e in timeline.entries] == [
        ("ana", "commented", "just now"),
        ("ana", "took the task", "just now"),
        ("bot", "opened the task for Creative review", "2 h ago"),
    ]
    assert timeline.entries[0].reason == "Asked the advertiser."


def test_it_shows_only_a_bounded_part_of_a_huge_context() -> None:
    table = data_table({f"k{n}": n for n in range(5_000)})
    assert (len(table.rows), table.omitted) == (300, 4_700)
    assert len(data_table({"k": "x" * 500_000}).rows[0].value or "") == 4_000


def test_it_sanitises_instructions() -> None:
    html = rendered_markdown("**ok** <script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>")
    assert "<strong>ok</strong>" in html
    for bad in ("<script", "javascript:", "onerror", "<img"):
        assert bad not in html


def test_it_says_spans_in_two_units() -> None:
    said = {5: "5 s", 60: "1 min", 7800: "2 h 10 min", 54000: "15 h", 54060: "15 h", 100800: "1 d 4 h", 864000: "10 d"}
    assert {seconds: span(timedelta(seconds=seconds)) for seconds in said} == said


def test_it_tells_every_kind_of_event_in_a_sentence() -> None:
    """A new kind of event without words would make the page of every task that has one an error."""
    for kind in EventType:
        assert timeline._what(kind, {"resolution": "", "stage": 1}, "ana", "Compliance")


def test_it_says_why_a_task_was_escalated(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    escalate_task(task.pk, ana, reason="Shows another brand.")
    page = text_of(client_for("root").get(page_of(task)))
    why = page[page.index("Why it needs a person") :][:400]
    assert "ana escalated it to" in why
    assert "Shows another brand." in why
    assert "nobody there has taken it yet." in page


def test_it_says_the_shipped_catalogue_in_the_readers_language(
    make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    task, client = make_task(), client_for("ana")
    page = text_of(client.get(page_of(task), headers={"accept-language": "de"}))
    for said in (
        "Werbemittelfreigabe",
        "Darf dieses Werbemittel laufen?",
        "Geben Sie frei, wenn",
        "Werbemittelprüfung",
    ):
        assert said in page
    TaskType.objects.filter(pk=task.task_type_id).update(question="Does it fit our brand?")
    page = text_of(client.get(page_of(task), headers={"accept-language": "de"}))
    assert "Does it fit our brand?" in page
