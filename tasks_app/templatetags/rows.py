"""Rows of the queue, of the groups and of one group, written here and not by a template.

Fifty rows of thirty values each took a template half of the page's time. `format_html` escapes every value that it is
given; what stands in the texts below is ours.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from tasks_app.links import group_url, task_url

if TYPE_CHECKING:  # the admin's modules load these tags, and not the other way round
    from tasks_app.admin.lines import Label, TaskLine
    from tasks_app.admin.texts import TimeLeft

NOTHING: Final = mark_safe("")
_NOBODY: Final = mark_safe('<span class="c-faint">–</span>')

_TASK: Final = (
    '<tr class="c-row" data-task="{id}" data-mark="{mark}">{pick}'
    '<td class="c-what"><a class="c-row-link" href="{url}">'
    '<span class="c-type">{kind}</span><span class="c-subject">{thing}{operation}</span></a>'
    '<span class="c-gist">{company}{times}{gist}</span></td>'
    '<td class="c-principal"><span>{principal}</span><span class="c-muted">{adapter}</span></td>'
    '<td class="c-priority">{priority}</td><td class="c-status">{status}</td><td class="c-assignee">{assignee}</td>'
    '<td class="c-left c-left-{tone}">{left}</td><td class="c-age c-num">{age}</td></tr>'
)
_ALIKE: Final = (
    '<tr class="c-row" data-task="{id}" data-mark="{mark}"{differs}>{pick}'
    '<td class="c-what"><a class="c-row-link" href="{url}"><span class="c-subject c-strong">{thing}</span></a></td>'
    '<td class="c-differs">{differences}</td>'
    '<td class="c-priority">{priority}</td><td class="c-status">{status}</td><td class="c-assignee">{assignee}</td>'
    '<td class="c-left c-left-{tone}">{left}</td><td class="c-age c-num">{age}</td></tr>'
)
_GROUP: Final = (
    '<tr class="c-row" data-task="{key}" data-mark="{mark}"><td class="c-number"><strong>{number}</strong></td>'
    '<td class="c-what"><a class="c-row-link" href="{url}"><span class="c-type">{kind}</span>{operation}'
    '<span class="c-hidden">{tasks}</span></a><span class="c-gist">{gist}</span></td>'
    '<td class="c-principal"><span>{principal}</span><span class="c-muted">{adapter}</span></td>'
    '<td class="c-age c-oldest">{oldest}</td><td class="c-left c-left-{tone}">{left}{overdue}</td></tr>'
)
_PICK: Final = (
    '<td class="c-pick"><label><input type="checkbox" name="task" value="{}:{}" data-pick{} autocomplete="off">'
    '<span class="c-hidden">{}</span></label></td>'
)


def absolute(at: datetime, zone: tzinfo) -> str:
    """The moment in a zone, with the zone's name."""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"


def moment(at: datetime, text: str, zone: tzinfo) -> SafeString:
    """A `<time>` that reads `text` and tells the moment when pointed at."""
    shown = absolute(at, zone)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), shown, text or shown)


def countdown(left: "TimeLeft", zone: tzinfo) -> SafeString:
    """The time left, which the page's script (countdown.js) counts on; without one it reads as of now."""
    if left.due_by is None:
        return format_html("{}", left.text)
    if left.tone == "done":
        return moment(left.due_by, left.text, zone)
    at = left.due_by
    return format_html(
        '<time datetime="{}" title="{}" data-due>{}</time>', at.isoformat(), absolute(at, zone), left.text
    )


@lru_cache(maxsize=256)
def label(text: str, tone: str) -> SafeString:
    """A coloured label."""
    return format_html('<span class="c-label c-{}">{}</span>', tone, text)


def task_rows(lines: Iterable["TaskLine"], *, selectable: bool, back: str, alike: Mapping[str, str]) -> SafeString:
    """The rows of the queue, the home page and the searches. `alike`: how many there are, by similarity key."""
    zone, words = timezone.get_current_timezone(), _words()
    return _joined(
        format_html(
            _TASK,
            pick=_pick(line, words["select"]) if selectable else NOTHING,
            url=task_url(line.task_id, back),
            kind=line.type_label,
            operation=f" · {line.operation}" if line.operation else "",
            company=_company(line.similarity_key, alike, back),
            times=_times(line.occurrences, words["times"]),
            gist=line.gist or "–",
            principal=line.principal,
            adapter=line.adapter,
            **_common(line, zone, words),
        )
        for line in lines
    )


def alike_rows(rows: Iterable[Any], *, is_ticked: bool) -> SafeString:
    """The rows of one group, each with what sets it apart."""
    zone, words = timezone.get_current_timezone(), _words()
    return _joined(
        format_html(
            _ALIKE,
            pick=_pick(one.line, words["select"], is_ticked=is_ticked),
            url=task_url(one.line.task_id),
            differs=mark_safe(" data-differs") if one.differs else NOTHING,
            differences=_differences(one.differs),
            **{**_common(one.line, zone, words), "mark": one.mark},
        )
        for one in rows
    )


def group_rows(groups: Iterable[Any]) -> SafeString:
    """The rows of the groups of similar tasks."""
    zone, tasks, late = timezone.get_current_timezone(), _("%(n)s tasks"), _("%(n)s overdue")
    return _joined(
        format_html(
            _GROUP,
            key=group.key,
            mark=group.mark,
            number=group.number,
            url=group_url(group.key),
            kind=group.sample.type_label,
            operation=_span("c-subject", group.sample.operation),
            tasks=tasks % {"n": group.number},
            gist=group.sample.gist or "–",
            principal=group.sample.principal,
            adapter=group.sample.adapter,
            oldest=moment(group.since, group.oldest, zone),
            tone=group.time_left.tone,
            left=countdown(group.time_left, zone),
            overdue=_span("c-muted c-block", late % {"n": group.overdue} if group.overdue > 1 else ""),
        )
        for group in groups
    )


def _joined(rows: Iterable[SafeString]) -> SafeString:
    return mark_safe("\n".join(rows))  # noqa: S308  (each is escaped already)


def _words() -> dict[str, str]:
    return {"select": _("Select %(name)s"), "times": _("times reported"), "second": _("2nd review")}


def _common(line: "TaskLine", zone: tzinfo, words: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": line.task_id,
        "mark": line.mark,
        "thing": line.thing,
        "priority": label(line.priority.text, line.priority.tone),
        "status": _status(line.status, words["second"] if line.awaits_second else ""),
        "assignee": _assignee(line),
        "tone": line.time_left.tone,
        "left": countdown(line.time_left, zone),
        "age": moment(line.since, line.age, zone),
    }


def _status(status: "Label", more: str) -> SafeString:
    shown = label(status.text, status.tone)
    return format_html('{} <span class="c-muted">{}</span>', shown, more) if more else shown


def _pick(line: "TaskLine", text: str, *, is_ticked: bool = False) -> SafeString:
    ticked = mark_safe(" checked") if is_ticked else NOTHING
    return format_html(_PICK, line.task_id, line.version, ticked, text % {"name": line.name})


def _assignee(line: "TaskLine") -> SafeString:
    name = line.assignee
    if not name:
        return _NOBODY
    mine = " c-person-me" if line.is_mine else ""
    person = '<span class="c-person{}"><span class="c-avatar" aria-hidden="true">{}</span><span>{}</span></span>'
    return format_html(person, mine, name[0].upper(), name)


def _company(key: str, alike: Mapping[str, str], back: str) -> SafeString:
    company = alike.get(key)
    return format_html('<a class="c-alike" href="{}">{}</a> ', group_url(key, back), company) if company else NOTHING


def _times(number: int, title: str) -> SafeString:
    return format_html('<span class="c-times" title="{}">×{}</span> ', title, number) if number > 1 else NOTHING


def _differences(found: Iterable[Any]) -> SafeString:
    one = '<span class="c-difference"><span class="c-muted">{}</span> {}</span>'
    return mark_safe("".join(format_html(one, d.name, d.value) for d in found)) or _NOBODY  # noqa: S308  (escaped)


def _span(style: str, text: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', style, text) if text else NOTHING
