"""The reference client against a real HTTP server: errors, repetition, keys, the feed."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from examples.queue_client import (
    LONGEST_WAIT,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    QueueClient,
    QueueError,
    ServerProblem,
    StaleVersion,
    TooManyRequests,
    retry_after,
)
from examples.wire import Reply, Unreachable, send
from tests.examples.tiny_queue import Canned, TinyQueue


def client_of(server: TinyQueue, waits: list[float] | None = None) -> QueueClient:
    sleep: Callable[[float], None] = (waits if waits is not None else []).append
    return QueueClient(server.url + "/", "hitl_abc_def", sleep=sleep)


def test_it_opens_a_task_with_token_and_idempotency_key(tiny_queue: TinyQueue) -> None:
    task = client_of(tiny_queue).create_human_task("permission_exception", "acme_corp", priority="high")
    sent = tiny_queue.seen[0]
    assert (sent.method, sent.path) == ("POST", "/api/v1/tasks/")
    assert sent.headers["authorization"] == "Bearer hitl_abc_def"
    assert len(sent.headers["idempotency-key"]) == 36
    assert sent.body == {"task_type": "permission_exception", "principal_id": "acme_corp", "priority": "high"}
    assert task["status"] == "pending"


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, InvalidInput),
        (401, NotAuthenticated),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (412, StaleVersion),
        (413, InvalidInput),
        (422, InvalidInput),
        (500, ServerProblem),
    ],
)
def test_it_turns_problem_json_into_typed_errors(
    tiny_queue: TinyQueue, status: int, error_class: type[QueueError]
) -> None:
    problem = {
        "title": "No",
        "status": status,
        "detail": "It is not so.",
        "code": "some_code",
        "errors": [{"field": "priority", "message": "use low, medium, high or urgent"}],
        "current_version": 7,
    }
    tiny_queue.canned.append(Canned(status, problem, {"Content-Type": "application/problem+json"}))
    with pytest.raises(error_class) as caught:
        client_of(tiny_queue).get_task("task_1")
    assert (caught.value.status, caught.value.code, caught.value.current_version) == (status, "some_code", 7)
    assert "priority: use low, medium, high or urgent" in str(caught.value)


def test_it_repeats_429_and_503_after_the_time_asked_for_with_the_same_key(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned += [Canned(429, {}, {"Retry-After": "7"}), Canned(503, "upstream gone")]
    waits: list[float] = []
    client_of(tiny_queue, waits).create_human_task("manual_approval", "acme_corp")
    assert waits == [7.0, 1.0]
    assert len({seen.headers["idempotency-key"] for seen in tiny_queue.seen}) == 1
    assert len(tiny_queue.tasks) == 1


def test_it_gives_each_call_a_key_of_its_own(tiny_queue: TinyQueue) -> None:
    client = client_of(tiny_queue)
    client.create_human_task("manual_approval", "acme_corp")
    client.create_human_task("manual_approval", "acme_corp")
    assert len({seen.headers["idempotency-key"] for seen in tiny_queue.seen}) == 2


def test_it_gives_up_after_four_repetitions(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned += [Canned(429, {"code": "throttled", "detail": "Too fast."})] * 5
    waits: list[float] = []
    with pytest.raises(TooManyRequests):
        client_of(tiny_queue, waits).get_task("task_1")
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_it_does_not_repeat_a_conflict(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned.append(Canned(409, {"code": "wrong_state"}))
    with pytest.raises(Conflict):
        client_of(tiny_queue).assign_task("task_1", "ana")
    assert len(tiny_queue.seen) == 1


def test_it_repeats_a_call_that_was_cut_off(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned.append(Canned(0, ""))
    waits: list[float] = []
    client_of(tiny_queue, waits).create_human_task("manual_approval", "acme_corp")
    assert (len(tiny_queue.tasks), waits) == (1, [0.5])


def test_it_says_so_when_nobody_listens() -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{placeholder.getsockname()[1]}"
        with pytest.raises(Unreachable, match="no answer from http://127"):
            QueueClient(url, "t", sleep=lambda seconds: None).get_pending_tasks()


def test_it_follows_no_redirect(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned.append(Canned(302, "", {"Location": f"{tiny_queue.url}/elsewhere"}))
    with pytest.raises(ServerProblem):
        client_of(tiny_queue).get_task("task_1")
    assert len(tiny_queue.seen) == 1


def test_it_says_so_when_the_answer_is_not_json(tiny_queue: TinyQueue) -> None:
    tiny_queue.canned.append(Canned(200, "<html>"))
    with pytest.raises(ServerProblem, match="is this the queue's address"):
        client_of(tiny_queue).get_task("task_1")


def test_it_reads_the_feed_page_by_page_to_its_end(tiny_queue: TinyQueue) -> None:
    tiny_queue.events = [{"position": number, "type": "task.created", "task_id": "t"} for number in range(1, 451)]
    positions = [event["position"] for event in client_of(tiny_queue).events(after=10)]
    assert positions == list(range(11, 451))
    assert len(tiny_queue.seen) == 3


def test_it_quotes_ids_in_addresses(tiny_queue: TinyQueue) -> None:
    with pytest.raises(NotFound):
        client_of(tiny_queue).get_task("../events?x")
    assert tiny_queue.seen[0].path == "/api/v1/tasks/..%2Fevents%3Fx/"


def test_it_leaves_out_what_was_not_given(tiny_queue: TinyQueue) -> None:
    client = client_of(tiny_queue)
    task_id = client.create_human_task("manual_approval", "acme_corp")["task_id"]
    client.complete_task(task_id, "approved", modifications={"budget": 0})
    assert tiny_queue.seen[-1].body == {"resolution": "approved", "modifications": {"budget": 0}}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("86400", LONGEST_WAIT),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("soon", 0.5),
        ("", 0.5),
        ("-5", 0.5),
    ],
)
def test_it_reads_retry_after_within_reason(value: str, seconds: float) -> None:
    assert retry_after(Reply(429, {"retry-after": value}, b""), default=0.5) == seconds


@pytest.mark.parametrize("url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "http:///x"])
def test_it_sends_to_http_addresses_only(url: str) -> None:
    with pytest.raises(ValueError, match="not an http or https address"):
        send("GET", url)
