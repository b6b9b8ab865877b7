"""The attacks of test_tamper.py: what somebody does who can write the database, and which checks find it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auditlog.models import LogEntry
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection

from core import guards
from tasks_app import chain
from tasks_app.models import Checkpoint, EventOutbox, TaskEvent
from tasks_app.trail import checkpoints, verify
from tasks_app.trail.checkpoints import Sent
from tasks_app.trail.rows import sha256

EVENTS, AUDIT, OUTBOX = "tasks_app_taskevent", "auditlog_logentry", "tasks_app_eventoutbox"
CHECKPOINTS, TASKS = "tasks_app_checkpoint", "tasks_app_humantask"


@dataclass
class Trail:
    """Nine events of three tasks under three checkpoints, and one event that no checkpoint covers yet."""

    a: str  # created, claimed, started, failed
    b: str  # created, two comments; the other two tasks' events lie between them
    c: str  # created, two comments; the second is not covered
    kept: Sent

    def event(self, task: str, seq: int) -> TaskEvent:
        return TaskEvent.objects.get(task_id=getattr(self, task), seq=seq)

    def report(self) -> verify.Report:
        return verify.verify(against={"the kept one": self.kept})


def execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def lift(table: str) -> None:
    if connection.vendor == "postgresql":
        connection.check_constraints()
    guards.remove(table, connection=connection)


def copy_of(event: TaskEvent, **forged: str) -> str:
    """SELECT an event's row with some columns replaced by SQL expressions."""
    columns = [str(field.column) for field in TaskEvent._meta.concrete_fields]
    return (
        f"({', '.join(columns)}) SELECT {', '.join(forged.get(column, column) for column in columns)} FROM {EVENTS} "
        f"WHERE event_id = '{event.pk}'"
    )


# -- the attacks -----------------------------------------------------------------------------------------------------


def update(trail: Trail) -> None:
    execute(f"UPDATE {EVENTS} SET reason = 'never said' WHERE event_id = %s", trail.event("a", 4).pk)


def delete(trail: Trail) -> None:
    execute(f"DELETE FROM {EVENTS} WHERE event_id = %s", trail.event("a", 2).pk)


def empty(trail: Trail) -> None:
    if connection.vendor == "postgresql":
        connection.check_constraints()  # TRUNCATE waits for no pending checks
        execute(f"TRUNCATE {EVENTS}")
    else:
        execute(f"DELETE FROM {EVENTS}")


def replace(trail: Trail) -> None:
    execute(f"REPLACE INTO {EVENTS} " + copy_of(trail.event("a", 4), reason="'never said'"))


def upsert(trail: Trail) -> None:
    execute(
        f"INSERT INTO {EVENTS} {copy_of(trail.event('a', 4))} "
        "ON CONFLICT (event_id) DO UPDATE SET reason = 'never said'"
    )


def drop_the_trigger_and_edit(trail: Trail) -> None:
    lift(EVENTS)
    update(trail)


def drop_the_trigger_and_delete(trail: Trail) -> None:
    lift(EVENTS)
    delete(trail)


def reorder_two(trail: Trail) -> None:
    second, third = trail.event("a", 2).pk, trail.event("a", 3).pk
    for pk, seq in ((second, 99), (third, 2), (second, 3)):
        execute(f"UPDATE {EVENTS} SET seq = %s WHERE event_id = %s", seq, pk)


def swap_between_tasks(trail: Trail) -> None:
    ours, theirs = trail.event("a", 2).pk, trail.event("b", 2).pk
    for pk, task in ((ours, "nobody"), (theirs, trail.a), (ours, trail.b)):
        execute(f"UPDATE {EVENTS} SET task_id = %s WHERE event_id = %s", task, pk)


def delete_the_first(trail: Trail) -> None:
    execute(f"DELETE FROM {EVENTS} WHERE event_id = %s", trail.event("b", 1).pk)


def delete_the_last(trail: Trail) -> None:
    execute(f"DELETE FROM {EVENTS} WHERE event_id = %s", trail.event("b", 3).pk)


def delete_the_last_and_every_trace(trail: Trail) -> None:
    forget(trail.event("b", 3))


def forget(event: TaskEvent) -> None:
    execute(f"DELETE FROM {EVENTS} WHERE event_id = %s", event.pk)
    execute(f"DELETE FROM {OUTBOX} WHERE event_id = %s", event.pk)
    entries = LogEntry.objects.filter(object_pk=event.task_id)
    ids = [entry.pk for entry in entries if entry.additional_data["event_id"] == event.pk]
    execute(f"DELETE FROM {AUDIT} WHERE id = %s", *ids)
    execute(
        f"UPDATE {TASKS} SET last_event_seq = %s, last_event_hash = %s WHERE task_id = %s",
        event.seq - 1,
        event.prev_hash,
        event.task_id,
    )


def insert_a_forged_one(trail: Trail) -> None:
    last = trail.event("b", 3)
    forged = TaskEvent(**{f.attname: getattr(last, f.attname) for f in TaskEvent._meta.concrete_fields})
    forged.event_id, forged.seq, forged.prev_hash, forged.reason = (
        "evt_forged",
        4,
        last.hash,
        "go ahead, says the buyer",
    )
    forged.hash = _hash(forged)
    forged.save(force_insert=True)


def change_the_actor(trail: Trail) -> None:
    other = trail.event("b", 1).actor_id
    execute(f"UPDATE {EVENTS} SET actor_id = %s WHERE event_id = %s", other, trail.event("a", 4).pk)


def change_the_time(trail: Trail) -> None:
    event = trail.event("a", 4)
    execute(f"UPDATE {EVENTS} SET at = %s WHERE event_id = %s", trail.event("a", 1).at, event.pk)


def edit_and_rehash_one(trail: Trail) -> None:
    event = trail.event("a", 2)
    event.reason = "never said"
    execute(f"UPDATE {EVENTS} SET reason = %s, hash = %s WHERE event_id = %s", event.reason, _hash(event), event.pk)


def edit_and_rehash_all(trail: Trail) -> None:
    """A thorough one: the event, every hash behind it, the task's head and the audit entry."""
    update_and_rehash(trail.a, "never said")


def update_and_rehash(task_id: str, reason: str) -> None:
    previous = ""
    for event in TaskEvent.objects.filter(task_id=task_id).order_by("seq"):
        event.prev_hash, event.reason = previous, reason
        previous = _hash(event)
        sql = f"UPDATE {EVENTS} SET reason = %s, prev_hash = %s, hash = %s WHERE event_id = %s"
        execute(sql, reason, event.prev_hash, previous, event.pk)
    execute(f"UPDATE {TASKS} SET last_event_hash = %s WHERE task_id = %s", previous, task_id)
    for entry in LogEntry.objects.filter(object_pk=task_id):
        LogEntry.objects.filter(pk=entry.pk).update(additional_data={**entry.additional_data, "reason": reason})


def _hash(event: TaskEvent) -> str:
    return chain.link(
        event.prev_hash,
        event_id=event.event_id,
        task_id=event.task_id,
        seq=event.seq,
        type=event.type,
        actor_id=event.actor_id,
        on_behalf_of_id=event.on_behalf_of_id,
        reason=event.reason,
        at=event.at,
        from_status=event.from_status,
        to_status=event.to_status,
        snapshot=bytes(event.snapshot),
    )


def edit_the_address_of_an_audit_entry(trail: Trail) -> None:
    execute(f"UPDATE {AUDIT} SET remote_addr = '6.6.6.6' WHERE object_pk = %s", trail.a)


def edit_the_actor_of_an_audit_entry(trail: Trail) -> None:
    execute(f"UPDATE {AUDIT} SET actor_id = %s WHERE object_pk = %s", trail.event("b", 1).actor_id, trail.c)


def delete_audit_entries(trail: Trail) -> None:
    execute(f"DELETE FROM {AUDIT} WHERE object_pk = %s", trail.a)


def insert_a_forged_audit_entry(trail: Trail) -> None:
    entry = LogEntry.objects.filter(object_pk=trail.b).first()
    entry.pk, entry.additional_data = None, {"event_id": "evt_forged"}
    entry.save(force_insert=True)


def edit_what_a_checkpoint_covers(trail: Trail) -> None:
    execute(f"UPDATE {CHECKPOINTS} SET rows = replace(rows, %s, %s)", trail.a, trail.b)


def edit_the_range_of_a_checkpoint(trail: Trail) -> None:
    execute(f"UPDATE {CHECKPOINTS} SET made_at = %s WHERE number = 2", trail.event("a", 1).at)


def delete_a_checkpoint(trail: Trail) -> None:
    execute(f"DELETE FROM {CHECKPOINTS} WHERE number = 2")


def delete_the_last_checkpoint(trail: Trail) -> None:
    execute(f"DELETE FROM {CHECKPOINTS} WHERE number = 3")


def rewrite_all_and_sign_with_another_key(trail: Trail) -> None:
    update_and_rehash(trail.a, "never said")
    key, previous = Ed25519PrivateKey.generate(), ""
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    for forged in Checkpoint.objects.order_by("number"):
        forged.rows = checkpoints.rows_between(forged.from_position, forged.to_position)
        forged.rows_digest, forged.previous = sha256(forged.rows), previous
        forged.key_id = checkpoints.key_id(public)
        text = checkpoints.signed_text(checkpoints.sent(forged))
        forged.digest = previous = sha256(text)
        forged.signature = base64.b64encode(key.sign(text.encode())).decode()
        forged.save(force_update=True)


def swap_two_positions(trail: Trail) -> None:
    one, two = (EventOutbox.objects.get(event=trail.event("a", seq)) for seq in (2, 3))
    for pk, position in ((one.pk, None), (two.pk, one.position), (one.pk, two.position)):
        execute(f"UPDATE {OUTBOX} SET position = %s WHERE id = %s", position, pk)


def take_a_position_away(trail: Trail) -> None:
    execute(f"UPDATE {OUTBOX} SET position = NULL WHERE event_id = %s", trail.event("a", 2).pk)


def move_an_event_to_the_end_of_the_feed(trail: Trail) -> None:
    execute(f"UPDATE {OUTBOX} SET position = 999 WHERE event_id = %s", trail.event("a", 2).pk)


def take_an_outbox_row_away(trail: Trail) -> None:
    execute(f"DELETE FROM {OUTBOX} WHERE event_id = %s", trail.event("c", 3).pk)


def change_the_task_without_an_event(trail: Trail) -> None:
    execute(f"UPDATE {TASKS} SET resolution = 'cannot_complete' WHERE task_id = %s", trail.a)


def delete_all_events_of_a_task(trail: Trail) -> None:
    execute(f"DELETE FROM {EVENTS} WHERE task_id = %s", trail.c)


@dataclass(frozen=True)
class Attack:
    """`blocked`: the guards refuse it. `seen_by`: the checks that find it. `first`: the row named first."""

    act: Callable[[Trail], None]
    blocked: bool
    seen_by: frozenset[str]
    first: tuple[str, int] | str
    vendor: str = ""

    @property
    def name(self) -> str:
        return self.act.__name__


def attack(
    act: Callable[[Trail], None], how: str, seen_by: str, first: tuple[str, int] | str, vendor: str = ""
) -> Attack:
    return Attack(act, how == "blocked", frozenset(seen_by.split()), first, vendor)


ATTACKS = [
    attack(update, "blocked", "hash_fits audit coverage", ("a", 4)),
    attack(delete, "blocked", "order stray coverage", ("a", 2)),
    attack(empty, "blocked", "eventless stray coverage", ("a", 1)),
    attack(replace, "blocked", "hash_fits audit coverage", ("a", 4), "sqlite"),
    attack(upsert, "blocked", "hash_fits audit coverage", ("a", 4)),
    attack(drop_the_trigger_and_edit, "detected", "hash_fits audit coverage guards", ("a", 4)),
    attack(drop_the_trigger_and_delete, "detected", "order stray coverage guards", ("a", 2)),
    attack(reorder_two, "blocked", "order hash_fits coverage", ("a", 2)),
    attack(swap_between_tasks, "blocked", "order hash_fits audit coverage", ("a", 2)),
    attack(delete_the_first, "blocked", "order stray coverage", ("b", 1)),
    attack(delete_the_last, "blocked", "head stray coverage", ("b", 3)),
    attack(delete_the_last_and_every_trace, "blocked", "coverage", ("b", 3)),
    attack(insert_a_forged_one, "detected", "place audit head", ("b", 4)),
    attack(change_the_actor, "blocked", "hash_fits audit coverage", ("a", 4)),
    attack(change_the_time, "blocked", "hash_fits audit coverage", ("a", 4)),
    attack(edit_and_rehash_one, "blocked", "order audit coverage", ("a", 2)),
    attack(edit_and_rehash_all, "blocked", "coverage", ("a", 1)),
    attack(edit_the_address_of_an_audit_entry, "blocked", "coverage", ("a", 1)),
    attack(edit_the_actor_of_an_audit_entry, "blocked", "audit coverage", ("c", 2)),
    attack(delete_audit_entries, "blocked", "audit coverage", ("a", 1)),
    attack(insert_a_forged_audit_entry, "detected", "stray", "audit entry"),
    attack(edit_what_a_checkpoint_covers, "blocked", "coverage", "checkpoint 1"),
    attack(edit_the_range_of_a_checkpoint, "blocked", "signature", "checkpoint 2"),
    attack(delete_a_checkpoint, "blocked", "signature", "checkpoint 2"),
    attack(delete_the_last_checkpoint, "blocked", "against", "checkpoint 3"),
    attack(rewrite_all_and_sign_with_another_key, "blocked", "signature against", "checkpoint 1"),
    attack(swap_two_positions, "detected", "coverage", ("a", 2)),
    attack(take_a_position_away, "detected", "coverage", ("a", 2)),
    attack(move_an_event_to_the_end_of_the_feed, "detected", "coverage gapless", ("a", 2)),
    attack(take_an_outbox_row_away, "detected", "place", ("c", 3)),
    attack(change_the_task_without_an_event, "detected", "row", ("a", 4)),
    attack(delete_all_events_of_a_task, "blocked", "eventless stray coverage", ("c", 1)),
]
