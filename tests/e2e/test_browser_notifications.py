"""My notifications in a real browser: switched on, tried out with a message that arrives, and switched off."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from notifications import relay
from notifications.models import Channel
from tasks_app.actors import Actor
from tasks_app.services import assign_task
from tests.cast import NewTaskFactory
from tests.e2e.test_browser_review import sign_in, watched
from tests.jobs.mailbox import Mailbox, receiving_mail

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mail(settings: Any) -> Iterator[Mailbox]:
    with receiving_mail() as box:
        settings.HITL_EMAIL_URL = f"smtp://127.0.0.1:{box.port}"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        yield box


def test_a_reviewer_chooses_of_what_to_be_told(
    mail: Mailbox, live_server: Any, browser: Browser, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    page = watched(browser, viewport={"width": 1440, "height": 900})
    sign_in(page, live_server.url, "ana")
    page.get_by_role("link", name="My notifications").first.click()
    part = page.get_by_role("region", name="E-mail")
    expect(part).to_contain_text("not set up")
    expect(part).to_contain_text("Goes to ana@agency.example.")

    # Of assignments alone, and of nothing below high.
    for box in part.get_by_role("checkbox").all():
        box.uncheck()
    part.get_by_label("a task is assigned to me").check()
    part.get_by_label("Only from this priority on").select_option("3")
    part.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(part.get_by_text("on", exact=True)).to_be_visible()
    part.get_by_role("button", name="Send a test message").click()
    expect(page.get_by_text("The test message arrived (250).")).to_be_visible()
    assert [message["Subject"] for message in mail.messages] == ["A test of your notifications"]

    low, high = make_task(priority=2), make_task(priority=3, creative_id="cr_high")
    for task in (low, high):
        assign_task(task.pk, sam, assigned_to="ana")
    relay.drain()
    assert [message["Subject"] for message in mail.messages[1:]] == ["High: Creative approval for Acme Corp"]

    # What was chosen stands there again; switched off, nothing is sent.
    page.reload()
    expect(part.get_by_label("a task is assigned to me")).to_be_checked()
    expect(part.get_by_label("a task is escalated to my team")).not_to_be_checked()
    part.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("It is switched off.")).to_be_visible()
    expect(part.get_by_text("off", exact=True)).to_be_visible()
    assign_task(make_task(priority=4).pk, sam, assigned_to="ana")
    relay.drain()
    assert len(mail.messages) == 2
    assert Channel.objects.get().person == ana.user
    page.context.close()
