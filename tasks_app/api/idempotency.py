"""`Idempotency-Key` on POST: the same key and body have their effect once, and the first answer is replayed.

After the IETF draft "The Idempotency-Key HTTP Header Field": another body under the same key is refused (422), a twin
in flight is waited for (5 s, then 409), answers other than 2xx are not kept. The record is written in the same
transaction as the effect, so that a crash leaves both or neither. Scoped by user; kept 72 hours
(tasks_app/housekeeping.py).
"""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

import orjson
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, crypto
from core.api.renderer import dumps
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.api.actors import actor_of
from tasks_app.exceptions import Conflict, InvalidInput, TaskError, TaskNotFound
from tasks_app.models import IdempotencyRecord, User

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
WAIT: Final = "5s"

Handler = Callable[..., Response]


class KeyReused(TaskError):
    """This Idempotency-Key was used with another request. Take a new key for a new request."""

    code = "idempotency_key_reused"
    status = 422


class SecretAlreadyShown(TaskError):
    """The first answer carried a secret, which is not kept. Make a new one."""

    code = "secret_already_shown"
    status = 409


class InFlight(Conflict):
    """The first request with this Idempotency-Key is still running. Try again in a moment."""

    code = "request_in_flight"


def still_visible(actor: Actor, answer: dict[str, Any]) -> bool:
    """What was answered then may be out of sight now."""
    task_id = answer.get("task_id")
    return task_id is None or selectors.visible_tasks(actor).filter(pk=task_id).exists()


def idempotent(
    handler: Handler, *, secret: bool = False, may_replay: Callable[[Actor, dict[str, Any]], bool] = still_visible
) -> Handler:
    """Decorate a view's `post`. With `secret` the answer is not kept, and its replay is a 409.

    Rights are checked again at a replay by `may_replay(actor, answer)`; without them it is a 404.
    """

    @wraps(handler)
    def wrapped(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        raw = request.headers.get(HEADER)
        if raw is None:
            return handler(view, request, *args, **kwargs)
        if not _KEY.fullmatch(raw):
            raise InvalidInput(HEADER, _("give 1 to 255 visible ASCII characters, such as a UUID."))
        key, fingerprint = crypto.token_digest(raw), _fingerprint(request)
        try:
            with transaction.atomic():
                record = _reserve(request, key, fingerprint)
                response = handler(view, request, *args, **kwargs)
                if not secret:
                    record.status = response.status_code
                    record.body = dumps(response.data) if response.data is not None else b""
                    record.save(update_fields=["status", "body"])
                return response
        except _Taken:
            return _replay(request, key, fingerprint, may_replay)

    return wrapped


class _Taken(Exception):
    """The key has its record already."""


def _fingerprint(request: Request) -> str:
    body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"\0".join([str(request.method).encode(), request.path.encode(), body])).hexdigest()


def _reserve(request: Request, key: str, fingerprint: str) -> IdempotencyRecord:
    """Insert the record; the unique key makes a twin wait for the first one's commit."""
    record = IdempotencyRecord(
        user=cast("User", request.user), key=key, fingerprint=fingerprint, created_at=clock.now()
    )
    _limit_wait(WAIT)
    try:
        with transaction.atomic():
            record.save(force_insert=True)
    except IntegrityError:
        raise _Taken from None
    except OperationalError as error:
        if "lock" in str(error).lower():
            raise InFlight from None
        raise
    _limit_wait("0")
    return record


def _limit_wait(how_long: str) -> None:
    if connection.vendor == "postgresql":  # SQLite waits by its busy timeout
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [how_long])


def _replay(
    request: Request, key: str, fingerprint: str, may_replay: Callable[[Actor, dict[str, Any]], bool]
) -> Response:
    record = IdempotencyRecord.objects.filter(user=actor_of(request).user, key=key).first()
    if record is None:
        # Thrown away between our insert and now: its 72 hours are over, and the key is free again.
        raise InFlight
    if record.fingerprint != fingerprint:
        raise KeyReused
    if record.status is None:
        raise SecretAlreadyShown
    answer = orjson.loads(record.body) if record.body else None
    headers = {"Idempotent-Replayed": "true"}
    if answer is not None:
        if not may_replay(actor_of(request), answer):
            raise TaskNotFound
        if "version" in answer:
            headers["ETag"] = f'"{answer["version"]}"'
    return Response(answer, status=record.status, headers=headers)
