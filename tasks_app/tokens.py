"""Bearer tokens: making them, and finding who stands behind one. The secret is shown once; its SHA-256 is kept."""

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from core import clock, crypto
from core.recent import Recent
from tasks_app.actors import Actor, Grants, grants_of
from tasks_app.models import AdapterToken, Principal, User
from tasks_app.models.access import default_scopes

LABEL: Final = "hitl"
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


def issue(
    name: str,
    user: User,
    *,
    principals: Sequence[Principal] = (),
    all_principals: bool = False,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[AdapterToken, str]:
    """Make a token for `user`; return its row and the text to hand over, which nobody can read again."""
    prefix, secret = secrets.token_hex(6), crypto.new_secret()
    token = AdapterToken.objects.create(
        name=name,
        prefix=prefix,
        digest=crypto.token_digest(secret),
        user=user,
        scopes=list(default_scopes() if scopes is None else scopes),
        all_principals=all_principals,
        created_at=clock.now(),
        expires_at=expires_at,
    )
    token.principals.set(principals)
    return token, f"{LABEL}_{prefix}_{secret}"


def _look_up(digest: str, prefix: str) -> AdapterToken | None:
    token = AdapterToken.objects.select_related("user").filter(prefix=prefix).first()
    if token is None or not hmac.compare_digest(token.digest, digest):
        return None
    if token.user.kind == User.Kind.SERVICE and not token.all_principals:
        token.bound_to = frozenset(token.principals.values_list("pk", flat=True))
    return token


_tokens: Recent[str, AdapterToken | None] = Recent(_look_up)
_grants: Recent[int, Grants] = Recent(lambda _pk, user: grants_of(user))


def recent_grants(user: User) -> Grants:
    """`grants_of`, remembered for `HITL_LOOKUP_SECONDS`."""
    return _grants.get(user.pk, user)


def resolve(text: str) -> AdapterToken | None:
    """The live token that `text` is, or None: unknown, wrong, revoked, expired, or of an inactive user (all alike)."""
    label, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if label != LABEL or not prefix or not secret or len(text) > 200 or not (text.isascii() and text.isprintable()):
        return None
    token, now = _tokens.get(crypto.token_digest(secret), prefix), clock.now()
    if token is None or token.prefix != prefix:
        return None
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        return None
    if not token.user.is_active:
        return None
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        AdapterToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


def actor_behind(token: AdapterToken, *, address: str | None, correlation_id: str) -> Actor:
    """The actor of a token: a service user bound to scopes and principals, or a person with his or her own rights."""
    if token.user.kind == User.Kind.PERSON:
        return Actor(user=token.user, address=address, correlation_id=correlation_id, read_grants=recent_grants)
    return Actor(
        user=token.user,
        scopes=frozenset(token.scopes),
        principals=token.bound_to,
        address=address,
        correlation_id=correlation_id,
    )
