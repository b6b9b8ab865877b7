"""Alerts on the home page and in their list: everything for those who oversee, a lead's own tasks for the lead."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from notifications import alerts
from notifications.models import Alert, AlertRule
from tests.admin.conftest import ClientFor, text_of
from tests.cast import NewTaskFactory

ALERTS = "/admin/notifications/alert/"


def raised(make_task: NewTaskFactory, number: int) -> None:
    """Overdue tasks of the creative team and one of another, and an alert about the system."""
    Alert.objects.all().delete()
    long_ago = clock.now() - timedelta(days=9)
    with clock.at(long_ago):
        for _ in range(number):
            make_task(due_in_hours=1, priority=4)
        make_task("compliance_review", due_in_hours=1, priority=4)
    AlertRule.objects.exclude(kind="overdue").update(enabled=False)
    alerts.look(clock.now())
    Alert.objects.create(rule=AlertRule.objects.get(kind="silence"), text="beat is gone", opened_at=clock.now())


def shown(client: Client) -> str:
    """The figure of the card, or nothing."""
    page: Any = client.get("/admin/")
    return next((card.value for card in page.context["cards"] if "notifications/alert" in card.url), "")


def test_a_lead_sees_the_alerts_about_the_own_tasks(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    raised(make_task, 2)
    assert [shown(client_for(who)) for who in ("sam", "root", "ana", "zoe")] == ["2", "4", "", ""]
    said = text_of(client_for("sam").get(ALERTS))
    assert said.count("is past its deadline") == 2
    assert "Compliance" not in said
    assert "beat is gone" not in said
    assert "beat is gone" in text_of(client_for("root").get(ALERTS))
    assert client_for("ana").get(ALERTS).status_code == 403
    rules = "/admin/notifications/alertrule/"
    assert client_for("sam").get(rules).status_code == 403


def test_it_asks_as_many_questions_for_many_alerts_as_for_few(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    def asked(number: int) -> list[int]:
        raised(make_task, number)
        counts = []
        for url in ("/admin/", ALERTS):
            client = client_for("sam")
            client.get(url)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(url).status_code == 200
            counts.append(len(captured))
        return counts

    assert asked(2) == asked(12)
