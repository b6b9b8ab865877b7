"""The creative on the task page, and the sandbox in which its code runs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app.actors import Actor
from tasks_app.admin import creative
from tasks_app.models import HumanTask, TeamMembership, User
from tests.admin.conftest import ClientFor, page_of, text_of
from tests.cast import NewTaskFactory

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
CODE = "<!doctype html><title>x</title><script>document.title = 'ran'</script>"


def shown(task: HumanTask, client: Client) -> Any:
    return client.get(page_of(task)).context["creative"]


def frame_of(task: HumanTask, client: Client) -> str:
    (frame,) = [look.frame for look in shown(task, client).looks if look.frame]
    return str(frame)


def test_it_shows_media_texts_and_where_a_click_leads(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(
        context_data={
            "format_id": "display_300x250_image",
            "assets": {
                "banner_image": {"asset_type": "image", "url": PIXEL, "width": 300, "height": 250},
                "spot": {"asset_type": "video", "url": "https://cdn.example/a.mp4"},
                "jingle": {"asset_type": "audio", "url": "https://cdn.example/a.mp3"},
                "headline": {"asset_type": "text", "content": "Never refill paper again"},
                "click_url": {"asset_type": "url", "url": "https://shop.example/"},
                "impression_tracker": {"asset_type": "pixel_tracker", "url": "https://t.example/p"},
            },
        }
    )
    page = client_for("ana").get(page_of(task))
    body = page.content.decode()
    assert f'<img src="{PIXEL}"' in body
    assert '<video src="https://cdn.example/a.mp4" controls' in body
    assert '<audio src="https://cdn.example/a.mp3" controls' in body
    assert 'referrerpolicy="no-referrer"' in body
    for said in (
        "300 × 250",
        "Never refill paper again",
        "https://shop.example/ not followed",
        "https://t.example/p not loaded",
    ):
        assert said in text_of(page)
    for outside in ("https://shop.example/", "https://t.example/p"):
        assert f'="{outside}"' not in body


def test_it_lets_pages_of_tasks_load_media_but_no_script_from_outside(
    make_task: NewTaskFactory, client_for: ClientFor, settings: Any
) -> None:
    client, task = client_for("ana"), make_task()

    def policy(url: str) -> dict[str, str]:
        rules = client.get(url)["Content-Security-Policy"].split("; ")
        return {name: rest for name, _, rest in (rule.partition(" ") for rule in rules)}

    settings.HITL_HTTPS = True
    there, home = policy(page_of(task)), policy("/admin/")
    assert there["img-src"] == there["media-src"] == "'self' data: https:"
    assert there["frame-src"] == "'self'"
    assert there["script-src"] == home["script-src"] == "'self' 'unsafe-eval'"
    assert there["default-src"] == "'self'"
    assert "https:" not in home["img-src"]
    settings.HITL_HTTPS = False
    assert policy(page_of(task))["img-src"] == "'self' data: https: http:"


def test_it_says_which_media_it_does_not_load(make_task: NewTaskFactory, client_for: ClientFor, settings: Any) -> None:
    settings.HITL_HTTPS = True
    task = make_task(context_data={"image_url": "http://cdn.example/a.png"})
    page = client_for("ana").get(page_of(task))
    assert "Not loaded: its address is not https." in text_of(page)
    assert 'src="http://cdn' not in page.content.decode()
    nothing = make_task(creative_id="cr_1", context_data={"format_id": "display_html"})
    assert "The adapter sent nothing of the creative that can be shown here." in text_of(
        client_for("ana").get(page_of(nothing))
    )


def test_it_runs_code_in_a_sandbox_of_its_own(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(context_data={"html": CODE})
    page = client_for("ana").get(page_of(task)).content.decode()
    (tag,) = re.findall(r"<iframe[^>]*>", page)
    assert 'sandbox="allow-scripts"' in tag
    answer = Client().get(frame_of(task, client_for("ana")))
    assert answer.content.decode() == CODE
    rules = answer["Content-Security-Policy"].split("; ")
    assert "sandbox allow-scripts" in rules
    for rule in (
        "default-src 'none'",
        "connect-src 'none'",
        "form-action 'none'",
        "frame-src 'none'",
        "base-uri 'none'",
    ):
        assert rule in rules
    assert "frame-ancestors 'self'" in rules
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    assert "Cookie" not in answer.get("Vary", "")


@pytest.mark.parametrize(
    ("context", "inside"),
    [
        ({"tag": "<ins class=ad></ins>"}, "<ins class=ad></ins>"),
        ({"javascript": "go();"}, "<script>go();</script>"),
        (
            {"assets": {"js": {"asset_type": "javascript", "url": "https://c.example/a.js"}}},
            '<script src="https://c.example/a.js"></script>',
        ),
        (
            {"assets": {"page": {"asset_type": "html", "url": "https://c.example/?a=1&b=2"}}},
            '<iframe src="https://c.example/?a=1&amp;b=2" sandbox="allow-scripts"',
        ),
    ],
)
def test_it_frames_tags_scripts_and_pages(
    context: dict[str, Any], inside: str, make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    task = make_task(context_data=context)
    answer = Client().get(frame_of(task, client_for("ana")))
    assert inside in answer.content.decode()
    assert "sandbox allow-scripts" in answer["Content-Security-Policy"]


def test_it_answers_alike_whatever_is_wrong_with_the_address(
    make_task: NewTaskFactory, client_for: ClientFor, people: dict[str, User]
) -> None:
    task = make_task(context_data={"html": CODE, "image": PIXEL})
    good = frame_of(task, client_for("ana"))
    signed = good.split("/")[2]
    stranger = creative.frame_url(task, 1, Actor(user=people["zoe"]))
    image = creative.frame_url(task, 0, Actor(user=people["ana"]))
    beyond = creative.frame_url(task, 9, Actor(user=people["ana"]))
    forged = f"/creative/{signed[:-1]}{'A' if signed[-1] != 'A' else 'B'}/"
    answers = [Client().get(url) for url in (stranger, image, beyond, forged, "/creative/x/")]
    assert {(a.status_code, a.content, a["Content-Security-Policy"]) for a in answers} == {
        (404, answers[0].content, answers[0]["Content-Security-Policy"])
    }
    assert b"expired" in answers[0].content
    assert Client().get(good).status_code == 200
    TeamMembership.objects.filter(user=people["ana"]).delete()
    assert Client().get(good).status_code == 404, "who may no longer see the task sees no creative either"


def test_its_address_expires(make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(context_data={"html": CODE})
    url = frame_of(task, client_for("ana"))
    later = (clock.now() + timedelta(seconds=creative.GOOD_FOR_SECONDS + 2)).timestamp()
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    assert Client().get(url).status_code == 404


def test_it_asks_the_database_no_more_for_a_creative(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    plain, rich = (
        make_task(),
        make_task(context_data={"html": CODE, "images": [f"https://c.example/{n}.png" for n in range(30)]}),
    )
    counts = []
    for task in (plain, rich):
        client = client_for("ana")
        with CaptureQueriesContext(connection) as captured:
            client.get(page_of(task))
        counts.append(len(captured))
    assert counts[0] == counts[1]
