"""Signatures: what Standard Webhooks receivers accept, and what nobody may."""

import base64
import json
import random
from collections.abc import Callable

import pytest
import time_machine
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError as SvixError

from notifications import signing
from notifications.signing import InvalidSecret, InvalidSignature, new_secret, sign, verify

NOW = 1_790_000_000
CHARACTERS = 'abc "\\/<>{}\n\t\x7fäöüßñ日本語العربية🎯𝔘\u200b\u202e\u2028é́'
Message = tuple[str, int, bytes, str]


def messages(count: int) -> list[Message]:
    """Ids, times, bodies and secrets as they come: unicode raw and escaped, empty texts, long ones."""
    rng = random.Random(7)
    made = []
    for number in range(count):
        text = "".join(rng.choices(CHARACTERS, k=rng.choice([0, 1, 20, 400])))
        body = json.dumps({"type": "task.completed", "n": number, "detail": text}, ensure_ascii=bool(number % 2))
        secret = signing.PREFIX + base64.b64encode(rng.randbytes(rng.choice([24, 32, 64]))).decode()
        made.append((f"evt_{rng.randbytes(16).hex()}", NOW - rng.randint(0, 100), body.encode(), secret))
    return made


MESSAGES = messages(1000)


def library_accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def we_accept(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        verify([secret], headers, body, now=NOW)
    except InvalidSignature:
        return False
    return True


def svix_accepts(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        SvixWebhook(secret).verify(body, headers)
    except SvixError:
        return False
    return True


VERIFIERS = pytest.mark.parametrize("accepts", [library_accepts, svix_accepts, we_accept])
Accepts = Callable[[str, dict[str, str], bytes], bool]


@VERIFIERS
@time_machine.travel(NOW, tick=False)
def test_it_signs_a_thousand_payloads_that_verify(accepts: Accepts) -> None:
    accepted = [accepts(secret, sign([secret], msg_id, at, body), body) for msg_id, at, body, secret in MESSAGES]
    assert accepted.count(True) == 1000


def _other_id(message: Message, headers: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
    msg_id, _, body, secret = message
    return secret, headers | {"webhook-id": msg_id[:-1] + ("0" if msg_id[-1] != "0" else "1")}, body


def _other_time(message: Message, headers: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
    _, at, body, secret = message
    return secret, headers | {"webhook-timestamp": str(at + 1)}, body


def _other_body(message: Message, headers: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
    _, _, body, secret = message
    return secret, headers, body[:-1] + b" }"


def _other_secret(message: Message, headers: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
    _, _, body, _ = message
    return new_secret(), headers, body


@VERIFIERS
@pytest.mark.parametrize("tamper", [_other_id, _other_time, _other_body, _other_secret])
@time_machine.travel(NOW, tick=False)
def test_it_lets_no_tampered_message_verify(
    accepts: Accepts, tamper: Callable[[Message, dict[str, str]], tuple[str, dict[str, str], bytes]]
) -> None:
    refused = 0
    for message in MESSAGES:
        msg_id, at, body, secret = message
        refused += not accepts(*tamper(message, sign([secret], msg_id, at, body)))
    assert refused == 1000


@time_machine.travel(NOW, tick=False)
def test_it_would_pass_a_tampered_body_if_the_signature_left_the_body_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the tamper check fails as soon as the signature stops covering the body."""
    real = signing._signature
    monkeypatch.setattr(signing, "_signature", lambda key, msg_id, timestamp, body: real(key, msg_id, timestamp, b""))
    msg_id, at, body, secret = MESSAGES[0]
    assert we_accept(secret, sign([secret], msg_id, at, body), body + b" ")


@VERIFIERS
@time_machine.travel(NOW, tick=False)
def test_it_verifies_with_the_old_and_the_new_secret_while_they_rotate(accepts: Accepts) -> None:
    old, new = new_secret(), new_secret()
    headers = sign([new, old], "evt_1", NOW, b"{}")
    assert headers["webhook-signature"].count("v1,") == 2
    assert accepts(old, headers, b"{}")
    assert accepts(new, headers, b"{}")
    assert not accepts(new_secret(), headers, b"{}")


def test_it_gives_the_vector_of_the_specification() -> None:
    """Secret, message and signature as published with the Standard Webhooks libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_makes_secrets_of_32_random_bytes() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert {len(signing.key_of(secret)) for secret in made} == {32}


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_!!!",
        "whsec_c2hvcnQ=",
        "c2hvcnQ" * 6,
        "whsec_" + "A" * 100,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZ\r\n",
    ],
)
def test_it_refuses_a_weak_or_broken_secret_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidSecret) as caught:
        sign([secret], "evt_1", NOW, b"{}")
    assert "24 to 64" in caught.value.detail
    assert not secret.removeprefix("whsec_") or secret not in caught.value.detail


def test_it_refuses_to_send_unsigned() -> None:
    with pytest.raises(InvalidSecret):
        sign([], "evt_1", NOW, b"{}")


@pytest.mark.parametrize("msg_id", ["", "evt.1", "evt 1", "evt\r\nx: y", "évt", "a" * 201])
def test_it_refuses_a_message_id_that_blurs_what_was_signed(msg_id: str) -> None:
    with pytest.raises(ValueError, match="message id"):
        sign([new_secret()], msg_id, NOW, b"{}")


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "٣", str(NOW - 301), str(NOW + 301), "9" * 400])
def test_it_refuses_a_timestamp_that_is_old_future_or_no_number(timestamp: str) -> None:
    secret = new_secret()
    headers = sign([secret], "evt_1", NOW, b"{}") | {"webhook-timestamp": timestamp}
    with pytest.raises(InvalidSignature, match="timestamp"):
        verify([secret], headers, b"{}", now=NOW)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v2,abc", "v1,é", "v1,\udcff", " ", "v1a,x"])
def test_it_refuses_a_malformed_signature_without_another_error(signature: str) -> None:
    secret = new_secret()
    headers = sign([secret], "evt_1", NOW, b"{}") | {"Webhook-Signature": signature}
    with pytest.raises(InvalidSignature):
        verify([secret], headers, b"{}", now=NOW)
