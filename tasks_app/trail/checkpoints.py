"""Checkpoints: what the trail says now, signed with HITL_SIGNING_KEY (Ed25519), which the database does not hold.

Who can write the database can rewrite every hash in it, but cannot sign again. The last checkpoint is also kept in the
home folder, so that one taken away with everything after it, or an older copy of the database, is noticed.
"""

import base64
import json
import logging
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.db import transaction

from core import clock
from tasks_app import chain, events
from tasks_app.models import Checkpoint, FeedHead, TaskEvent
from tasks_app.trail.rows import audit_entries, compact, leaf, sha256

log = logging.getLogger(__name__)

FORM: Final = "hitl-checkpoint-1"
LIMIT: Final = 10_000  # events per checkpoint: about a megabyte of rows
BATCH: Final = 1_000
NOTHING: Final = "0" * 64  # the digest of a position that was empty when it was signed

# A checkpoint as it is sent and kept elsewhere: plain JSON values, without the rows.
Sent = dict[str, Any]


@lru_cache(maxsize=4)
def _private_key(text: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text))


def public_key() -> str:
    """The public half of HITL_SIGNING_KEY: 32 bytes in base64."""
    return base64.b64encode(_private_key(settings.HITL_SIGNING_KEY).public_key().public_bytes_raw()).decode()


def key_id(public: str) -> str:
    """A short name for a public key: the first 16 hex digits of its SHA-256."""
    return sha256(public)[:16]


def trusted_keys() -> dict[str, str]:
    """Key id -> public key: today's, and those retired by a rotation (HITL_RETIRED_SIGNING_KEYS)."""
    return {key_id(public): public for public in (*settings.HITL_RETIRED_SIGNING_KEYS, public_key())}


def catch_up() -> Checkpoint | None:
    """Give every committed event its position and sign all that no checkpoint covers yet; return the newest made."""
    while True:
        with transaction.atomic():
            if not events.assign_positions():
                break
    newest = None
    while (made := make()) is not None:
        newest = made
    return newest


def make(limit: int = LIMIT) -> Checkpoint | None:
    """Sign up to `limit` further positions. None where there are none, or where another process was faster."""
    last = latest()
    begin = last.to_position if last else 0
    end = min(FeedHead.objects.get(pk=1).last_position, begin + limit)
    if end <= begin:
        return None
    rows = rows_between(begin, end)
    checkpoint = Checkpoint(
        number=last.number + 1 if last else 1,
        from_position=begin,
        to_position=end,
        rows=rows,
        rows_digest=sha256(rows),
        previous=last.digest if last else "",
        made_at=clock.now(),
        key_id=key_id(public_key()),
    )
    text = signed_text(sent(checkpoint))
    checkpoint.digest = sha256(text)
    checkpoint.signature = base64.b64encode(_private_key(settings.HITL_SIGNING_KEY).sign(text.encode())).decode()
    with transaction.atomic():
        FeedHead.objects.select_for_update().get(pk=1)
        if Checkpoint.objects.filter(number=checkpoint.number).exists():
            return None
        checkpoint.save(force_insert=True)
        transaction.on_commit(partial(_keep, checkpoint))
    return checkpoint


def latest() -> Checkpoint | None:
    return Checkpoint.objects.order_by("-number").defer("rows").first()


def rows_between(begin: int, end: int) -> str:
    """One line `position task seq digest` for each position in (begin, end], as the database has them now."""
    lines: list[str] = []
    for start in range(begin, end, BATCH):
        stop = min(start + BATCH, end)
        found = {
            position: (event_id, task_id, seq, event_hash)
            for position, event_id, task_id, seq, event_hash in TaskEvent.objects.filter(
                outbox__position__gt=start, outbox__position__lte=stop
            ).values_list("outbox__position", "event_id", "task_id", "seq", "hash")
        }
        audited = audit_entries({task_id for _event_id, task_id, _seq, _hash in found.values()})
        for position in range(start + 1, stop + 1):
            if position not in found:
                log.error("position %d of the trail is empty: run `manage.py audit_verify`", position)
                lines.append(f"{position} - 0 {NOTHING}\n")
                continue
            event_id, task_id, seq, event_hash = found[position]
            lines.append(f"{position} {task_id} {seq} {leaf(event_hash, audited.get(event_id, []))}\n")
    return "".join(lines)


def sent(checkpoint: Checkpoint) -> Sent:
    """The checkpoint as it leaves the house."""
    return {
        "number": checkpoint.number,
        "from_position": checkpoint.from_position,
        "to_position": checkpoint.to_position,
        "rows_digest": checkpoint.rows_digest,
        "previous": checkpoint.previous,
        "made_at": chain.moment(checkpoint.made_at),
        "key_id": checkpoint.key_id,
        "digest": checkpoint.digest,
        "signature": checkpoint.signature,
    }


def signed_text(checkpoint: Sent) -> str:
    """The text whose SHA-256 is the digest and which the signature signs."""
    names = ("number", "from_position", "to_position", "rows_digest", "previous", "made_at", "key_id")
    return compact([FORM, *(checkpoint[name] for name in names)])


def signature_flaw(checkpoint: Sent, keys: dict[str, str]) -> str:
    """What is wrong with a checkpoint's digest or signature; empty if nothing is."""
    text = signed_text(checkpoint)
    if sha256(text) != checkpoint["digest"]:
        return "it was edited: its digest does not fit"
    if checkpoint["key_id"] not in keys:
        return f"it was signed with a key that is not trusted here ({checkpoint['key_id']})"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[checkpoint["key_id"]]))
    try:
        public.verify(base64.b64decode(checkpoint["signature"]), text.encode())
    except (InvalidSignature, ValueError):
        return "its signature is forged"
    return ""


def kept_at() -> Path:
    """Where the newest checkpoint made on this machine is kept beside the database."""
    return Path(settings.HITL_HOME) / "last-checkpoint.json"


def _keep(checkpoint: Checkpoint) -> None:
    """Copy a committed checkpoint to the home folder and to the log, whole or not at all."""
    text = json.dumps(sent(checkpoint))
    log.info("checkpoint %s", text)
    path = kept_at()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text + "\n")
    draft.replace(path)
