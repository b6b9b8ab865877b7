"""New and changed tasks appear by themselves: the open page asks every few seconds whether its list still stands.

The answer is 304 without a body while it does. What is compared is a fingerprint of the page's own rows: one small
query by index, of what the reader may see and nothing else. The numbers on the tabs are counted, which costs more: the
page asks for them (`counts`) every half a minute only.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET

from core import clock
from tasks_app import groups
from tasks_app.admin import group_pages
from tasks_app.admin.actors import actor_of
from tasks_app.admin.queue import PER_PAGE, asked_of, counts_of, fingerprint, list_context


@require_GET
def live(request: HttpRequest) -> HttpResponseBase:
    """304, or the list as it is now with its tabs."""
    asked = asked_of(request)
    start = (asked.number - 1) * PER_PAGE
    tasks = asked.tasks(actor_of(request), clock.now())
    rows = list(tasks.values_list("pk", "version", "occurrences")[start : start + PER_PAGE + 1])
    counts = counts_of(request) if request.GET.get("counts") else None
    tag = fingerprint(asked, rows, counts)
    return _answer(request, tag, "console/queue_live.html", lambda: list_context(request, asked))


@require_GET
def groups_live(request: HttpRequest) -> HttpResponseBase:
    """304, or the groups as they are now."""
    found = groups.groups_in_sight(actor_of(request), clock.now(), order=group_pages.order_of(request))
    counts = counts_of(request) if request.GET.get("counts") else None
    tag = group_pages.groups_fingerprint(found, counts)
    return _answer(
        request, tag, "console/groups_live.html", lambda: group_pages.groups_context(request, found, tag=tag)
    )


@require_GET
def group_live(request: HttpRequest, key: str) -> HttpResponseBase:
    """304, or one group as it is now; 404 where nothing of it is left in the reader's sight."""
    tag = group_pages.group_fingerprint(actor_of(request), key)
    if tag is None:
        return HttpResponse(status=404)
    return _answer(request, tag, "console/group_live.html", lambda: group_pages.group_context(request, key) or {})


def _answer(request: HttpRequest, tag: str, template: str, context: Callable[[], dict[str, Any]]) -> HttpResponseBase:
    response: HttpResponse
    if request.headers.get("If-None-Match", "").removeprefix("W/") == f'"{tag}"':
        response = HttpResponseNotModified()
    else:
        response = TemplateResponse(request, template, context())
    response.headers["ETag"] = f'"{tag}"'
    return response
