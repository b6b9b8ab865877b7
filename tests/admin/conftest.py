"""The console as its people see it: clients that are signed in, and a way to press a button."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, User

ClientFor = Callable[[str], Client]
Press = Callable[..., Any]

QUEUE = "/admin/tasks_app/humantask/"


@pytest.fixture
def client_for(people: dict[str, User]) -> ClientFor:
    def make(username: str) -> Client:
        client = Client()
        client.force_login(people[username])
        return client

    return make


@pytest.fixture
def press(client_for: ClientFor) -> Press:
    """Send the form of one button, with the version that the person has seen."""

    def send(username: str, task: HumanTask, verb: str, *, version: int | None = None, **fields: Any) -> Any:
        url = reverse("admin:tasks_app_humantask_act", args=[task.pk, verb])
        sent = {"version": task.version if version is None else version, **fields}
        return client_for(username).post(url, sent)

    return send


@pytest.fixture
def actors(ana: Actor, sam: Actor, bot: Actor, root: Actor) -> dict[str, Actor]:
    return {"ana": ana, "sam": sam, "bot": bot, "root": root}


def text_of(response: Any) -> str:
    """The page as a reader sees it: no tags, plain spaces."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", response.content.decode())
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def page_of(task: HumanTask) -> str:
    return reverse("admin:tasks_app_humantask_change", args=[task.pk])
