"""Sixty script payloads in every text that a person, an adapter or a receiver can set: no page of the console gains an
element or an attribute by them. The pages are those of the URL conf, so that a new one cannot be forgotten.
"""

import re
from typing import Any, Final

import pytest
from django.urls import reverse

from tasks_app.actors import Actor
from tests.admin.conftest import ClientFor
from tests.admin.furnished import Furnished, addresses
from tests.admin.test_hostile_texts import PAYLOADS, Danger
from tests.cast import NewTaskFactory, add_to_team
from tests.profile import scaled

# So many rows of each model: after sixty, every column has held every payload.
ROWS: Final = scaled("PAYLOADS", 1, 60)
# What ends the session, and what a browser asks for without showing it.
LEFT_OUT: Final = {"logout", "jsi18n"}
# A GET of these changes nothing and leads to another page, or is refused: they answer POST alone.
SHOWN: Final = frozenset({200, 302, 400, 403, 404, 405})
# What members and leads see too; the rest refuses them (tests/admin/test_catalog.py).
OF_EVERYBODY: Final = re.compile(r"tasks_app_(humantask|phrase|quarter|user_mine)|index")


def payload(number: int, limit: int) -> str:
    """The payload of this number, or the next that is short enough; a few of them where there is room."""
    if limit >= 500:
        return "\n".join(PAYLOADS[(number + n) % len(PAYLOADS)] for n in range(6))[:limit]
    return next(text for n in range(len(PAYLOADS)) if len(text := PAYLOADS[(number + n) % len(PAYLOADS)]) <= limit)


def markup_of(response: Any) -> str:
    """The page, or the markup that an answer in JSON carries for the page's script."""
    if response.streaming or response.status_code == 302:
        return ""
    text = response.content.decode()
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("application/json"):
        card = response.json().get("card") if isinstance(response.json(), dict) else None
        return str(card["html"]) if card else ""
    assert kind.startswith("text/html"), kind
    return str(text)


def pages(console: Furnished, client_for: ClientFor) -> dict[tuple[str, str], str]:
    """Every page as an administrator, a lead and a member see it, by address (without ids) and reader."""
    found: dict[tuple[str, str], str] = {}
    for name, route in sorted(addresses().items()):
        if name in LEFT_OUT:
            continue
        for who in ("root", "sam", "ana"):
            if who != "root" and not OF_EVERYBODY.match(name):
                continue
            client = client_for(who)
            for args in console.places(name, route, every_row=who == "root"):
                response: Any = client.get(reverse(f"admin:{name}", args=args))
                assert response.status_code in SHOWN, (name, args, response.status_code)
                found[name, who] = found.get((name, who), "") + markup_of(response)
    for who in ("root", "ana"):
        found["console-my-notifications", who] = markup_of(client_for(who).get("/admin/my-notifications/"))
    return found


@pytest.fixture
def console(make_task: NewTaskFactory, actors: dict[str, Actor]) -> Furnished:
    add_to_team(actors["sam"].user, "leads", "lead")
    return Furnished(payload, make_task, actors, number=ROWS)


def dangers_in(markup: str) -> list[str]:
    danger = Danger()
    danger.feed(markup)
    return [found[:200] for found in danger.found]


@pytest.mark.once
@pytest.mark.django_db
def test_no_page_gains_an_element_or_an_attribute(console: Furnished, client_for: ClientFor) -> None:
    shown = pages(console, client_for)
    assert {where: found for where, markup in shown.items() if (found := dangers_in(markup))} == {}
    showing = {name for (name, _who), markup in shown.items() if "p0wn" in markup}
    assert len(showing) >= 50, f"hardly a page shows them: {sorted(showing)}"


@pytest.mark.once
@pytest.mark.django_db
def test_its_look_finds_them_where_a_page_does_not_escape(
    console: Furnished, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr("django.template.base.conditional_escape", str)
    for name in ("tasks_app_humantask_changelist", "tasks_app_humantask_change", "tasks_app_tasktype_history"):
        args = console.places(name, addresses()[name])[0]
        assert dangers_in(markup_of(client_for("root").get(reverse(f"admin:{name}", args=args)))), name
