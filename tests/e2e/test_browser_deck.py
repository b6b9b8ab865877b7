"""The deck in a real browser: several tasks from the keyboard, two reviewers on one task, and a reviewer on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.services import Decision, claim_task, decide_task, release_task
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_review import choose, sign_in, watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUEUE = "/admin/tasks_app/humantask/"
CARD = "[data-card]:not([hidden])"


@pytest.fixture(autouse=True)
def _short_time_to_take_back(settings: Any) -> None:
    settings.HITL_UNDO_SECONDS = 4


def shows(page: Page, subject: str) -> None:
    """The card of this creative is on screen, and claimed."""
    expect(page.locator(CARD)).to_contain_text(subject)
    expect(page.locator(CARD)).to_have_count(1)


def standing_of(subject: str) -> tuple[str, str]:
    task = HumanTask.objects.select_related("assigned_to").get(creative_id=subject)
    return str(task.status), task.resolution or getattr(task.assigned_to, "username", "")


def eventually(page: Page, subject: str, standing: tuple[str, str]) -> None:
    for _look in range(60):
        if standing_of(subject) == standing:
            return
        page.wait_for_timeout(100)
    assert standing_of(subject) == standing


def test_a_reviewer_clears_tasks_from_the_keyboard_and_takes_one_back(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    names = ["cr_1", "cr_2", "cr_3", "cr_4", "cr_5"]
    for name in names:
        make_task(creative_id=name, error_detail=f"{name} is not auto-approved.")
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.get_by_role("link", name="Deck").first.click()
    shows(page, "cr_1")
    eventually(page, "cr_1", ("assigned", "ana"))
    assert standing_of("cr_2") == ("pending", ""), "the next one waits in the page, unclaimed"
    expect(page.locator("[data-card][hidden]")).to_have_count(4)

    page.keyboard.press("a")
    shows(page, "cr_2")
    expect(page.locator("[data-undos]")).to_contain_text("Approved cr_1")
    eventually(page, "cr_2", ("assigned", "ana"))
    page.keyboard.press("r")
    feedback = page.locator(CARD).get_by_label("Feedback")
    expect(feedback).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator(CARD).get_by_text("Write a text")).to_be_visible()
    page.keyboard.type("The claim needs a source: ask jane@acme.example")
    page.keyboard.press("Control+Enter")
    shows(page, "cr_3")
    eventually(page, "cr_3", ("assigned", "ana"))

    # Taken back: on screen again, with every word; the one that was shown is back in the queue.
    page.keyboard.press("u")
    shows(page, "cr_2")
    expect(feedback).to_have_value("The claim needs a source: ask jane@acme.example")
    eventually(page, "cr_3", ("pending", ""))
    assert standing_of("cr_2") == ("in_progress", "ana")
    feedback.fill("The claim needs a source.")
    page.keyboard.press("Control+Enter")
    shows(page, "cr_3")

    # Carried out by the server, and gone from the list of what can be taken back.
    eventually(page, "cr_1", ("completed", "approved"))
    eventually(page, "cr_2", ("failed", "rejected"))
    expect(page.locator(".d-undo")).to_have_count(0)
    assert HumanTask.objects.get(creative_id="cr_2").resolution_detail == "The claim needs a source."

    # On, and back again: what is left goes back to the queue.
    page.keyboard.press("j")
    shows(page, "cr_4")
    eventually(page, "cr_3", ("pending", ""))
    page.keyboard.press("k")
    shows(page, "cr_3")
    eventually(page, "cr_3", ("assigned", "ana"))
    eventually(page, "cr_4", ("pending", ""))

    # Skipped with a reason: it is in the timeline, and does not come back.
    page.keyboard.press("s")
    page.keyboard.type("not my language")
    page.keyboard.press("Enter")
    shows(page, "cr_4")
    eventually(page, "cr_3", ("pending", ""))
    assert TaskEvent.objects.get(type="task.skipped").reason == "not my language"

    # The one that waits in the page is taken by a colleague: the deck says so and moves on.
    expect(page.locator("[data-card][hidden]")).to_have_count(1)
    claim_task(HumanTask.objects.get(creative_id="cr_5").pk, sam)
    page.keyboard.press("x")
    page.keyboard.type("The material is missing.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-say]")).to_contain_text("cr_5: sam has taken this task")
    expect(page.locator("[data-none]")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="The deck's keys")).to_be_visible()

    # The browser goes before the time is over: what waits is carried out all the same, here by the next page's poll.
    page.goto(f"{live_server.url}{QUEUE}deck/")
    eventually(page, "cr_4", ("failed", "cannot_complete"))
    assert standing_of("cr_3") == ("pending", ""), "still skipped in this session"
    page.context.close()


def test_two_reviewers_on_one_task_are_told_of_each_other(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    task = make_task(creative_id="cr_1")
    of_ana = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(of_ana, live_server.url, "ana")
    of_ana.goto(f"{live_server.url}{QUEUE}deck/")
    shows(of_ana, "cr_1")
    eventually(of_ana, "cr_1", ("assigned", "ana"))

    of_sam = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(of_sam, live_server.url, "sam")
    of_sam.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    expect(of_sam.locator(".c-standing")).to_contain_text("ana has it")
    beat(of_ana)
    beat(of_sam)
    expect(of_sam.locator("[data-others]")).to_have_text("ana has this open now")
    dialog = choose(of_sam, "assign")
    dialog.get_by_label("Reason").fill("You know this client, sam.")
    of_ana.keyboard.press("a")
    expect(of_ana.locator("[data-undos]")).to_contain_text("Approved cr_1")
    eventually(of_ana, "cr_1", ("completed", "approved"))
    beat(of_sam)
    expect(dialog.get_by_text("ana has decided this task")).to_be_visible()
    expect(dialog.get_by_label("Reason")).to_have_value("You know this client, sam.")
    expect(of_sam.locator(".c-standing")).to_contain_text("Decided by ana")
    of_sam.context.close()

    # The other way round: a lead takes the task away while ana writes. Nothing that she typed is lost.
    other = make_task(creative_id="cr_2")
    of_ana.goto(f"{live_server.url}{QUEUE}deck/")
    shows(of_ana, "cr_2")
    eventually(of_ana, "cr_2", ("assigned", "ana"))
    of_ana.keyboard.press("r")
    of_ana.keyboard.type("The logo is cut off.")
    release_task(other.pk, sam)
    decide_task(other.pk, sam, Decision("approved"))
    of_ana.keyboard.press("Control+Enter")
    expect(of_ana.locator(CARD)).to_contain_text("sam has decided this task")
    expect(of_ana.locator(CARD).get_by_label("Feedback")).to_have_value("The logo is cut off.")
    assert standing_of("cr_2") == ("completed", "approved")

    # Leaving the page gives back what it had claimed.
    make_task(creative_id="cr_3")
    of_ana.goto(f"{live_server.url}{QUEUE}deck/")
    shows(of_ana, "cr_3")
    eventually(of_ana, "cr_3", ("assigned", "ana"))
    of_ana.goto(f"{live_server.url}/admin/")
    eventually(of_ana, "cr_3", ("pending", ""))
    of_ana.context.close()


def beat(page: Page) -> None:
    """The page says at once that it is open, and hears what is new, instead of every few seconds."""
    with page.expect_response(lambda answer: "/presence/" in answer.url):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_reviewer_decides_on_a_phone(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor
) -> None:
    for name in ("cr_1", "cr_2", "cr_3"):
        make_task(creative_id=name, context_data={"url": "https://cdn.example/" + "long/" * 30})
    page = watched(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}deck/")
    shows(page, "cr_1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Approve", "Reject", "Skip"):
        expect(page.locator(CARD).get_by_role("button", name=name, exact=False).first).to_be_in_viewport(ratio=1)
    page.locator(CARD).get_by_role("button", name="Approve").first.tap()
    shows(page, "cr_2")
    page.locator("[data-undos]").get_by_role("button", name="Take back").tap()
    shows(page, "cr_1")
    assert standing_of("cr_1") == ("in_progress", "ana")
    page.locator(CARD).get_by_role("button", name="Reject").first.tap()
    page.locator(CARD).get_by_label("Feedback").fill("Too loud.")
    send = page.locator(f"{CARD} [data-panel=reject] [data-main]")
    expect(send).to_be_in_viewport(ratio=1)
    send.tap()
    shows(page, "cr_2")
    eventually(page, "cr_1", ("failed", "rejected"))
    page.context.close()
