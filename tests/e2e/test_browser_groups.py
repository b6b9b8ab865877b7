"""Similar tasks in a real browser: the open page keeps itself up to date, and a long group is decided part by part."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tasks_app.actors import Actor
from tasks_app.admin import group_pages
from tasks_app.models import HumanTask, User
from tasks_app.services import claim_task
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_review import QUEUE, sign_in, watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SLOWLY = 20_000  # the page asks every five seconds


def test_it_shows_new_and_changed_tasks_of_a_group_by_themselves(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: dict[str, User], sam: Actor
) -> None:
    tasks = [make_task(creative_id=f"cr_{n}", error_detail="too large") for n in range(3)]
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")

    # The list of groups counts on.
    page.goto(f"{live_server.url}{QUEUE}similar/")
    number = page.locator(".c-groups .c-number strong")
    expect(number).to_have_text("3")
    make_task(creative_id="cr_3", error_detail="too large")
    expect(number).to_have_text("4", timeout=SLOWLY)
    expect(page.locator("[data-live-said]")).to_have_text("1 group changed")
    expect(page.get_by_text("4 open tasks in 1 groups")).to_be_visible()

    # In the group: the new one appears, and is not selected by itself; what changed is marked.
    page.locator(".c-groups .c-row-link").click()
    expect(page.locator("[data-bulk-said]")).to_have_text("4 selected")
    page.mouse.move(0, 0)
    fresh = make_task(creative_id="cr_4", error_detail="too large")
    row = page.locator(f"tr[data-task={fresh.pk}]")
    expect(row).to_be_visible(timeout=SLOWLY)
    expect(row.locator("[data-pick]")).not_to_be_checked()
    expect(page.locator("[data-bulk-said]")).to_have_text("4 selected")
    expect(page.get_by_role("heading", name="Creative approval: 5 tasks")).to_be_visible()
    claim_task(tasks[0].pk, sam)
    expect(page.locator("[data-bulk-said]")).to_have_text("4 selected, 1 changed meanwhile", timeout=SLOWLY)
    page.locator("[data-bulk-bar]").get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("taken by sam")
    dialog.get_by_role("button", name="Decide 3 tasks").click()
    expect(dialog).to_contain_text("3 done")
    assert HumanTask.objects.get(pk=fresh.pk).status == "pending"
    page.context.close()


def test_it_decides_a_long_group_part_by_part(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: dict[str, User], monkeypatch: Any
) -> None:
    monkeypatch.setattr(group_pages, "SHOWN", 3)
    tasks = [make_task(creative_id=f"cr_{n}", error_detail="too large") for n in range(5)]
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}similar/{tasks[0].similarity_key}/")
    expect(page.locator("[data-following]")).to_have_text(
        "info These are the 3 oldest of 5. Decide these; 2 more follow."
    )
    dialog = page.get_by_role("dialog")
    for part, left in ((3, 2), (2, 0)):
        page.locator("[data-bulk-bar]").get_by_role("button", name="Approve").click()
        if left:
            expect(dialog).to_contain_text("2 more of this group follow")
        dialog.get_by_role("button", name=f"Decide {part} tasks").click()
        expect(dialog).to_contain_text(f"{part} done")
        expect(dialog.get_by_text("tasks of this group are still open")).to_have_count(1 if left else 0)
        dialog.locator("footer [data-closes]").click()
    expect(page.get_by_text("No open task of this group is left")).to_be_visible()
    assert not HumanTask.objects.open().exists()
    page.context.close()
