"""Calendars in the console: hours as people write them, a month to look at, and what a change would mean."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import holidays
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from holidays.registry import COUNTRIES
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from core import clock
from tasks_app import reasons, services
from tasks_app.admin.months import first_of, month_of
from tasks_app.admin.promises import PreviewedAdmin
from tasks_app.exceptions import InvalidInput
from tasks_app.models import BusinessCalendar
from tasks_app.sla import policies
from tasks_app.sla.calendars import WEEKDAYS, Calendar, CalendarError
from tasks_app.sla.preview import Preview, preview_calendar

Ranges = list[list[str]]

_NAMES: Final = {
    "mon": gettext_lazy("Monday"),
    "tue": gettext_lazy("Tuesday"),
    "wed": gettext_lazy("Wednesday"),
    "thu": gettext_lazy("Thursday"),
    "fri": gettext_lazy("Friday"),
    "sat": gettext_lazy("Saturday"),
    "sun": gettext_lazy("Sunday"),
}
_RANGE: Final = re.compile(r"(\d{1,2}:\d{2})\s*(?:-|–|to)\s*(\d{1,2}:\d{2})")
CLOSED: Final = "closed"


def ranges_of(text: str) -> Ranges:
    """`9:00-12:30, 13:30-18:00` as pairs. Raises ValidationError for anything else."""
    parts = [part.strip() for part in re.split(r"[,;]", text) if part.strip()]
    found = [(part, _RANGE.fullmatch(part)) for part in parts]
    for part, match in found:
        if match is None:
            raise forms.ValidationError(
                _("“%(part)s” is not a range of hours; write 09:00-12:30, 13:30-18:00.") % {"part": part}
            )
    return [[match[1].zfill(5), match[2].zfill(5)] for _part, match in found if match is not None]


def text_of(ranges: Ranges) -> str:
    return ", ".join("-".join(pair) for pair in ranges)


class HoursField(forms.CharField):
    """The hours of a day; empty: closed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=200, widget=UnfoldAdminTextInputWidget, **kwargs)

    def clean(self, value: Any) -> Ranges:
        return ranges_of(super().clean(value))


class OwnDatesField(forms.CharField):
    """A line for each date: `2026-12-24 09:00-12:00`, `2026-12-31 closed`."""

    def clean(self, value: Any) -> dict[str, Ranges]:
        found: dict[str, Ranges] = {}
        for line in filter(None, (line.strip() for line in super().clean(value).splitlines())):
            day, _space, hours = line.partition(" ")
            if day.rstrip(":") in found:
                raise forms.ValidationError(_("%(day)s stands there twice.") % {"day": day})
            found[day.rstrip(":")] = [] if hours.strip().lower() in ("", CLOSED) else ranges_of(hours)
        return found


@cache
def _countries() -> list[tuple[str, str]]:
    codes = {names[1]: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", names[0]) for names in COUNTRIES.values()}
    return [("", "–"), *sorted(((code, f"{name} ({code})") for code, name in codes.items()), key=lambda pair: pair[1])]


class CalendarForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=lambda: [(name, name) for name in sorted(available_timezones())],
        widget=UnfoldAdminSelect2Widget,
        initial="UTC",
    )
    country = forms.ChoiceField(
        label=gettext_lazy("Public holidays of"), choices=_countries, required=False, widget=UnfoldAdminSelect2Widget
    )
    dates = OwnDatesField(
        label=gettext_lazy("Own dates"),
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "placeholder": "2026-12-24 09:00-12:00\n2026-12-31 closed"}),
        help_text=gettext_lazy("A line for each date; it replaces that day, and a holiday on it, altogether."),
    )
    for _day in WEEKDAYS:
        locals()[_day] = HoursField(label=_NAMES[_day])
    del _day

    class Meta:
        model = BusinessCalendar
        fields = ("name", "slug", "time_zone", "country", "subdivision")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row: BusinessCalendar = self.instance
        for day in WEEKDAYS:
            self.fields[day].initial = text_of(row.weekly_hours.get(day, []))
        self.fields["dates"].initial = "\n".join(
            f"{day} {text_of(ranges) or CLOSED}" for day, ranges in sorted(row.own_dates.items())
        )
        self.fields["mon"].help_text = _(
            "With breaks: 09:00-12:30, 13:30-18:00. Past midnight: 22:00-06:00. Empty: closed."
        )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        row: BusinessCalendar = self.instance
        row.weekly_hours = {day: values[day] for day in WEEKDAYS if values[day]}
        row.own_dates = values["dates"]
        try:
            Calendar.of(
                values["time_zone"],
                row.weekly_hours,
                country=values["country"],
                subdivision=values.get("subdivision", ""),
                own_dates=row.own_dates,
            )
        except CalendarError as error:
            at = "dates" if error.field == "own_dates" else error.field
            said = error.reason if error.day in WEEKDAYS else str(error)
            self.add_error(
                error.day if error.day in WEEKDAYS else at if at in self.fields else None,
                _said(said, values["country"]),
            )
            return values
        if not row.weekly_hours:
            raise forms.ValidationError(_("Give hours for at least one day of the week."))
        return values


def _said(error: str, country: str) -> str:
    """The reason; for an unknown region with those that are known."""
    regions = holidays.list_supported_countries().get(country, [])
    told = _("Regions: %(names)s.") % {"names": ", ".join(regions)}
    known = f" {told}" if regions and "holidays for" in error else ""
    return f"{error[:1].upper()}{error[1:]}.{known}"


@admin.register(BusinessCalendar)
class CalendarAdmin(PreviewedAdmin):
    form = CalendarForm
    fixed_fields = ("slug",)
    list_display = ("name", "time_zone", "hours", "country", "subdivision")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("month",)
    preview_title = gettext_lazy("What this calendar would change")
    explanation = gettext_lazy("When people work: outside these hours the clocks of a policy stand still.")
    fieldsets = (
        (None, {"fields": ("name", "slug", "time_zone")}),
        (gettext_lazy("Hours of the week"), {"fields": WEEKDAYS}),
        (gettext_lazy("Holidays and own dates"), {"fields": ("country", "subdivision", "dates")}),
        (gettext_lazy("A month of it"), {"fields": ("month",)}),
    )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj is not None else {"slug": ("name",)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look sees the month; a new calendar has none yet."""
        if obj is None:
            return self.fieldsets[:-1]
        if not self.has_change_permission(request, obj):
            return ((None, {"fields": ("name", "slug", "time_zone", "country", "subdivision", "month")}),)
        return self.fieldsets

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With the month that the address asks for."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.asked_month = request.GET.get("month", "")
        return row

    @admin.display(description=gettext_lazy("Hours"))
    def hours(self, row: BusinessCalendar) -> str:
        """`Mon-Fri 09:00-17:00`, days with the same hours together."""
        groups: list[tuple[str, list[str]]] = []
        for day in WEEKDAYS:
            hours = text_of(row.weekly_hours.get(day, []))
            if groups and groups[-1][0] == hours:
                groups[-1][1].append(day)
            else:
                groups.append((hours, [day]))
        shown = [
            (f"{days[0].title()}–{days[-1].title()}" if len(days) > 1 else days[0].title(), h)
            for h, days in groups
            if h
        ]
        return "; ".join(f"{days} {hours}" for days, hours in shown)

    @admin.display(description=gettext_lazy("Working hours"))
    def month(self, row: BusinessCalendar) -> SafeString:
        return render_month(row, getattr(row, "asked_month", ""), linked=True)

    def preview(self, form: Any, formsets: Sequence[Any]) -> Preview:
        return preview_calendar(form.instance)

    def preview_context(self, form: Any) -> dict[str, Any]:
        return {"month": render_month(form.instance, "", linked=False)}

    def save_model(self, request: HttpRequest, obj: BusinessCalendar, form: Any, change: bool) -> None:
        try:
            services.save_calendar(obj)
        except InvalidInput as error:  # the form has checked the same
            raise ValueError(error.message) from error
        self.note_saved(request, reasons.CALENDAR_CHANGED, obj.name)


def render_month(row: BusinessCalendar, month: str, *, linked: bool) -> SafeString:
    """The month `2026-03`, or the present one in the calendar's zone, as a table; words where hours cannot be read."""
    try:
        arithmetic = policies.calendar_of(row)
    except CalendarError:  # the form is checked; a row that something else wrote is
        return SafeString("–")
    today = clock.now().astimezone(ZoneInfo(arithmetic.zone)).date()
    shown = month_of(arithmetic, first_of(month, today))
    return render_to_string("console/month.html", {"month": shown, "zone": arithmetic.zone, "linked": linked})
