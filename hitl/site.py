"""The console's admin site: Unfold's, without what it does anew on every page.

Unfold merges its settings with its defaults some forty times a page, tries to import every text among them, converts
every colour, copies the navigation and asks each model for the reader's rights, for a list of models that the console
does not show. That took a fifth of a page's time.
"""

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from unfold.settings import get_config
from unfold.sites import UnfoldAdminSite


class ConsoleConfig(AdminConfig):
    """Takes the place of `django.contrib.admin` among the apps."""

    default_site = "hitl.site.ConsoleSite"


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # Unfold is untyped
    @cached_property
    def _settings(self) -> dict[str, Any]:
        merged: dict[str, Any] = get_config(self.settings_name)
        return merged

    def _get_config(self, key: str, *args: Any) -> Any:
        found = self._settings.get(key)
        return self._get_value(found, *args) if found else None

    def _get_value(self, value: Any, *args: Any) -> Any:
        if isinstance(value, str):
            named = _imported(value)
            return value if named is None else named(*args)
        return value(*args) if callable(value) else value

    def _get_colors(self, key: str, *args: Any) -> Any:
        return self._colors

    @cached_property
    def _colors(self) -> Any:
        return super()._get_colors("COLORS")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """The reader's models: all of them only when a page really lists them."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        return SimpleLazyObject(lambda: super(ConsoleSite, self).get_app_list(request))

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The navigation as the setting gives it: made for this request, and so nobody else's to change."""
        groups: list[dict[str, Any]] = self._get_value(self._settings["SIDEBAR"]["navigation"], request)
        for group in groups:
            group["items"] = [self._entry(item, request) for item in group["items"] if item["permission"](request)]
        return groups

    def _entry(self, item: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
        active = item["active"] if "active" in item else self._get_is_active(request, item["link"])
        return {**item, "active": active, "has_permission": True}


@cache
def _imported(text: str) -> Callable[..., Any] | None:
    """What a setting names by its dotted path; None where it is a plain text."""
    try:
        named: Callable[..., Any] = import_string(text)
    except ImportError:
        return None
    return named
