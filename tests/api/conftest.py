"""Clients with real tokens: `api("bot")` is an adapter's, `api("ana")` a person's."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from tasks_app import tokens
from tasks_app.models import Principal, Scope, User
from tasks_app.models.access import default_scopes

ClientFactory = Callable[..., APIClient]


@pytest.fixture
def api(people: dict[str, User], principals: dict[str, Principal]) -> ClientFactory:
    speaks_for = {"bot": ["acme_corp"], "eve": ["globex"]}

    def client(who: str = "", *, work: bool = False, all_principals: bool = False) -> APIClient:
        made = APIClient()
        if who:
            scopes = [*default_scopes(), Scope.WORK] if work else None
            rows = [] if all_principals else [principals[pk] for pk in speaks_for.get(who, [])]
            _token, text = tokens.issue(who, people[who], principals=rows, all_principals=all_principals, scopes=scopes)
            made.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return made

    return client


TASKS = "/api/v1/tasks/"


@pytest.fixture
def opened(api: ClientFactory) -> Callable[..., dict[str, Any]]:
    """Open a task as bot over HTTP; return its document."""
    bot = api("bot")

    def make(task_type: str = "creative_approval", **fields: Any) -> dict[str, Any]:
        response = bot.post(TASKS, {"task_type": task_type, "principal_id": "acme_corp", **fields})
        assert response.status_code == 201, response.content
        return dict(response.json())

    return make
