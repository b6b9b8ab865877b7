"""New and changed tasks appear by themselves: the open page asks every few seconds whether its list still stands.

The answer is 304 without a body while it does. What is compared is a fingerprint of the page's own rows: one small
query by index, of what the reader may see and nothing else. The numbers on the tabs are counted, which costs more: the
page asks for them (`counts`) every half a minute only.
"""

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET

from core import clock
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
    tag = f'"{fingerprint(asked, rows, counts)}"'
    response: HttpResponse
    if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:
        response = HttpResponseNotModified()
    else:
        response = TemplateResponse(request, "console/queue_live.html", list_context(request, asked))
    response.headers["ETag"] = tag
    return response
