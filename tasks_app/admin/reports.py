"""The report page and its CSV: what happened in a period of the reader's days, of the tasks in the reader's sight."""

import csv
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from core import clock
from tasks_app import reports
from tasks_app.admin.actors import actor_of, works_here
from tasks_app.admin.site import page_context
from tasks_app.admin.texts import percent, span
from tasks_app.catalog_data import shown
from tasks_app.models import Principal, Quarter, TaskType, Team
from tasks_app.reports import DIMENSIONS, PERIODS, Figures, Period
from tasks_app.summaries import Durations

FIRST_YEAR, LAST_YEAR = 1971, 2200
NAMES = {
    "day": gettext_lazy("Day"),
    "week": gettext_lazy("Week"),
    "month": gettext_lazy("Month"),
    "custom": gettext_lazy("From … to"),
}
CAUSES = {
    "waited": gettext_lazy("waited to be taken"),
    "worked": gettext_lazy("worked on too long"),
    "held": gettext_lazy("on hold while the clock ran"),
    "routed": gettext_lazy("routed late"),
}


@admin.register(Quarter)
class ReportAdmin(ModelAdmin):  # type: ignore[misc]  # Unfold is untyped
    """The report stands where Django's list of quarters would be; nobody edits one."""

    def get_urls(self) -> list[URLPattern]:
        return [path("", self.admin_site.admin_view(report_page), name="tasks_app_quarter_changelist")]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return reads_reports(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reads_reports(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def reads_reports(request: HttpRequest) -> bool:
    return works_here(request) and reports.may_read(actor_of(request))


def report_page(request: HttpRequest) -> HttpResponse:
    """The page; with `format=csv` the same as a table to take away.

    Where the address makes no sense, the page says so above what it shows instead; a table could not, and is refused.
    """
    if not reads_reports(request):
        raise PermissionDenied
    period, by, wrong = _asked(request)
    if request.GET.get("format") == "csv" and wrong:
        return HttpResponse("\n".join(wrong), status=400, content_type="text/plain; charset=utf-8")
    found = reports.report(actor_of(request), period, by)
    if request.GET.get("format") == "csv":
        return _csv(found)
    return TemplateResponse(
        request,
        "console/report.html",
        {
            **page_context(request),
            "title": _("Reports"),
            "period": period,
            "by": by,
            "wrong": wrong,
            "kinds": [(kind, NAMES[kind]) for kind in PERIODS],
            "dimensions": DIMENSIONS.items(),
            "before_url": _url(period, by, period.beside(-1)),
            "after_url": _url(period, by, period.beside(1)),
            "csv_url": f"{_url(period, by, period.first)}&format=csv",
            "total": _line(_("All"), found.total),
            "lines": [_line(name, figures) for name, figures in _named(found.by, found.groups)],
            "causes": _causes(found.total),
            "days": _days(found.days),
        },
    )


def _asked(request: HttpRequest) -> tuple[Period, str, list[str]]:
    """What the address asks for, with what makes no sense of it: instead of that it is this week, today, by type."""
    zone, wrong = ZoneInfo(timezone.get_current_timezone_name()), list[str]()
    today = clock.now().astimezone(zone).date()

    def one_of(name: str, known: Collection[str], fallback: str) -> str:
        text = request.GET.get(name) or fallback
        if text in known:
            return text
        said = _("%(name)s: there is no “%(text)s”; give one of %(known)s.")
        wrong.append(said % {"name": name, "text": text[:50], "known": ", ".join(filter(None, known))})
        return fallback

    def day_of(name: str) -> date:
        text = request.GET.get(name) or today.isoformat()
        try:
            found = date.fromisoformat(text)
        except ValueError:
            said = _("%(name)s: “%(text)s” is no date like 2026-03-31.")
        else:
            if FIRST_YEAR <= found.year <= LAST_YEAR:
                return found
            said = _("%(name)s: “%(text)s” is too far away.")
        wrong.append(said % {"name": name, "text": text[:50]})
        return today

    kind, by = one_of("period", PERIODS, "week"), one_of("by", DIMENSIONS, "task_type")
    one_of("format", ("", "csv"), "")
    day, last = day_of("date"), day_of("to")
    period = reports.period_of(kind, day, zone, last=last)
    if kind == "custom" and request.GET.get("to") and not wrong and period.last != last:
        wrong.append(_("to: it is before the first day.") if last < day else _("to: a report is of a year at most."))
    return period, by, wrong


def _url(period: Period, by: str, day: date) -> str:
    asked = {"period": period.kind, "by": by, "date": day.isoformat()}
    if period.kind == "custom":
        length = period.last - period.first
        first = day if day >= period.first else day - length
        asked |= {"date": first.isoformat(), "to": (first + length).isoformat()}
    return f"{reverse('admin:tasks_app_quarter_changelist')}?{urlencode(asked)}"


@dataclass(frozen=True)
class Line:
    name: str
    figures: Figures
    share: str
    tone: str
    assign: list[str]
    work: list[str]
    end: list[str]

    @property
    def times(self) -> list[str]:
        """Each clock's mean, median and p90 in one cell; a dash where there is none."""
        return [" · ".join(told) if told[0] != "–" else "–" for told in (self.assign, self.work, self.end)]


def _line(name: str, figures: Figures) -> Line:
    share = figures.missed_share
    return Line(
        name=name,
        figures=figures,
        share=percent(share),
        tone="" if not share else "red" if share > 0.2 else "orange",
        assign=_times(figures, "assigned"),
        work=_times(figures, "worked"),
        end=_times(figures, "ended"),
    )


def _times(figures: Figures, what: str) -> list[str]:
    """Mean, median, p90 as people read them."""
    told = reports.told(figures.times.get(what, Durations()))
    return ["–" if seconds is None else span(timedelta(seconds=seconds)) for seconds in told]


def _named(by: str, groups: dict[str, Figures]) -> list[tuple[str, Figures]]:
    """Names for slugs, in the reader's language; two that bear the same name are told apart."""
    models: dict[str, Any] = {
        "task_type": (TaskType, "label"),
        "team": (Team, "name"),
        "principal": (Principal, "name"),
    }
    if by not in models:
        return [(name or _("no adapter named"), figures) for name, figures in groups.items()]
    model, column = models[by]
    names = dict(model.objects.filter(pk__in=groups).values_list("pk", column))
    borne = Counter(names.values())
    return [
        (f"{shown(name)} ({slug})" if borne[name] > 1 else shown(name) or slug, figures)
        for slug, figures in groups.items()
        for name in (names.get(slug, ""),)
    ]


def _causes(total: Figures) -> list[tuple[str, int, int]]:
    """Words, number, share in percent."""
    return [
        (str(CAUSES[cause]), number, round(100 * number / total.missed) if total.missed else 0)
        for cause, number in total.causes.items()
    ]


@dataclass(frozen=True)
class Bar:
    day: date
    created: int
    ended: int
    created_percent: int
    ended_percent: int


def _days(days: list[tuple[date, Figures]]) -> list[Bar]:
    """Opened and ended for each day, beside the busiest of them. A year is too many bars: the months' CSV has them."""
    if len(days) < 2 or len(days) > 62:
        return []
    most = max((max(figures.created, figures.ended) for _day, figures in days), default=0) or 1
    return [Bar(day, f.created, f.ended, round(100 * f.created / most), round(100 * f.ended / most)) for day, f in days]


def _csv(found: reports.Report) -> HttpResponse:
    out = StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(reports.table(found))
    name = f"report-{found.by}-{found.period.first}-{found.period.last}.csv"
    return HttpResponse(
        "\ufeff" + out.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
