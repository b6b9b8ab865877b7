"""The Celery application. Its jobs live in each app's `jobs.py`; a task is human work, never a job."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")

app = Celery("hitl")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """A receiver is all it takes: Celery then leaves logging as the settings made it."""
