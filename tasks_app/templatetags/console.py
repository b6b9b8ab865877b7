"""Small helpers of the console's templates."""

import json
from datetime import datetime
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tasks_app import catalog_data
from tasks_app.links import task_url

register = template.Library()


def _absolute(moment: datetime) -> str:
    """The moment in the reader's zone, with the zone's name."""
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"


@register.simple_tag
def moment(at: datetime | None, text: str = "") -> SafeString:
    """A `<time>` that reads `text` and tells the moment in the reader's zone when pointed at."""
    if at is None:
        return format_html("{}", text)
    absolute = _absolute(at)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), absolute, text or absolute)


@register.simple_tag
def countdown(left: Any) -> SafeString:
    """The time left, which the page's script (countdown.js) counts on; without one it reads as of now."""
    if left.due_by is None or left.tone == "done":
        return moment(left.due_by, left.text)
    shown = '<time datetime="{}" title="{}" data-due>{}</time>'
    return format_html(shown, left.due_by.isoformat(), _absolute(left.due_by), left.text)


@register.simple_tag
def time_texts() -> str:
    """The words of `admin.texts.span` and `time_left` for countdown.js, as JSON."""
    return json.dumps(
        {
            "left": _("%(span)s left"),
            "late": _("%(span)s late"),
            "d": _("%(d)d d"),
            "dh": _("%(d)d d %(h)d h"),
            "hm": _("%(h)d h %(m)d min"),
            "h": _("%(h)d h"),
            "m": _("%(m)d min"),
            "s": _("%(s)d s"),
        }
    )


@register.filter
def shown(text: str) -> str:
    """A text of the catalogue in the reader's language."""
    return catalog_data.shown(text)


@register.filter
def of(values: Any, key: Any) -> Any:
    """The value of a dictionary by a key that is known at run time."""
    return values.get(key, "") if values else ""


@register.simple_tag
def label(shown: Any) -> SafeString:
    """A coloured label from something with `tone` and `text`."""
    return format_html('<span class="c-label c-{}">{}</span>', shown.tone, shown.text)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A Material symbol; hidden from screen readers, which would spell its name."""
    return format_html('<span class="material-symbols-outlined c-icon" aria-hidden="true">{}</span>', name)


@register.simple_tag
def task_link(task_id: str, back: str = "") -> str:
    return task_url(task_id, back)


@register.simple_tag
def act_url(task: Any, verb: Any) -> str:
    return reverse("admin:tasks_app_humantask_act", args=[task.pk, verb.name])
