"""A lead's morning in a real browser: hand over, keep a view, watch a task appear, decide a group at once."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, SavedView, TaskEvent, User
from tasks_app.services import claim_task, release_task
from tests.cast import NewTaskFactory, add_to_team
from tests.e2e.test_browser_review import QUEUE, sign_in, watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_it_carries_a_lead_through_a_morning(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: dict[str, User], ana: Actor
) -> None:
    page = watched(browser, viewport={"width": 1440, "height": 900})
    add_to_team(people["cora"], "creative-review")
    held = [claim_task(make_task(creative_id=f"cr_held_{n}", priority=4).pk, ana) for n in range(3)]
    for n in range(5):
        size = "728x90" if n == 2 else "300x250"
        make_task(creative_id=f"cr_{n}", error_detail=f"Format of asset {n} is new", context_data={"size": size})

    # Home says who holds what; the number leads to the tasks.
    sign_in(page, live_server.url, "sam")
    expect(page.get_by_role("heading", name="How the team does")).to_be_visible()
    page.locator(".c-people").get_by_role("link", name="3 tasks of ana").click()
    expect(page.locator("tr[data-task]")).to_have_count(3)
    expect(page.locator("[data-bulk-bar]")).to_be_hidden()

    # Ana is ill: all of it goes to Cora. What Ana gave back meanwhile is skipped and named.
    page.get_by_label("Select every task on this page").check()
    expect(page.locator("[data-bulk-said]")).to_have_text("3 selected")
    page.locator("[data-bulk-bar]").get_by_role("button", name="Assign").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 tasks can be changed.")
    expect(dialog.locator("#bulk-person")).to_be_focused()
    release_task(held[2].pk, ana)
    dialog.locator("#bulk-person").select_option("cora")
    dialog.get_by_label("Note").fill("Ana is ill today.")
    dialog.get_by_role("button", name="Assign 3 tasks").click()
    expect(dialog).to_contain_text("2 done, 1 skipped: changed since you chose it")
    dialog.locator("footer [data-closes]").click()
    expect(page.get_by_text("No task fits these filters.")).to_be_visible()
    assert HumanTask.objects.filter(assigned_to=people["cora"]).count() == 2
    reasons = TaskEvent.objects.filter(type="task.assigned").values_list("reason", flat=True)
    assert list(reasons) == ["Ana is ill today."] * 2

    # Filters kept under a name, and found again.
    page.goto(f"{live_server.url}{QUEUE}?tab=all")
    page.get_by_label("Priority").select_option("4")
    expect(page.locator("tr[data-task]")).to_have_count(3)
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name").fill("Burning")
    page.keyboard.press("Enter")
    expect(page.locator(".c-view-on")).to_contain_text("Burning")
    assert SavedView.objects.get().query == "tab=all&priority=4"

    # A new task appears by itself; what is ticked stays ticked, with what was seen.
    first = page.locator("tr[data-task]").first
    first.locator("[data-pick]").check()
    page.locator(".c-view-on a").focus()
    page.mouse.move(0, 0)
    fresh = make_task(creative_id="cr_fresh", priority=4)
    row = page.locator(f"tr[data-task={fresh.pk}]")
    expect(row).to_be_visible(timeout=20_000)
    expect(page.locator("[data-live-said]")).to_have_text("1 new task")
    expect(first.locator("[data-pick]")).to_be_checked()
    expect(page.locator(".c-view-on a")).to_be_focused()
    expect(row.locator("time[data-due]")).to_contain_text("left")

    # What changes while it is ticked is marked, and skipped: it is not what was seen.
    row.locator("[data-pick]").check()
    page.mouse.move(0, 0)
    claim_task(fresh.pk, ana)
    expect(row).to_have_class("c-row c-row-changed c-row-on c-row-stale", timeout=20_000)
    page.locator("[data-bulk-bar]").get_by_role("button", name="Claim").click()
    expect(dialog).to_contain_text("taken by ana")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear").click()

    # The group: leave out what differs, decide the rest once.
    page.get_by_role("link", name="Similar tasks").click()
    page.get_by_role("link", name="Creative approval 5 tasks").click()
    expect(page.locator("[data-bulk-said]")).to_have_text("5 selected")
    page.get_by_role("button", name="Leave it out").click()
    expect(page.locator("[data-bulk-said]")).to_have_text("4 selected")
    page.locator("[data-bulk-bar]").get_by_role("button", name="Reject").click()
    expect(dialog.locator("#bulk-text")).to_be_focused()
    dialog.get_by_role("button", name="Decide 4 tasks").click()
    expect(dialog.get_by_text("Write a text")).to_be_visible()
    dialog.locator("#bulk-text").fill("Use a format of the sheet, please.")
    dialog.get_by_role("button", name="Decide 4 tasks").click()
    expect(dialog).to_contain_text("4 done")
    dialog.locator("footer [data-closes]").click()
    assert HumanTask.objects.filter(resolution="rejected", resolved_by=people["sam"]).count() == 4
    assert TaskEvent.objects.filter(type="task.failed").values("task").distinct().count() == 4
    assert HumanTask.objects.get(creative_id="cr_2").status == "pending"
    page.context.close()
