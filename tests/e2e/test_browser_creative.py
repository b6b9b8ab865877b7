"""Creatives in a real browser: everything for the decision on one screen, and hostile code that reaches nothing."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, expect

from tasks_app.admin import creative
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_review import QUEUE, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

SVG = (
    (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='970' height='600'%3E"
        "%3Crect width='970' height='600' fill='teal'/%3E%3C/svg%3E"
    )
    .replace(" ", "%20")
    .replace("'", "%27")
)

LEADING_AWAY = ('"popup"', '"top"', '"form"', '"click"')
# It tries everything and writes down what worked; what it cannot write to the console it keeps in its own title.
HOSTILE = """<!doctype html><html><body>
<a id="go" href="/admin/logout/" target="_top">win</a>
<form id="steal" action="/admin/tasks_app/humantask/next/" method="post" target="_top"><input name="x"></form>
<script>
  const worked = [];
  function attempt(name, act) { try { if (act()) worked.push(name); } catch (error) { /* refused */ } }
  attempt("cookie", () => document.cookie.includes("csrftoken"));
  attempt("storage", () => { localStorage.setItem("x", "1"); return true; });
  attempt("parent", () => window.parent !== window && window.parent.document.body.innerText.length > 0);
  attempt("opener", () => window.opener && window.opener.document.title);
  attempt("popup", () => window.open("/admin/") !== null);
  attempt("top", () => window.top !== window && (window.top.location = "/admin/logout/"));
  attempt("form", () => { document.getElementById("steal").submit(); return false; });
  attempt("click", () => { document.getElementById("go").click(); return false; });
  attempt("request", () => { const r = new XMLHttpRequest(); r.open("GET", "/admin/", false); r.send();
                             return r.status === 200 && r.responseText.includes("Human task"); });
  document.title = "ran:" + worked.join(",");
</script></body></html>"""


# The same, but for what leads away from the page: for looking at what it reads where it is a page of its own.
READER = "".join(line for line in HOSTILE.splitlines(True) if not any(name in line for name in LEADING_AWAY))


def frame_in(page: Page) -> Frame:
    frame = next(frame for frame in page.frames if "/creative/" in frame.url)
    frame.wait_for_function("document.title.startsWith('ran:')")
    return frame


def title_alone(page: Page, address: str) -> str:
    """What the code reports that runs as a page of its own, outside the frame."""
    alone = page.context.new_page()
    alone.goto(address)
    alone.wait_for_function("document.title.startsWith('ran:')")
    return alone.title()


def watched(browser: Browser) -> Page:
    """A page whose console may complain: the browser says there what it has refused."""
    return browser.new_context(viewport={"width": 1440, "height": 900}).new_page()


def test_it_keeps_hostile_code_from_the_console(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch, people: Any
) -> None:
    task = make_task(creative_id="cr_evil", context_data={"html": HOSTILE})
    page = watched(browser)
    sign_in(page, live_server.url, "ana")
    address = f"{live_server.url}{QUEUE}{task.pk}/change/"
    popups: list[Any] = []
    page.context.on("page", lambda opened: popups.append(opened))
    page.goto(address)
    frame = frame_in(page)
    assert frame.title() == "ran:", "inside the console nothing of it works"
    assert (page.url, len(popups)) == (address, 0)
    expect(page.locator("[data-opens=dialog-approve]")).to_be_in_viewport(ratio=1)
    # Opened by itself, outside the frame, it is in the sandbox all the same: the answer's header sees to it.
    reader = make_task(creative_id="cr_reader", context_data={"html": READER})
    page.goto(f"{live_server.url}{QUEUE}{reader.pk}/change/")
    address = frame_in(page).url
    assert title_alone(page, address) == "ran:"
    # The negative control: without that header the same code has our origin, and reads the console's cookie.
    monkeypatch.setattr(creative, "SANDBOX", "")
    assert "cookie" in title_alone(page, address)
    page.context.close()


def test_it_shows_creative_and_decision_without_scrolling(
    live_server: Any, browser: Browser, make_task: NewTaskFactory, people: Any
) -> None:
    long = "The ad server refused this for a reason that it explains at length. " * 30
    picture = {"assets": {"banner_image": {"asset_type": "image", "url": SVG, "width": 970, "height": 600}}}
    tall = {"html": "<body style='background:gold'><h1>Sale</h1>", "width": 160, "height": 600}
    film = {"assets": {"video": {"url": "https://cdn.nowhere.invalid/a.mp4"}}}
    page = watched(browser)
    sign_in(page, live_server.url, "ana")
    for context, look in ((picture, ".c-look img"), (tall, ".c-frame"), (film, ".c-look-broken")):
        task = make_task(creative_id="cr_1", error_detail=long, media_buy_id="mb_1", context_data=context)
        page.goto(f"{live_server.url}{QUEUE}{task.pk}/change/")
        expect(page.locator(look)).to_be_in_viewport(ratio=1)
        for verb in ("approve", "reject", "cannot-complete"):
            expect(page.locator(f"[data-opens=dialog-{verb}]")).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("heading", name="May this creative run?")).to_be_in_viewport(ratio=1)
        assert page.evaluate("window.scrollY") == 0
    expect(page.get_by_text("It could not be loaded from this address.")).to_be_visible()
    assert page.locator(".c-frame iframe").count() == 0
    page.context.close()
