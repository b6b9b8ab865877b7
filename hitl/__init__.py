"""Wiring of the human task queue. Imported by nobody but the processes that run it."""

from hitl.celery import app as celery_app

__all__ = ["celery_app"]
