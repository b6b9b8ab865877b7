"""Each key of the deck does what its help says: c, e and h here; the others in the reviewer's story."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent, User
from tests.cast import NewTaskFactory, add_to_team
from tests.e2e.test_browser_deck import CARD, QUEUE, eventually, shows
from tests.e2e.test_browser_review import sign_in, watched

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


def test_every_key_does_what_its_help_says(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: dict[str, User], zoe: Actor, settings: Any
) -> None:
    settings.HITL_UNDO_SECONDS = 3
    add_to_team(people["ana"], "ad-operations")
    for name in ("cr_1", "cr_2", "cr_3", "cr_4"):
        make_task("permission_exception", creative_id=name)
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "zoe")
    page.goto(f"{live_server.url}{QUEUE}deck/")
    shows(page, "cr_1")

    # a and r are not offered by this type: said, and nothing happens. Keys with Ctrl are the browser's.
    for key in ("a", "r"):
        page.keyboard.press(key)
        expect(page.locator("[data-say]")).to_have_text("This task does not offer that.")
    page.keyboard.press("Control+c")
    shows(page, "cr_1")
    page.keyboard.press("c")
    shows(page, "cr_2")
    expect(page.locator("[data-undos]")).to_contain_text("Completed cr_1")
    eventually(page, "cr_1", ("completed", "completed"))

    # With Shift the form first; Escape closes it and keeps what was written.
    page.keyboard.press("Shift+C")
    note = page.locator(CARD).get_by_label("What was done")
    expect(note).to_be_focused()
    page.keyboard.type("Added the user to the order.")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+C")
    expect(note).to_have_value("Added the user to the order.")
    page.keyboard.press("Control+Enter")
    shows(page, "cr_3")
    eventually(page, "cr_2", ("completed", "completed"))
    assert HumanTask.objects.get(creative_id="cr_2").resolution_detail == "Added the user to the order."

    page.keyboard.press("e")
    page.keyboard.type("Their admin does not answer.")
    page.keyboard.press("Control+Enter")
    shows(page, "cr_4")
    eventually(page, "cr_3", ("escalated", ""))
    assert TaskEvent.objects.get(type="task.escalated").reason == "Their admin does not answer."

    eventually(page, "cr_4", ("assigned", "zoe"))
    page.keyboard.press("h")
    colleague = page.locator(CARD).get_by_label("Colleague", exact=True)
    expect(colleague).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator(CARD).get_by_text("Choose one.")).to_be_visible()
    colleague.select_option("ana")
    page.locator(CARD).get_by_label("Note").fill("You know this client.")
    page.keyboard.press("Control+Enter")
    eventually(page, "cr_4", ("assigned", "ana"))
    assert TaskEvent.objects.get(type="task.handed_over").reason == "You know this client."

    # Single keys switched off: a screen reader's own keys decide nothing. What was escalated comes first now.
    page.goto(f"{live_server.url}{QUEUE}deck/")
    shows(page, "cr_3")
    page.keyboard.press("?")
    page.get_by_label("Single keys act").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.wait_for_timeout(300)
    shows(page, "cr_3")
    assert HumanTask.objects.get(creative_id="cr_3").is_open
    page.context.close()
