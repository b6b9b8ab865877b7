"""A reviewer's story in a real browser: sign in, look, decide, be overtaken, and all of it on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tasks_app.services import claim_task
from tests.cast import PASSWORD, NewTaskFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUEUE = "/admin/tasks_app/humantask/"


def sign_in(page: Page, base: str, username: str) -> None:
    page.goto(f"{base}/admin/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("heading", name="What matters next")).to_be_visible()


def choose(page: Page, verb: str) -> Any:
    """Press a decision's button; return its dialog."""
    page.locator(f"[data-opens=dialog-{verb}]").click()
    dialog = page.locator(f"#dialog-{verb}")
    expect(dialog).to_be_visible()
    return dialog


def test_it_lets_a_reviewer_reject_with_feedback_and_see_it_in_the_timeline(
    live_server: Any, page: Page, make_task: NewTaskFactory, ana: Actor
) -> None:
    make_task(creative_id="cr_1", operation="create_creative", error_detail="Format video_hosted is not auto-approved.")
    sign_in(page, live_server.url, "ana")
    page.get_by_role("link", name="Queue").first.click()
    page.get_by_role("link", name="Creative approval").click()
    expect(page.get_by_role("heading", name="May this creative run?")).to_be_in_viewport()
    for verb in ("approve", "reject", "cannot-complete"):
        expect(page.locator(f"[data-opens=dialog-{verb}]")).to_be_in_viewport(ratio=1)
    dialog = choose(page, "reject")
    feedback = dialog.get_by_label("Feedback")
    expect(feedback).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    choose(page, "reject")
    feedback.fill("The logo is cut off at the right edge.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Rejected.")).to_be_visible()
    page.get_by_role("link", name="Creative approval · create_creative").click()
    timeline = page.locator(".c-timeline")
    expect(timeline).to_contain_text("decided: rejected")
    expect(timeline).to_contain_text("The logo is cut off at the right edge.")
    task = HumanTask.objects.get()
    assert (task.resolution, task.resolved_by) == ("rejected", ana.user)


def test_it_lets_a_reviewer_claim_and_approve_with_two_keys(
    live_server: Any, page: Page, make_task: NewTaskFactory, ana: Actor
) -> None:
    task = make_task(creative_id="cr_2")
    sign_in(page, live_server.url, "ana")
    page.get_by_role("button", name="Take the next task").click()
    expect(page.get_by_text("You have it, taken just now.")).to_be_visible()
    page.locator("[data-opens=dialog-approve]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog-approve [data-main]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Approved.")).to_be_visible()
    task.refresh_from_db()
    assert (task.status, task.resolved_by) == ("completed", ana.user)


def watched(browser: Browser, **options: Any) -> Page:
    """A page that may be answered 400 and 412, which the browser logs as errors; scripts must not fail all the same."""
    page = browser.new_context(**options).new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page's script failed: {error}"))
    return page


def test_it_says_at_the_dialog_what_is_missing_and_who_was_faster(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    task = make_task(creative_id="cr_3")
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    dialog = choose(page, "reject")
    dialog.locator("[data-main]").click()
    expect(page.locator("#dialog-reject").get_by_text("Write a text")).to_be_visible()
    expect(page.locator("#dialog-reject").get_by_label("Feedback")).to_be_focused()
    claim_task(task.pk, sam)
    page.locator("#dialog-reject").get_by_label("Feedback").fill("The claim needs a source.")
    page.keyboard.press("Control+Enter")
    dialog = page.locator("#dialog-reject")
    expect(dialog.get_by_text("sam has taken this task")).to_be_visible()
    expect(dialog.get_by_label("Feedback")).to_have_value("The claim needs a source.")
    expect(dialog.locator("[data-main]")).to_have_count(0)
    expect(page.locator(".c-standing")).to_contain_text("sam has it")
    page.context.close()


def test_it_works_on_a_phone(live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task(
        creative_id="cr_4", operation="create_creative", context_data={"url": "https://cdn.example/" + "long/" * 30}
    )
    page = watched(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    sign_in(page, live_server.url, "ana")
    for url in ("/admin/", QUEUE, f"{QUEUE}{task.pk}/change/"):
        page.goto(f"{live_server.url}{url}")
        expect(page.locator(".c-page")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("[data-opens=dialog-reject]")).to_be_in_viewport(ratio=1)
    dialog = choose(page, "reject")
    dialog.get_by_label("Feedback").fill("Too loud.")
    expect(dialog.locator("[data-main]")).to_be_in_viewport(ratio=1)
    dialog.locator("[data-main]").tap()
    expect(page.get_by_text("Rejected.")).to_be_visible()
    page.context.close()
    task.refresh_from_db()
    assert task.resolution_detail == "Too loud."
