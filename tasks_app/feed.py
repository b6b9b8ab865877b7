"""The feed's newest events as texts that are ready to be sent: written once, when an event gets its position.

An event never changes, so neither does its text (`FeedLine`); a page of the feed is read from one table, in its order,
as bytes. The names of people do change: they are put before the text when it is read, as
`lookups` knows them. What has no line, because it is
older than the newest HITL_FEED_READY events or its process did not know of lines, is put together from the event.
PostgreSQL only, like `core.json_rows`: on SQLite there are no lines, and Python writes the events.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import connection
from django.db.models import BinaryField, F, FilteredRelation, Func, Min, Q, QuerySet
from django.db.models.functions import Coalesce

from core import prepared
from core.json_rows import FrozenJSON, JSONText, MomentText, PlainText, made_by_database
from core.recent import Recent
from tasks_app import lookups
from tasks_app.models import EventOutbox, FeedHead, FeedLine

EVENT_COLUMNS: Final = (
    *("event_id", "task_id", "seq", "type", "actor__username", "on_behalf_of__username"),
    *("reason", "at", "from_status", "to_status", "snapshot"),
)
_OUR_WORDS: Final = frozenset({"event_id", "task_id", "type", "from_status", "to_status"})
_NOT_FROZEN: Final = frozenset({"actor__username", "on_behalf_of__username"})

BATCH: Final = 1_000
BATCHES: Final = 20
"""How many batches of missing lines one round of `keep_ready` writes: some seconds of work after an upgrade."""

Events = QuerySet[EventOutbox, EventOutbox]


class Pieces(list[bytes]):
    """A JSON list in pieces."""


def event_line(prefix: str = "", **more: F) -> JSONText:
    """The answer for an event: the twin of `event_out`, and of its neighbours in `more`."""
    return JSONText(**{name.removesuffix("__username"): _column(prefix, name) for name in EVENT_COLUMNS}, **more)


def _column(prefix: str, name: str) -> Any:
    column: Any = F(f"{prefix}{name}")
    if name == "at":
        return MomentText(column)
    if name in _OUR_WORDS:
        return PlainText(column)
    return FrozenJSON(column) if name == "snapshot" else column


class _Frozen(Func):
    """An event's answer but for its brace and the names of people, as bytes; its snapshot those that were hashed."""

    output_field = BinaryField()

    def __init__(self) -> None:
        frozen = [name for name in EVENT_COLUMNS if name not in _NOT_FROZEN and name != "snapshot"]
        words = JSONText(**{name: _column("event__", name) for name in frozen})
        super().__init__(words, F("event__snapshot"), F("position"))

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        parts = [compiler.compile(part) for part in self.get_source_expressions()]
        (words, given), (snapshot, _), (position, _) = parts
        before = f"""convert_to(left(substr({words}, 2), -1) || ',"snapshot":', 'UTF8')"""
        after = f"""convert_to(concat(',"position":', {position}, '}}'), 'UTF8')"""
        return f"({before} || {snapshot} || {after})", list(given)


def write_lines(events: Events) -> int:
    """Write the lines of these events, where they are missing; return how many. One statement."""
    columns = ("position", "event__actor_id", "event__on_behalf_of_id", "frozen")
    lines = events.order_by("position").annotate(frozen=_Frozen()).values_list(*columns)
    sql, values = lines.query.sql_with_params()
    into = f"{connection.ops.quote_name(FeedLine._meta.db_table)} (position, actor_id, on_behalf_of_id, text)"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {into} {sql} ON CONFLICT DO NOTHING", values)
        return int(cursor.rowcount)


def freeze(first: int, last: int) -> None:
    """Write the lines of events that just got their positions. In the transaction that gives them."""
    if made_by_database() and settings.HITL_FEED_READY:
        write_lines(EventOutbox.objects.filter(position__range=(first, last)))


_NOWHERE: Final = 2**63
_first: Final[Recent[str, int]] = Recent(
    lambda _any: FeedLine.objects.aggregate(first=Min("place"))["first"] or _NOWHERE, is_watched=False
)


def page(key: Hashable, events: Callable[[int], Events], after: int, limit: int) -> tuple[list[int], Pieces] | None:
    """The events behind `after` by their lines: the positions of one more than `limit`, and the page.

    `events` is the reader's feed behind a position; `key` must tell apart all readers. None where a line is missing,
    which at the beginning is known without a look.
    """
    if not made_by_database() or after + 1 < _first.get("line"):
        return None

    def lines() -> QuerySet[EventOutbox, Any]:
        # The position of the line, too, is compared: else its table would be read from its beginning.
        line = FilteredRelation("line", condition=Q(line__place__gt=prepared.NUMBER))
        columns = ("position", "ready__text", "ready__actor_id", "ready__on_behalf_of_id")
        return events(prepared.NUMBER).annotate(ready=line).values_list(*columns)[: limit + 1]

    found = prepared.rows(("feed", key, limit), lines, binary=True, number=after)
    pairs = {(actor, behalf) for _position, _text, actor, behalf in found}
    if (None, None) in pairs:
        return None
    people = lookups.people.get_many({one for pair in pairs for one in pair if one is not None})
    heads: dict[tuple[int, int | None], bytes] = {}
    for actor, behalf in pairs:
        names = {"actor": people[actor].username, "on_behalf_of": None if behalf is None else people[behalf].username}
        heads[actor, behalf] = b"," + orjson.dumps(names)[:-1] + b","
    pieces = Pieces()
    for _position, text, actor, behalf in found[:limit]:
        pieces += (heads[actor, behalf], text)
    pieces[:1] = [b"[", *(first[1:] for first in pieces[:1])]
    pieces.append(b"]")
    return [position for position, *_more in found], pieces


def keep_ready(batches: int = BATCHES) -> int:
    """Write the lines that the newest events lack, and drop those of older ones; return how many changed.

    New events have theirs already: this is for what an upgrade found, the newest first, and for what grew old.
    """
    if not made_by_database():
        return 0
    head = FeedHead.objects.values_list("last_position", flat=True).first() or 0
    oldest, changed = head - settings.HITL_FEED_READY, 0
    missing = EventOutbox.objects.filter(position__gt=oldest, line__isnull=True).order_by("-position")
    positions = list(missing.values_list("position", flat=True)[: batches * BATCH])
    for start in range(0, len(positions), BATCH):
        changed += write_lines(EventOutbox.objects.filter(position__in=positions[start : start + BATCH]))
    begin = FeedLine.objects.aggregate(begin=Min("place"))["begin"]
    while begin is not None and begin <= oldest:
        begin += 10 * BATCH
        changed += FeedLine.objects.filter(place__lt=min(begin, oldest + 1)).delete()[0]
    return changed


def altered() -> Iterator[int]:
    """The positions at which a line does not say what the event says."""
    if not made_by_database():
        return
    lines = EventOutbox.objects.filter(line__isnull=False).annotate(
        frozen=_Frozen(),
        shown_for=Coalesce("line__on_behalf_of_id", 0),
        told_for=Coalesce("event__on_behalf_of_id", 0),
    )
    same = Q(line__text=F("frozen"), line__actor_id=F("event__actor_id"), shown_for=F("told_for"))
    for position in lines.exclude(same).order_by("position").values_list("position", flat=True):
        yield position or 0
