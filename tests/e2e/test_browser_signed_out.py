"""The session ends while somebody writes: nothing typed is lost, and it is said what to do."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tests.cast import PASSWORD, NewTaskFactory
from tests.e2e.test_browser_deck import CARD, beat, eventually, shows
from tests.e2e.test_browser_review import QUEUE, choose, sign_in, watched

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

WORDS = "The claim needs a source: line two."


def keeps(page: Page, count: int) -> None:
    """Waited for: the page forgets a text when it has the answer, and the server has decided before that."""
    page.wait_for_function(
        "count => Object.keys(sessionStorage).filter(key => key.startsWith('console-draft')).length === count",
        arg=count,
    )


def again(page: Page, username: str = "ana") -> None:
    """Sign in on the page to which one was sent."""
    expect(page.locator("[name=password]")).to_be_visible()
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")


def test_a_dialog_comes_back_with_what_was_typed(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor
) -> None:
    task = make_task(creative_id="cr_1", error_detail="ask jane@acme.example")
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    choose(page, "reject").get_by_label("Feedback").fill(WORDS)

    # Said while one writes, before anything is sent.
    Session.objects.all().delete()
    beat(page)
    dialog = page.locator("#dialog-reject")
    expect(dialog.get_by_text("You are signed out. What you wrote stays here.")).to_be_visible()

    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("What you wrote is kept in this window")).to_be_visible()
    again(page)
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Feedback")).to_have_value(WORDS)
    expect(dialog.get_by_text("What you wrote here before is back.")).to_be_visible()
    assert HumanTask.objects.get().is_open

    # A refusal by the server takes nothing away, the decision itself does.
    dialog.get_by_label("Feedback").fill("")
    dialog.locator("[data-main]").click()
    expect(dialog.get_by_text("Write a text")).to_be_visible()
    dialog.get_by_label("Feedback").fill(WORDS)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Rejected.")).to_be_visible()
    keeps(page, 0)
    task.refresh_from_db()
    assert task.resolution_detail == WORDS
    page.context.close()


def test_nobody_else_reads_it_and_reveals_are_not_kept(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    task = make_task(creative_id="cr_1", error_detail="ask jane@acme.example")
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "sam")
    page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    choose(page, "reveal").get_by_label("Why you need it").fill("to ask jane")
    page.keyboard.press("Escape")
    keeps(page, 0)
    choose(page, "comment").get_by_label("Comment").fill(WORDS)
    keeps(page, 1)

    # Left and found again, in the same window; thrown away on request.
    page.reload()
    dialog = choose(page, "comment")
    expect(dialog.get_by_label("Comment")).to_have_value(WORDS)
    dialog.get_by_role("button", name="Discard it").click()
    expect(dialog.get_by_label("Comment")).to_have_value("")
    keeps(page, 0)

    dialog.get_by_label("Comment").fill(WORDS)
    Session.objects.all().delete()
    page.reload()
    again(page, "ana")
    dialog = choose(page, "comment")
    expect(dialog.get_by_label("Comment")).to_have_value("")
    keeps(page, 0)
    page.context.close()


def test_the_deck_goes_on_where_it_was_interrupted(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, settings: Any
) -> None:
    settings.HITL_UNDO_SECONDS = 0
    for name in ("cr_1", "cr_2", "cr_3"):
        make_task(creative_id=name)
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}deck/")
    shows(page, "cr_1")
    page.keyboard.press("j")
    shows(page, "cr_2")
    eventually(page, "cr_2", ("assigned", "ana"))
    page.keyboard.press("r")
    page.keyboard.type(WORDS)
    Session.objects.all().delete()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-say]")).to_contain_text("You are signed out")
    feedback = page.locator(CARD).get_by_label("Feedback")
    expect(feedback).to_have_value(WORDS)

    # Signed in in another window, it goes on here, with the token of now.
    other = page.context.new_page()
    sign_in(other, live_server.url, "ana")
    other.close()
    feedback.focus()
    page.keyboard.press("Control+Enter")
    eventually(page, "cr_2", ("failed", "rejected"))
    shows(page, "cr_3")

    # Or the page is loaded anew: the task in which one wrote comes first, its panel open.
    eventually(page, "cr_3", ("assigned", "ana"))
    page.keyboard.press("x")
    page.keyboard.type(WORDS)
    Session.objects.all().delete()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-say]")).to_contain_text("You are signed out")
    page.reload()
    again(page)
    shows(page, "cr_3")
    expect(page.locator(CARD).get_by_label("Why this cannot be done")).to_have_value(WORDS)
    page.keyboard.press("Control+Enter")
    eventually(page, "cr_3", ("failed", "cannot_complete"))
    keeps(page, 0)
    page.context.close()


def test_the_dialog_for_many_tasks_keeps_its_text(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor
) -> None:
    tasks = [make_task(creative_id=f"cr_{n}") for n in range(3)]
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}similar/{tasks[0].similarity_key}/")
    reject = page.locator("[data-bulk-bar]").get_by_role("button", name="Reject")
    reject.click()
    text = page.locator("#bulk-text")
    text.fill(WORDS)
    Session.objects.all().delete()
    page.get_by_role("button", name="Decide 3 tasks").click()
    expect(page.get_by_role("dialog").get_by_text("You are signed out")).to_be_visible()
    expect(text).to_have_value(WORDS)
    page.reload()
    again(page)
    reject.click()
    expect(text).to_have_value(WORDS)
    page.get_by_role("button", name="Decide 3 tasks").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 done")
    keeps(page, 0)
    page.context.close()
