"""Addresses of the console's pages, for the console itself and for messages that lead there."""

from django.http import QueryDict
from django.urls import reverse


def queue_url(**parameters: str) -> str:
    """The queue, with tab, filters and page as given."""
    return reverse("admin:tasks_app_humantask_changelist") + _query(parameters)


def task_url(task_id: str, back: str = "") -> str:
    """A task's page; `back` is the query string of the queue that the reader came from."""
    return reverse("admin:tasks_app_humantask_change", args=[task_id]) + _query({"back": back} if back else {})


def _query(parameters: dict[str, str]) -> str:
    query = QueryDict(mutable=True)
    query.update(parameters)
    return f"?{query.urlencode()}" if parameters else ""
