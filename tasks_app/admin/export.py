"""Tasks as CSV: what the queue shows, masked as it is stored, streamed, and harmless in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any, Final

from django.db.models import F
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from core import clock
from core.cells import harmless
from tasks_app import selectors
from tasks_app.admin.actors import actor_of
from tasks_app.admin.bulk import seen_in, tasks_in_sight
from tasks_app.admin.queue import asked_of
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import Priority

MOST_ROWS: Final = 10_000
BOM: Final = "\ufeff"  # or spreadsheets take UTF-8 for something older
_COLUMNS: Final = (
    "task_id", "type", "status", "priority", "principal_id", "adapter_name", "operation", "media_buy_id", "creative_id",
    "team", "assignee", "created_at", "due_by", "escalation_level", "occurrences", "completed_at", "resolution",
    "decided_by", "error",
)  # fmt: skip
_NAMED: Final = {
    "type": F("task_type_id"),
    "assignee": F("assigned_to__username"),
    "decided_by": F("resolved_by__username"),
    "error": Left("error_detail", 2_000),
}


def cell_of(value: Any, zone: tzinfo) -> str:
    """A cell that no spreadsheet takes for a formula; a moment in the reader's zone, with its offset."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    return harmless(value)


def export(request: HttpRequest) -> HttpResponseBase:
    """The tasks that were ticked (POST), or all of the view that the address names (GET), 10,000 at most."""
    actor, now = actor_of(request), clock.now()
    if request.method == "POST":
        keys = list(tasks_in_sight(seen_in(request.POST.getlist("task")), actor))
        tasks = selectors.visible_tasks(actor).filter(pk__in=keys).in_queue_order()
    else:
        tasks = asked_of(request).tasks(actor, now)
    lines = lines_of_csv(tasks, timezone.get_current_timezone())
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"tasks-{timezone.localtime(now):%Y-%m-%d-%H%M}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


class _Echo:
    def write(self, text: str) -> str:
        return text


def lines_of_csv(tasks: TaskQuerySet, zone: tzinfo) -> Iterator[str]:
    """The file, line by line. It is sent after the request has left the reader's time zone: so that is given."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    yield BOM + str(writer.writerow(_COLUMNS))
    for row in _rows(tasks):
        yield str(writer.writerow([cell_of(cell, zone) for cell in row]))


def _rows(tasks: TaskQuerySet) -> Iterable[list[Any]]:
    rows = tasks.annotate(**{f"shown_{name}": source for name, source in _NAMED.items()})
    columns = [f"shown_{name}" if name in _NAMED else name for name in _COLUMNS]
    place = _COLUMNS.index("priority")
    for row in rows.values_list(*columns)[:MOST_ROWS].iterator(chunk_size=500):
        cells = list(row)
        cells[place] = Priority(cells[place]).slug
        yield cells
