"""What routine decisions cost in the deck, and in a stock admin: counted by the browser, not by hand.

Five on every run; `HITL_TEST_DECISIONS=20` and `pytest -s` show the table of docs/console.md.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django.contrib.admin
import pytest
from django.urls import clear_url_caches
from playwright.sync_api import Browser, Page, expect

from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_deck import QUEUE, shows
from tests.e2e.test_browser_review import sign_in, watched
from tests.profile import scaled

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

DECISIONS = scaled("DECISIONS", 5, 20)
# What a person did: keys, and clicks of a pointer (a button that a key presses has no detail).
LISTENER = """
for (const kind of ["click", "keydown"]) {
  window.addEventListener(kind, (event) => {
    if (event.isTrusted && (kind === "keydown" || event.detail > 0)) window.countedHere(kind);
  }, true);
}
"""


@contextmanager
def counted(page: Page, name: str) -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()
    page.expose_function("countedHere", lambda kind: counts.update([kind]))
    page.add_init_script(LISTENER)
    page.on("domcontentloaded", lambda _page: counts.update(["load"]))
    begin = time.perf_counter()
    yield counts
    seconds = time.perf_counter() - begin
    # The picks within the drop-down lists of a stock form come on top: browsers do not show them to the page.
    print(f"\n| {name} | {counts['click']} | {counts['keydown']} | {counts['load']} | {seconds:.1f} s |")


@pytest.fixture
def stock_admin(settings: Any) -> Iterator[None]:
    """Django's own admin with its own templates, beside the console."""
    own = Path(django.contrib.admin.__file__).parent / "templates"
    engine = settings.TEMPLATES[0]
    settings.TEMPLATES = [{**engine, "DIRS": [own]}]
    settings.ROOT_URLCONF = "tests.e2e.stock_admin"
    clear_url_caches()
    yield
    clear_url_caches()


def test_a_decision_in_the_deck_costs_one_key(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor
) -> None:
    for n in range(DECISIONS):
        make_task(creative_id=f"cr_{n}_")
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    with counted(page, "our deck") as counts:
        page.goto(f"{live_server.url}{QUEUE}deck/")
        for n in range(DECISIONS):
            shows(page, f"cr_{n}_")
            page.keyboard.press("a")
        expect(page.locator("[data-none]")).to_be_visible()
    assert dict(counts) == {"keydown": DECISIONS, "load": 1}
    assert HumanTask.objects.filter(status="in_progress", staged_until__isnull=False).count() + (
        HumanTask.objects.filter(resolution="approved").count()
    ) == (DECISIONS)
    page.context.close()


def test_a_decision_in_a_stock_admin_costs_more(
    stock_admin: None, live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor
) -> None:
    tasks = [make_task(creative_id=f"cr_{n}_") for n in range(DECISIONS)]
    page = watched(browser, viewport={"width": 1440, "height": 900})
    page.goto(f"{live_server.url}/stock/")
    page.fill("[name=username]", "ana")
    page.fill("[name=password]", "a long enough pass phrase")
    page.press("[name=password]", "Enter")
    expect(page.get_by_text("Site administration")).to_be_visible()
    with counted(page, "stock Django admin") as counts:
        page.goto(f"{live_server.url}/stock/tasks_app/humantask/")
        for task in tasks:
            page.get_by_role("link", name=task.pk).click()
            for field, letters, value in (("status", "C", "completed"), ("resolution", "A", "approved")):
                page.locator(f"#id_{field}").click()
                page.keyboard.press(letters)
                page.keyboard.press("Enter")
                expect(page.locator(f"#id_{field}")).to_have_value(value)
            page.get_by_role("button", name="Save", exact=True).click()
            expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert HumanTask.objects.filter(status="completed", resolution="approved").count() == DECISIONS
    assert counts["click"] == 4 * DECISIONS
    assert counts["load"] == 1 + 2 * DECISIONS
    page.context.close()
