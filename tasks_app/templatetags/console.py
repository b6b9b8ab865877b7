"""Small helpers of the console's templates."""

import json
from datetime import datetime
from functools import cache
from typing import Any

from django import template
from django.apps import apps
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from tasks_app import catalog_data
from tasks_app.links import task_url
from tasks_app.templatetags import rows

register = template.Library()


@register.simple_tag
def moment(at: datetime | None, text: str = "") -> SafeString:
    """A `<time>` that reads `text` and tells the moment in the reader's zone when pointed at."""
    return format_html("{}", text) if at is None else rows.moment(at, text, timezone.get_current_timezone())


@register.simple_tag
def countdown(left: Any) -> SafeString:
    """The time left, which the page's script counts on."""
    return rows.countdown(left, timezone.get_current_timezone())


@register.simple_tag(takes_context=True)
def task_rows(context: Any) -> SafeString:
    """The rows of `lines`, as `selectable`, `back` and `alike` ask for them."""
    get = context.get
    return rows.task_rows(
        get("lines"), selectable=bool(get("selectable")), back=get("back") or "", alike=get("alike") or {}
    )


@register.simple_tag
def group_rows(groups: Any) -> SafeString:
    return rows.group_rows(groups)


@register.simple_tag
def alike_rows(found: Any, is_later: Any = "") -> SafeString:
    """The rows of one group; those that come `is_later` are not ticked beforehand."""
    return rows.alike_rows(found, is_ticked=not is_later)


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
def headline(title: Any) -> str:
    """A title with a capital letter, but for the name of a row: `https://...` and `acme_corp` stay as they are."""
    if title == apps.get_model("auth", "Group")._meta.verbose_name_plural:
        return _("Roles")  # the console's word for what Django calls groups
    return str(title) if isinstance(title, Model) else capfirst(str(title))


@register.filter
def of(values: Any, key: Any) -> Any:
    """The value of a dictionary by a key that is known at run time."""
    return values.get(key, "") if values else ""


@register.simple_tag
def label(shown: Any) -> SafeString:
    """A coloured label from something with `tone` and `text`."""
    return rows.label(shown.text, shown.tone)


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """A Material symbol; hidden from screen readers, which would spell its name."""
    return format_html('<span class="material-symbols-outlined c-icon" aria-hidden="true">{}</span>', name)


@register.simple_tag
def task_link(task_id: str, back: str = "") -> str:
    return task_url(task_id, back)


@register.simple_tag
def act_url(task: Any, verb: Any) -> str:
    return reverse("admin:tasks_app_humantask_act", args=[task.pk, verb.name])
