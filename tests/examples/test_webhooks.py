"""The receiver believes only what the queue signed, and takes each message once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from examples import webhooks
from examples.webhooks import BadSignature, Receiver, verify
from examples.wire import send
from tests.examples.tiny_queue import SECRET

BODY = json.dumps({"type": "task.completed", "data": {"task_id": "task_1", "operation": "größer"}}).encode()


def signed(body: bytes = BODY, *, secret: str = SECRET, message_id: str = "evt_1", age: float = 0.0) -> dict[str, str]:
    now = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        server.secret = SECRET
        yield server


def deliver(receiver: Receiver, body: bytes, headers: dict[str, str]) -> int:
    return send("POST", receiver.url, body=body, headers=headers).status


def test_it_takes_a_signed_message(receiver: Receiver) -> None:
    assert deliver(receiver, BODY, signed()) == 204
    assert receiver.inbox.get(timeout=0)["data"]["task_id"] == "task_1"


def test_it_takes_a_message_once_however_often_it_comes(receiver: Receiver) -> None:
    for _ in range(3):
        assert deliver(receiver, BODY, signed()) == 204
    assert (receiver.inbox.qsize(), receiver.duplicates) == (1, 2)


def tampered() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Return deliveries changed on the way; signed now, since an old one would be refused for its age alone."""
    return {
        "body": (BODY.replace(b"task_1", b"task_2"), signed()),
        "spacing": (BODY.replace(b": ", b":"), signed()),
        "id": (BODY, {**signed(), "webhook-id": "evt_2"}),
        "timestamp": (BODY, {**signed(), "webhook-timestamp": str(int(datetime.now(UTC).timestamp()) - 60)}),
        "secret": (BODY, signed(secret="whsec_" + base64.b64encode(b"another secret, just as long").decode())),
        "old": (BODY, signed(age=600)),
        "future": (BODY, signed(age=-600)),
        "no signature": (BODY, {name: value for name, value in signed().items() if name != "webhook-signature"}),
        "no id": (BODY, {name: value for name, value in signed().items() if name != "webhook-id"}),
        "other version": (BODY, {**signed(), "webhook-signature": signed()["webhook-signature"].replace("v1,", "v2,")}),
        "malformed signature": (BODY, {**signed(), "webhook-signature": "nonsense"}),
        "not base64": (BODY, {**signed(), "webhook-signature": "v1,*"}),
        "bad timestamp": (BODY, {**signed(), "webhook-timestamp": "nan"}),
        "not UTF-8": (b"\xff\xfe", signed()),
        "empty": (b"", signed()),
    }


@pytest.mark.parametrize("case", tampered())
def test_it_refuses_a_tampered_message(receiver: Receiver, case: str) -> None:
    body, headers = tampered()[case]
    assert deliver(receiver, body, headers) == 401
    assert (receiver.inbox.qsize(), receiver.refused) == (0, 1)


@pytest.mark.parametrize("case", ["body", "id", "secret"])
def test_it_would_be_taken_in_without_the_verification(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(webhooks, "verify", lambda secret, body, headers: json.loads(body))
    body, headers = tampered()[case]
    assert deliver(receiver, body, headers) == 204
    assert receiver.inbox.qsize() == 1


def test_it_refuses_a_signed_body_that_is_no_object() -> None:
    with pytest.raises(BadSignature, match="not a JSON object"):
        verify(SECRET, b"[]", signed(b"[]"))


def test_it_takes_one_good_signature_among_several(receiver: Receiver) -> None:
    headers = signed()
    other = signed(secret="whsec_" + base64.b64encode(b"the next secret in rotation").decode())["webhook-signature"]
    assert deliver(receiver, BODY, {**headers, "webhook-signature": f"{other} {headers['webhook-signature']}"}) == 204


def test_it_asks_to_come_back_while_it_has_no_secret(receiver: Receiver) -> None:
    receiver.secret = ""
    assert deliver(receiver, BODY, signed()) == 503
    receiver.secret = SECRET
    assert deliver(receiver, BODY, signed()) == 204


def test_it_refuses_a_huge_body_unread(receiver: Receiver) -> None:
    assert send("POST", receiver.url, headers={"Content-Length": "64001"}).status == 413


def test_it_forgets_the_oldest_ids_first(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "REMEMBERED_IDS", 2)
    for message_id in ("evt_1", "evt_2", "evt_3", "evt_3", "evt_2"):
        assert deliver(receiver, BODY, signed(message_id=message_id)) == 204
    assert (receiver.inbox.qsize(), receiver.duplicates) == (3, 2)
