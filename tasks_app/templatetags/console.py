"""Small helpers of the console's templates."""

from datetime import datetime
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

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
