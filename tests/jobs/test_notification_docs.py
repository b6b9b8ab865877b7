"""The further channel of docs/notifications.md runs as it stands there."""

import re
from pathlib import Path

import pytest

from notifications import channel_services, relay
from notifications.channel_services import NewChannel
from notifications.channels import CHANNELS
from notifications.letters import offered
from notifications.models import FOR_PEOPLE
from tasks_app.actors import Actor
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Receiver

pytestmark = pytest.mark.django_db
PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()


def test_its_further_channel_is_a_small_class_and_needs_nothing_more(
    receiver: Receiver, root: Actor, make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    assert len(blocks[0].strip().splitlines()) <= 20
    monkeypatch.setattr("notifications.channels.CHANNELS", CHANNELS)
    try:
        exec(blocks[0], {"__name__": "example"})  # noqa: S102  # our own page
        assert ("ntfy", "ntfy") in channel_services.kinds()
        new = NewChannel("phone", "Phone", "ntfy", receiver.url, event_types=["task.created"])
        channel_services.create_channel(new, root)
        task = make_task(error_detail="Format not known")
        relay.drain()
        assert channel_services.send_test("phone", root).delivered
    finally:
        CHANNELS.pop("ntfy", None)
    told = receiver.messages[0]
    assert told.headers["x-title"] == "Human task"
    lines = told.body.decode().splitlines()
    assert lines[:2] == ["It was opened just now.", "Format not known"]
    assert lines[-1].endswith(f"/humantask/{task.pk}/change/")


def test_it_offers_every_event_that_people_can_choose() -> None:
    assert [event for event, _words in offered()] == [str(event) for event in FOR_PEOPLE]
