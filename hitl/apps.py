"""The root app: system checks and the `up` command."""

from django.apps import AppConfig


class HitlConfig(AppConfig):
    name = "hitl"

    def ready(self) -> None:
        from hitl import checks  # noqa: F401  (registers the system checks)
