"""Figures over HTTP: for people of the house, decisions by person for leads, Prometheus by its own token."""

import pytest
from django.test import Client
from pytest_django import Settings

from tests.api.conftest import ClientFactory

SUMMARY = "/api/v1/metrics/summary/"


def test_it_shows_figures_to_people_and_decisions_to_leads(api: ClientFactory) -> None:
    assert api("bot").get(SUMMARY).status_code == 403
    assert api("").get(SUMMARY).status_code == 401
    member, lead = api("ana").get(SUMMARY), api("sam").get(SUMMARY)
    assert (member.status_code, lead.status_code) == (200, 200)
    assert ("decisions" in member.json(), "decisions" in lead.json()) == (False, True)
    assert {"outbox_events", "pending_deliveries", "oldest_delivery_seconds"} <= member.json()["outgoing"].keys()
    assert api("ana").get(SUMMARY, {"hours": 0}).status_code == 400


@pytest.mark.django_db
def test_it_serves_prometheus_behind_its_own_token(settings: Settings) -> None:
    settings.HITL_METRICS_TOKEN = ""
    assert Client().get("/metrics").status_code == 404
    settings.HITL_METRICS_TOKEN = "a token for the scraper"
    assert Client().get("/metrics").status_code == 401
    scraped = Client().get("/metrics", headers={"Authorization": "Bearer a token for the scraper"})
    assert scraped.status_code == 200
    assert scraped["Content-Type"].startswith("text/plain")
    assert b"hitl_overdue_tasks 0.0" in scraped.content
