from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The ground: what every app uses and what knows no task."""

    name = "core"
