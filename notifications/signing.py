"""Signatures of webhooks after Standard Webhooks 1.0 (symmetric, `v1`) and of the Ad Context Protocol. Pure.

The signature covers `id.timestamp.body` over the exact bytes that are sent, so that a receiver can tell a changed body,
a body under another id, and an old message sent again. Spec: https://www.standardwebhooks.com, "Signature scheme".
"""

import base64
import binascii
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from typing import Final

from core.errors import HitlError

PREFIX: Final = "whsec_"
TOLERANCE: Final = 300
"""Seconds a timestamp may be away from the receiver's clock."""

_SCHEME: Final = "v1,"
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


_CREDENTIALS = re.compile(r"[!-~]{32,512}")


class InvalidSecret(HitlError):
    """A webhook secret is 'whsec_' and the base64 of 24 to 64 random bytes."""

    code = "invalid_secret"


class InvalidSignature(HitlError):
    """The webhook's signature does not belong to this message."""

    code = "invalid_signature"


def new_secret() -> str:
    """A new signing secret: `whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode("ascii")


def key_of(secret: str) -> bytes:
    """The key inside a secret; raises `InvalidSecret`. The message never repeats the secret."""
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSecret from None
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise InvalidSecret
    return key


def sign(secrets: Sequence[str], msg_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt, with one signature per secret in the given order (in a rotation, newest first).

    `timestamp` is the attempt's time in seconds since 1970 (UTC); `msg_id` stays the same over all attempts, and has no
    full stop, which separates the signed parts.
    """
    if not secrets:
        raise InvalidSecret("An endpoint needs at least one secret to sign with.")
    if _MESSAGE_ID.fullmatch(msg_id) is None:
        raise ValueError("A message id is made of letters, digits, '_' and '-'.")
    return {
        "webhook-id": msg_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key_of(secret), msg_id, str(timestamp), body) for secret in secrets),
    }


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: int) -> None:
    """Raise `InvalidSignature` unless one of the secrets signed this message within `TOLERANCE` seconds of `now`."""
    given = {name.lower(): value for name, value in headers.items()}
    msg_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InvalidSignature("The header webhook-timestamp is missing or not a number of seconds.")
    if abs(now - int(timestamp)) > TOLERANCE:
        raise InvalidSignature(f"The webhook's timestamp is more than {TOLERANCE} s away from now.")
    expected = [_signature(key_of(secret), msg_id, timestamp, body).encode() for secret in secrets]
    # Compared as bytes: compare_digest refuses text that is not ASCII, which a sender could use to provoke an error.
    signatures = [signature.encode("utf-8", "replace") for signature in given.get("webhook-signature", "").split(" ")]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(matches):
        raise InvalidSignature


def new_credentials() -> str:
    """New credentials for the Ad Context Protocol: 32 random bytes as 64 hex digits, used as text."""
    return randomness.token_hex(32)


def check_credentials(credentials: str) -> None:
    """Raise `InvalidSecret` where credentials of the Ad Context Protocol are too weak to sign with.

    At least 32 characters, of which a good part differ: the specification rejects shorter and repeated ones.
    """
    if _CREDENTIALS.fullmatch(credentials) is None or len(set(credentials)) < 8:
        raise InvalidSecret("Give 32 to 512 random letters, digits and signs, without spaces.")


def sign_adcp(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The two headers of the Ad Context Protocol's HMAC-SHA256 scheme, over `{timestamp}.{raw body}`.

    adcontextprotocol/adcp@4439b187, docs/building/by-layer/L3/webhooks.mdx, "Legacy HMAC-SHA256 fallback". The key is
    the text of the credentials as it is. There is one signature, by the newest secret, also in a rotation.
    """
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256").hex()
    return {"x-adcp-signature": f"sha256={digest}", "x-adcp-timestamp": str(timestamp)}


def _signature(key: bytes, msg_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.digest(key, f"{msg_id}.{timestamp}.".encode("utf-8", "replace") + body, "sha256")
    return _SCHEME + base64.b64encode(digest).decode("ascii")
