"""The console: thin callers of services and selectors, inside Django's admin."""

from tasks_app.admin import catalog, console, log, people, phrases, tokens

__all__ = ["catalog", "console", "log", "people", "phrases", "tokens"]
