"""Addresses of the console's pages, for the console itself and for messages that lead there."""

from functools import cache, lru_cache
from typing import Final
from urllib.parse import quote

from django.http import QueryDict
from django.urls import get_script_prefix, reverse


def queue_url(**parameters: str) -> str:
    """The queue, with tab, filters and page as given."""
    return reverse("admin:tasks_app_humantask_changelist") + _query(parameters)


def task_url(task_id: str, back: str = "") -> str:
    """A task's page; `back` is the query string of the queue that the reader came from."""
    return _address("admin:tasks_app_humantask_change", get_script_prefix(), task_id) + _back(back)


def group_url(key: str, back: str = "") -> str:
    """A group of similar tasks."""
    return _address("admin:tasks_app_humantask_group", get_script_prefix(), key) + _back(back)


_ANY: Final = "any-one"
_PLAIN: Final = "!$&'()*+,;=~:@"  # as Django's own addresses


def _address(view: str, prefix: str, key: str) -> str:
    return _pattern(view, prefix).replace(_ANY, quote(key, safe=_PLAIN))


@cache
def _pattern(view: str, _prefix: str) -> str:
    """An address with a place for the key: a list has fifty, and resolving each took longer than reading it."""
    return reverse(view, args=[_ANY])


@lru_cache(maxsize=256)
def _back(back: str) -> str:
    return _query({"back": back} if back else {})


def _query(parameters: dict[str, str]) -> str:
    query = QueryDict(mutable=True)
    query.update(parameters)
    return f"?{query.urlencode()}" if parameters else ""
