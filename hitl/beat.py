"""Celery's beat without Django: it only says when, and needs none of the apps (45 MB instead of 120).

`celery --app hitl.beat beat`. The schedule is that of the settings; the worker knows the jobs by their names.
"""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.loaders.app import AppLoader
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")


class Loader(AppLoader):
    def import_default_modules(self) -> list[Any]:
        """No job is run here, so none is imported, nor Django set up for it."""
        return []


app = Celery("hitl", loader=Loader, fixups=[], set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def log_as_the_settings_say(**kwargs: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)
