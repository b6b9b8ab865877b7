"""Sealing and digests. The keys come from the settings; nothing here touches the database.

Key ring: `HITL_ENCRYPTION_KEYS` holds Fernet keys, newest first. The first one seals, all of them open (MultiFernet),
so a key rotates by putting a new one in front. Keyed digests use `HITL_DIGEST_KEY`, which must stay the same for as
long as the digests are compared.
"""

import hashlib
import hmac
import secrets
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(text: str) -> bytes:
    """Encrypt `text` with the newest key."""
    return _ring(tuple(settings.HITL_ENCRYPTION_KEYS)).encrypt(text.encode("utf-8"))


def unseal(sealed: bytes) -> str:
    """Decrypt what `seal` made. Raises `cryptography.fernet.InvalidToken` if no key of the ring fits."""
    return _ring(tuple(settings.HITL_ENCRYPTION_KEYS)).decrypt(bytes(sealed)).decode("utf-8")


def keyed_digest(*parts: str) -> str:
    """HMAC-SHA-256 over the length-prefixed parts, as 64 hex digits: equal inputs meet, the input stays unknown."""
    mac = hmac.new(settings.HITL_DIGEST_KEY.encode("utf-8"), digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode("utf-8")
        mac.update(len(data).to_bytes(4, "big") + data)
    return mac.hexdigest()


def token_digest(secret: str) -> str:
    """SHA-256 of a random secret, as 64 hex digits. Enough for 256 random bits; passwords need more."""
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()


def new_secret() -> str:
    """32 random bytes, URL-safe."""
    return secrets.token_urlsafe(32)
