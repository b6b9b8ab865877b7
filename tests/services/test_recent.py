"""What is remembered for a second is forgotten in time."""

import time
from typing import Any

import pytest

from core import clock, revised
from core.recent import Recent, RecentRows, forget_everything
from tasks_app import tokens
from tasks_app.models import AdapterToken, User


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """No revision is known (with one: test_revised.py), nor remembered from the test before."""
    forget_everything()
    monkeypatch.setattr(revised, "token", lambda: "")


def test_it_remembers_for_its_time_and_not_longer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HITL_LOOKUP_SECONDS = 1.0
    now, asked = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    recent: Recent[str, str] = Recent(lambda key: asked.append(key) or key.upper())  # type: ignore[func-returns-value]
    assert [recent.get("a"), recent.get("a")] == ["A", "A"]
    now[0] += 0.9
    recent.get("a")
    assert asked == ["a"]
    now[0] += 0.2
    recent.get("a")
    assert asked == ["a", "a"]


def test_it_never_remembers_that_there_was_nothing(settings: Any) -> None:
    settings.HITL_LOOKUP_SECONDS = 60.0
    answers: list[str | None] = [None, "here now"]
    recent: Recent[str, str | None] = Recent(lambda key: answers.pop(0))
    assert [recent.get("a"), recent.get("a"), recent.get("a")] == [None, "here now", "here now"]


def test_it_sees_a_revocation_after_the_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch, people: dict[str, User]
) -> None:
    settings.HITL_LOOKUP_SECONDS = 1.0
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    token, text = tokens.issue("laptop", people["ana"])
    assert tokens.resolve(text) == token
    AdapterToken.objects.filter(pk=token.pk).update(revoked_at=clock.now())
    now[0] += 1.1
    assert tokens.resolve(text) is None


def test_it_reads_the_rows_in_use_together(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HITL_LOOKUP_SECONDS = 1.0
    now, asked, stored = [100.0], [], {"a": 1, "b": 2, "c": 3}
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def read(keys: Any) -> dict[str, int]:
        asked.append(sorted(keys))
        return {key: stored[key] for key in keys if key in stored}

    rows: RecentRows[str, int] = RecentRows(read)
    assert [rows.get(key) for key in "aabcx"] == [1, 1, 2, 3, None]
    assert asked == [["a"], ["b"], ["c"], ["x"]]
    stored |= {"a": 10, "x": 24}
    assert [rows.get("a"), rows.get("x")] == [1, 24], "what was not there is looked for again"
    now[0] += 1.1
    assert [rows.get(key) for key in "ab"] == [10, 2]
    assert asked[4:] == [["x"], ["a", "b", "c", "x"]], "those in use, once"
    for _ in range(11):
        now[0] += 1.1
        assert rows.get("b") == 2
    assert (asked[6], asked[-1]) == (["a", "b", "c", "x"], ["b"]), "those that nobody asked for are let go"
