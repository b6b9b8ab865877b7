"""The API's own page works offline and under the content policy."""

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_it_shows_the_operations_without_reaching_outside(live_server: LiveServer, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{live_server.url}/api/docs/")
    expect(page.locator("#operations-tasks-create_human_task, [id$='create_human_task']").first).to_be_visible()
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "script", "style"),
    [
        ("/admin/login/", "script-src 'self' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'"),
        ("/api/docs/", None, "style-src 'self' 'unsafe-inline'"),
        ("/api/v1/tasks/", None, None),
        ("/livez", None, None),
    ],
)
def test_it_relaxes_the_content_policy_only_where_a_page_needs_it(
    client: Client, path: str, script: str | None, style: str | None
) -> None:
    directives = client.get(path).headers["Content-Security-Policy"].split("; ")
    assert "default-src 'self'" in directives
    assert next((part for part in directives if part.startswith("script-src")), None) == script
    assert next((part for part in directives if part.startswith("style-src")), None) == style
