"""The console: thin callers of services and selectors, inside Django's admin."""

from tasks_app.admin import calendars, catalog, console, log, people, phrases, reports, retention, roles, tokens

__all__ = ["calendars", "catalog", "console", "log", "people", "phrases", "reports", "retention", "roles", "tokens"]
