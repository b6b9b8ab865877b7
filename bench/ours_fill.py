"""Fill this project's tables with tasks whose trail verifies. Run by bench/ours.py with the project's settings.

A million tasks have four million events, each hashed behind the one before it: too many to make one by one here. So
every class of numbers (type, principal, priority and fate repeat with them) walks the real, pure transitions once, its
events frozen and linked by the functions that the services use. What differs from task to task, the ids, the number
and the moments, becomes a place in a template; bench/sql/fill_ours.sql fills the places in and computes the hashes, in
the database, with two connections. `manage.py audit_verify` then judges the result.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final

import django

django.setup()

import psycopg  # noqa: E402  (needs the settings)
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from psycopg import sql  # noqa: E402

from bench import fill  # noqa: E402
from tasks_app import chain, events, feed, summaries  # noqa: E402
from tasks_app.models import (  # noqa: E402
    EventOutbox,
    FeedHead,
    HumanTask,
    Principal,
    SummaryHead,
    TaskType,
    Team,
    User,
)
from tasks_app.services.create import similarity_key, team_for  # noqa: E402
from tasks_app.services.rhythm import schedule  # noqa: E402
from tasks_app.sla import deadlines  # noqa: E402
from tasks_app.states import EventType, Priority, Resolution  # noqa: E402

PRIORITIES: Final = (1, 2, 2, 2, 3, 3, 3, 4)
CLASSES: Final = 40  # after this many numbers types, principals, priorities and fates repeat
CONNECTIONS: Final = 2
BATCH: Final = 20_000
DAYS: Final = 91
READY_BATCHES: Final = 10  # of the feed's lines, as the hourly job writes them: farther back nobody reads here

# The one number and moment of which templates are made; neither occurs in any text by chance.
NUMBER: Final = 80_000_000
MOMENT: Final = datetime(2001, 2, 3, 4, 5, 6, 789_000, UTC)
TASK_ID: Final = "task_of_the_template"
EVENT_ID: Final = "event_of_the_template"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_PLACES: Final = {EVENT_ID: "%2$s", TASK_ID: "%4$s"}
_FIRST_MOMENT: Final = 8

Row = dict[str, Any]  # columns of an event by the names of its model's fields


@dataclass(frozen=True)
class Life:
    """A task as it ended up, and its events, as the services would have written them."""

    task: HumanTask
    events: list[Row]


class Walker:
    """Walks one task of a class through its real transitions."""

    def __init__(self) -> None:
        self.people = {"ana": User.objects.get(username="ana"), "bot": User.objects.get(username="bench")}
        self.kinds = {kind.slug: kind for kind in TaskType.objects.select_related("default_team__escalation_team")}
        names = [f"principal_{number}" for number in range(fill.PRINCIPALS)]
        self.principals = {pk: Principal.objects.get_or_create(pk=pk)[0] for pk in names}
        self.teams: dict[tuple[str, str], Team] = {}

    def team(self, kind: TaskType, principal_id: str) -> Team:
        key = (kind.slug, principal_id)
        if key not in self.teams:
            self.teams[key] = team_for(kind, principal_id)
        return self.teams[key]

    def life(self, number: int, *, closed: bool) -> Life:
        kind = self.kinds[fill.TASK_TYPES[number % 5]]
        principal_id = f"principal_{number * 7 % fill.PRINCIPALS}"
        priority = Priority(PRIORITIES[number * 5 % 8])
        task = HumanTask(
            task_id=TASK_ID,
            task_type=kind,
            principal=self.principals[principal_id],
            adapter_name="google_ad_manager",
            priority=int(priority),
            sla_priority=int(priority),
            team=self.team(kind, principal_id),
            media_buy_id=f"mb_{number}",
            creative_id=f"cr_{number}",
            operation="add_creative",
            error_detail=f"{fill.ERROR_TEXTS[number % 5]} (step {number}){fill.DETAIL_TAIL}",
            context_data=fill.context(number),
            requested_by=self.people["bot"],
            created_at=MOMENT,
            updated_at=MOMENT,
            last_seen_at=MOMENT,
            due_by=deadlines.default_due(priority, MOMENT),
        )
        task.similarity_key = similarity_key(task)
        schedule(task, now=MOMENT)
        return Life(task, list(self.trail(task, number, closed=closed)))

    def trail(self, task: HumanTask, number: int, *, closed: bool) -> Iterator[Row]:
        """The task's life: what happens to it, and the event of each step."""
        ana, now = self.people["ana"], task.created_at
        yield self.event(task, EventType.CREATED, self.people["bot"], now, before=None)
        shape = 3 if closed else number % 20
        if shape == 0:
            yield self.step(
                task, EventType.ESCALATED, "escalate", now + timedelta(hours=1), team=task.team.escalation_team
            )
            return
        if shape > 9:
            return
        yield self.step(task, EventType.CLAIMED, "claim", now + timedelta(minutes=20), by=ana)
        if shape == 1:
            return
        yield self.step(task, EventType.STARTED, "start", now + timedelta(minutes=21))
        if not closed:
            return
        rejected = number % 5 == 0
        ending = {
            "resolution": str(Resolution.CANNOT_COMPLETE if rejected else ends_well(task.task_type)),
            "detail": "Checked against the format sheet; the advertiser was told.",
            "modifications": {},
            "by": ana,
        }
        kind = EventType.FAILED if rejected else EventType.COMPLETED
        yield self.step(task, kind, "fail" if rejected else "complete", now + timedelta(hours=2), **ending)

    def step(self, task: HumanTask, kind: EventType, verb: str, at: datetime, **arguments: Any) -> Row:
        before = str(task.status)
        getattr(task, verb)(now=at, **arguments)
        schedule(task, now=at)
        return self.event(task, kind, self.people["ana"], at, before=before)

    def event(self, task: HumanTask, kind: EventType, actor: User, at: datetime, *, before: str | None) -> Row:
        """What `events.record` would write, but for the ids and hashes; `before` is the status, None for a new task."""
        task.last_event_seq += 1
        columns = {
            "event_id": EVENT_ID,
            "task_id": task.task_id,
            "seq": task.last_event_seq,
            "type": str(kind),
            "actor_id": actor.pk,
            "on_behalf_of_id": None,
            "reason": "",
            "at": at,
            "from_status": before or "",
            "to_status": str(task.status),
            "snapshot": events.freeze(events.state_of(task, whole=before is None)).decode(),
        }
        return checked(columns)


def ends_well(kind: TaskType) -> Resolution:
    return Resolution.APPROVED if Resolution.APPROVED in kind.allowed_resolutions else Resolution.COMPLETED


class Template:
    """Texts of one class with places for what differs, and the moments that these places ask for."""

    def __init__(self, number: int) -> None:
        self.places = {**_PLACES, str(5550000000 + number): "%6$s", str(2230000000 + number): "%7$s"}
        self.places[str(number)] = "%5$s"
        self.offsets: list[float] = []

    def of(self, text: str) -> str:
        """`text` for format()."""
        text = text.replace("%", "%%")
        for found, place in self.places.items():
            text = text.replace(found, place)
        return _MOMENT.sub(self._moment, text)

    def link(self, event: Row) -> str:
        """The text whose digest is the event's hash."""
        return self.of(link_text("%1$s", event, "%3$s")).replace("%%1$s", "%1$s").replace("%%3$s", "%3$s")

    def _moment(self, found: re.Match[str]) -> str:
        offset = (datetime.fromisoformat(found[0]) - MOMENT).total_seconds()
        if offset not in self.offsets:
            self.offsets.append(offset)
        return f"%{_FIRST_MOMENT + self.offsets.index(offset)}$s"


def link_text(prev_hash: str, event: Row, digest: str) -> str:
    """What `chain.link` hashes, as docs/audit.md describes it; `checked` compares the two."""
    names = ("event_id", "task_id", "seq", "type", "actor_id", "on_behalf_of_id", "reason")
    linked = [prev_hash, *(event[name] for name in names), chain.moment(event["at"])]
    linked += [event["from_status"], event["to_status"], digest]
    return json.dumps(linked, separators=(",", ":"), ensure_ascii=False)


def checked(event: Row) -> Row:
    """The event, whose hash is computed here as the services compute it."""
    snapshot = event["snapshot"].encode()
    text = link_text("before", event, hashlib.sha256(snapshot).hexdigest())
    if hashlib.sha256(text.encode()).hexdigest() != chain.link("before", **{**event, "snapshot": snapshot}):
        raise SystemExit("tasks_app.chain hashes another text than bench/ours_fill.py")
    return event


def task_text(task: HumanTask) -> str:
    """The task's row as JSON by column."""
    values = {}
    for field in columns():
        value = getattr(task, field.attname)
        values[field.column] = chain.moment(value) if isinstance(value, datetime) else value
    values["status"] = str(task.status)
    values["last_event_hash"] = "%3$s"
    return json.dumps(values, ensure_ascii=False)


def columns() -> list[Any]:
    return [field for field in HumanTask._meta.concrete_fields if not getattr(field, "generated", False)]


def shapes(*, closed: bool) -> list[Row]:
    """One row of the table `shape` for each class."""
    walker, found = Walker(), []
    for class_ in range(CLASSES):
        life, template = walker.life(NUMBER + class_, closed=closed), Template(NUMBER + class_)
        found.append(
            {
                "class": class_,
                "steps": len(life.events),
                "principal_id": life.task.principal_id,
                "task": template.of(task_text(life.task)).replace("%%3$s", "%3$s"),
                "snapshots": [template.of(event["snapshot"]) for event in life.events],
                "links": [template.link(event) for event in life.events],
                "types": [event["type"] for event in life.events],
                "actors": [event["actor_id"] for event in life.events],
                "ats": [(event["at"] - MOMENT).total_seconds() for event in life.events],
                "froms": [event["from_status"] for event in life.events],
                "tos": [event["to_status"] for event in life.events],
                "offsets": template.offsets,
            }
        )
    return found


SHAPE: Final = """
    CREATE TEMP TABLE shape (class int, steps int, principal_id text, task text, snapshots text[], links text[],
        types text[], actors bigint[], ats float8[], froms text[], tos text[], offsets float8[],
        events_before bigint, events_of_all bigint)
"""


def connect(found: list[Row], first: int) -> psycopg.Connection[Any]:
    """A connection with the table of shapes, its classes numbered from that of `first` on.

    Foreign keys are not checked row by row: what they would check was just read from the database.
    """
    connection = psycopg.connect(os.environ["DATABASE_URL"], cursor_factory=psycopg.ClientCursor)
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET work_mem = '256MB'")
    connection.execute(SHAPE)
    begin = first % CLASSES
    turned = found[begin:] + found[:begin]
    before = list(itertools.accumulate((row["steps"] for row in turned), initial=0))
    for row, counted in zip(turned, before, strict=False):
        values = {**row, "events_before": counted, "events_of_all": before[-1]}
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        places = sql.SQL(", ").join(map(sql.Placeholder, values))
        connection.execute(sql.SQL("INSERT INTO shape ({}) VALUES ({})").format(names, places), values)
    connection.execute("ANALYZE shape")
    return connection


def run(first: int, count: int, *, closed: bool) -> None:
    """Write `count` tasks numbered from `first`, with all that belongs to them, and move the feed's head on."""
    found = shapes(closed=closed)
    now = datetime.now(UTC)
    oldest, span = (
        (timedelta(days=DAYS), timedelta(days=DAYS - 1)) if closed else (timedelta(hours=40), timedelta(hours=36))
    )
    head = FeedHead.objects.get(pk=1)
    values = {
        "first": first,
        "total": count,
        "classes": CLASSES,
        "position": head.last_position,
        "oldest": (now - oldest).timestamp(),
        "span": span.total_seconds(),
        "content_type": ContentType.objects.get_for_model(HumanTask).pk,
    }
    script = (fill.SQL / "fill_ours.sql").read_text()
    names = [f'"{field.column}"' for field in columns()]
    script = script.format(task_columns=", ".join(names), task_values=", ".join(f"made.{name}" for name in names))
    begins = list(range(first, first + count, BATCH))

    def write(number: int) -> None:
        with connect(found, first) as connection:
            for begin in begins[number::CONNECTIONS]:
                end = min(begin + BATCH, first + count) - 1
                connection.execute(script, {**values, "begin": begin, "end": end})
                connection.commit()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(write, range(CONNECTIONS)))
    head.last_position = EventOutbox.objects.order_by("-position").values_list("position", flat=True)[0] or 0
    head.save(update_fields=["last_position"])
    if not closed:
        keep_words()
    feed.keep_ready(READY_BATCHES)
    summarise(head.last_position, count, closed=closed)


def keep_words() -> None:
    """The words of open tasks, as the triggers would have kept them, which `connect` switches off."""
    words = import_module("tasks_app.migrations.0017_open_words").WORDS
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(
            f"INSERT INTO tasks_app_openwords SELECT task_id, {words} FROM tasks_app_humantask "
            "WHERE completed_at IS NULL ON CONFLICT DO NOTHING"
        )


def summarise(position: int, count: int, *, closed: bool) -> None:
    """The figures of past hours, and their place in the feed, as the roll-up would have left them."""
    SummaryHead.objects.update_or_create(pk=1, defaults={"position": position, "swept_at": datetime.now(UTC)})
    if not closed:
        return
    hours = DAYS * 24
    number = max(1, count // hours // len(fill.TASK_TYPES))
    buckets = [0] * (len(summaries.BOUNDS) + 1)
    buckets[bisect_left(summaries.BOUNDS, 7200)] = number
    values = {"number": number, "hours": hours, "buckets": json.dumps(buckets), "task_types": list(fill.TASK_TYPES)}
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        psycopg.ClientCursor(connection).execute((fill.SQL / "fill_hours.sql").read_text(), values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--closed", action="store_true")
    given = parser.parse_args()
    run(given.first, given.count, closed=given.closed)
