"""For everyone: axe-core (MPL-2.0, from the development requirements) finds nothing serious on the main pages.

In light and dark, at a desk and on a phone; no page scrolls sideways; a keyboard alone is enough.
"""

from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.models import BusinessCalendar, Phrase, SLAPolicy, Team
from tasks_app.services import (
    Decision,
    claim_task,
    comment_on_task,
    decide_task,
    save_calendar,
    save_policy,
)
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_review import QUEUE, choose, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
THEMES: list[Literal["light", "dark"]] = ["dark", "light"]
# Themes differ in their colours alone.
RULES = {"dark": ["color-contrast"], "light": None}
BAD = ("serious", "critical")
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


def pages(task: str, ana: int, token: int) -> list[str]:
    """The ten main pages."""
    configuration = "/admin/tasks_app"
    return [
        "/admin/",
        QUEUE,
        f"{QUEUE}{task}/change/",
        f"{QUEUE}mentions/",
        f"{configuration}/tasktype/compliance_review/change/",
        f"{configuration}/team/creative-review/change/",
        f"{configuration}/user/{ana}/change/",
        f"{configuration}/user/mine/",
        f"{configuration}/adaptertoken/{token}/change/",
        f"{configuration}/team/creative-review/history/",
        "/admin/auditlog/logentry/",
    ]


def other_pages(policy: int, group: str) -> list[str]:
    """What a lead and an administrator open besides."""
    configuration, messages = "/admin/tasks_app", "/admin/notifications"
    return [
        f"{QUEUE}?tab=closed",
        f"{QUEUE}similar/",
        f"{QUEUE}similar/{group}/",
        f"{QUEUE}deck/",
        f"{QUEUE}task_unknown/change/",
        "/admin/my-notifications/",
        f"{configuration}/quarter/",
        f"{configuration}/slapolicy/{policy}/change/",
        f"{configuration}/businesscalendar/berlin/change/",
        f"{configuration}/retentionpolicy/add/",
        f"{configuration}/adaptertoken/add/",
        f"{configuration}/phrase/",
        "/admin/auth/group/add/",
        f"{messages}/endpoint/add/",
        f"{messages}/channel/",
        f"{messages}/delivery/",
        f"{messages}/alert/",
        f"{messages}/alertrule/",
        "/admin/nowhere/",
    ]


def faults(page: Page, only: list[str] | None = None) -> list[str]:
    """What axe-core finds that is serious or critical on the page as it stands; by the rules of these names alone."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(
        "options => axe.run(document, options).then(r => r.violations)",
        {"resultTypes": ["violations"], **({"runOnly": only} if only else {})},
    )
    return [
        f"{fault['id']}: {node['target']} {node['html'][:100]}"
        for fault in found
        if fault["impact"] in BAD
        for node in fault["nodes"]
    ]


def faults_of_the_page(page: Page, theme: str) -> list[str]:
    """At a desk; in light its room on a phone, too, where the colours are the same."""
    found = [f"desk {theme} {fault}" for fault in faults(page, RULES[theme])]
    if is_too_wide(page):
        found.append(f"desk {theme} scrolls sideways")
    if theme == "light":
        page.set_viewport_size(PHONE)
        if is_too_wide(page):
            found.append("phone scrolls sideways")
        page.set_viewport_size(DESK)
    return [f"{page.url} {fault}" for fault in found]


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_it_is_for_everyone(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, root: Actor, ana: Actor, cora: Actor, bot: Actor
) -> None:
    task = make_task(
        "compliance_review",
        creative_id="cr_1",
        media_buy_id="mb_" + "long_" * 30,
        error_detail="[PermissionError.PERMISSION_DENIED @ order] ask jane@acme.example",
        context_data={
            "policy_id": "us_fha_targeting",
            "flagged": ["targeting.age_min"],
            "targeting": {"age_min": 16, "geo": ["US-CA"]},
            "assets": {"html": {"asset_type": "html", "content": "<html lang=en><title>x</title><p>Sale</p></html>"}},
            "landing_url": "https://shop.example/" + "long/" * 30,
        },
    )
    make_task("compliance_review", media_buy_id=task.media_buy_id)
    claim_task(make_task().pk, ana)
    comment_on_task(task.pk, cora, "@root please look")
    Phrase.objects.create(team=Team.objects.get(pk="compliance"), text="May run with the modifications below.")
    token, _text = tokens.issue("gam", bot.user, all_principals=True)
    problems: list[str] = []
    first = browser.new_page()
    sign_in(first, live_server.url, "root")
    state = first.context.storage_state()
    for theme in THEMES:
        context = browser.new_context(viewport=DESK, storage_state=state, color_scheme=theme)
        page = context.new_page()
        for url in pages(task.pk, ana.user.pk, token.pk):
            page.goto(live_server.url + url)
            expect(page.locator("html.dark")).to_have_count(1 if theme == "dark" else 0)
            problems += faults_of_the_page(page, theme)
            if url.startswith(f"{QUEUE}{task.pk}"):
                choose(page, "reject")
                page.locator("#dialog-reject .c-more summary").click()
                problems += [f"desk {theme} dialog {fault}" for fault in faults(page, RULES[theme])]
                if theme == "light":
                    page.set_viewport_size(PHONE)
                    problems += [f"phone dialog {fault}" for fault in faults(page)]
                    page.set_viewport_size(DESK)
        if theme == "light":  # the negative control: a button without a name, in a page too wide for a phone
            page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button style=\"width: 900px\"></button>')")
            found = faults_of_the_page(page, theme)
            assert any("button-name" in fault for fault in found)
            assert any("phone scrolls sideways" in fault for fault in found)
            assert not any("desk light scrolls sideways" in fault for fault in found)
        context.close()
    assert problems == []


def test_its_other_pages_are_for_everyone(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, root: Actor, ana: Actor
) -> None:
    alike = [make_task(error_detail="Format video_hosted is not auto-approved.") for _ in range(3)]
    decide_task(make_task().pk, ana, Decision("approved"))
    calendar = BusinessCalendar(
        slug="berlin", name="Berlin", time_zone="Europe/Berlin", weekly_hours={"mon": [["09:00", "17:00"]]}
    )
    save_calendar(calendar)
    policy = SLAPolicy(name="Creatives", task_type_id="creative_approval", to_resolve_minutes=480, calendar=calendar)
    save_policy(policy)
    problems: list[str] = []
    first = browser.new_page()
    sign_in(first, live_server.url, "root")
    state = first.context.storage_state()
    for theme in THEMES:
        context = browser.new_context(viewport=DESK, storage_state=state, color_scheme=theme)
        page = context.new_page()
        for url in other_pages(policy.pk, alike[0].similarity_key):
            page.goto(live_server.url + url)
            problems += faults_of_the_page(page, theme)
        context.close()
    assert problems == []


def test_it_needs_no_mouse(live_server: Any, page: Page, make_task: NewTaskFactory, people: Any) -> None:
    task = make_task(creative_id="cr_1", context_data={"image": "https://cdn.nowhere.invalid/a.png"})
    Phrase.objects.create(team=Team.objects.get(pk="creative-review"), text="The logo is cut off.")
    page.route(
        "**/a.png", lambda route: route.fulfill(status=200, content_type="image/gif", body=b"GIF89a\x01\x00\x01\x00")
    )
    sign_in(page, live_server.url, "ana")
    page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    reject = page.locator("[data-opens=dialog-reject]")
    for _ in range(60):
        page.keyboard.press("Tab")
        if reject.evaluate("node => node === document.activeElement"):
            break
    expect(reject).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"
    page.keyboard.press("Enter")
    feedback = page.locator("#dialog-reject").get_by_label("Feedback")
    expect(feedback).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(feedback).to_have_value("The logo is cut off.")
    expect(feedback).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Rejected.")).to_be_visible()
    task.refresh_from_db()
    assert (task.resolution, task.resolution_detail) == ("rejected", "The logo is cut off.")


def test_it_shows_times_in_the_zone_of_the_browser(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: Any
) -> None:
    task = make_task()
    context = browser.new_context(timezone_id="Asia/Kathmandu", locale="de-DE")
    page = context.new_page()
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=username]", "ana")
    page.fill("[name=password]", "a long enough pass phrase")
    page.press("[name=password]", "Enter")
    page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
    assert "+0545" in (page.locator(".c-task-labels time").get_attribute("title") or "")
    assert page.locator("html").get_attribute("lang") == "de"
    context.close()


def test_it_shows_an_administrator_what_a_change_would_do(
    live_server: Any, page: Page, make_task: NewTaskFactory, people: Any
) -> None:
    make_task()
    sign_in(page, live_server.url, "root")
    address = f"{live_server.url}/admin/tasks_app/tasktype/creative_approval/change/"
    page.goto(address)
    preview = page.locator("[data-preview]")
    page.get_by_label("Question").fill("May it run at night?")
    page.get_by_label("Instructions").fill("Look **twice**.")
    expect(preview.locator("strong", has_text="twice")).to_be_visible()
    expect(preview).to_contain_text("May it run at night?")
    page.get_by_label("Rejected").uncheck()
    expect(preview.get_by_text("Reject")).to_have_count(0)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="This is what would happen")).to_be_visible()
    expect(page.get_by_text("also not the 1 open task of this type")).to_be_visible()
    page.get_by_role("link", name="Leave it as it is").click()
    expect(page.get_by_label("Question")).to_have_value("May this creative run?")
    page.get_by_label("Rejected").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Yes, change it").click()
    page.wait_for_url("**/tasktype/")
    page.goto(address)
    expect(page.get_by_label("Rejected")).not_to_be_checked()
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.locator(".c-history")).to_contain_text("root changed it")
    expect(page.get_by_role("link", name="Audit log", exact=True)).to_be_visible()
