"""The engine, the adapter, the demo and the corpus feed against a tiny queue over HTTP."""

from __future__ import annotations

import ast
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples import demo, feed_corpus
from examples.ad_client import AdServerClient
from examples.ad_server import AdServer, Fault
from examples.adapter import Adapter, Operation
from examples.creative_engine import CreativeEngine
from examples.outcomes import Outcomes
from examples.queue_client import QueueClient
from examples.webhooks import Receiver
from tests.examples.conftest import REPOSITORY
from tests.examples.tiny_queue import Canned, TinyQueue

OPERATION = Operation("createLineItems", "mb_1", {"name": "Spring"})


@pytest.fixture
def ad_server() -> Iterator[AdServer]:
    with AdServer() as server:
        server.state.tokens["gam"].add("t")
        yield server


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def adapter(tiny_queue: TinyQueue, ad_server: AdServer, waits: list[float]) -> Adapter:
    client = QueueClient(tiny_queue.url, "token")
    return Adapter(
        "google_ad_manager", "acme_corp", client, AdServerClient(ad_server.url, "gam", "t"), sleep=waits.append
    )


def test_it_opens_a_permission_exception_with_what_a_person_needs(adapter: Adapter, ad_server: AdServer) -> None:
    ad_server.state.withheld.add("createLineItems")
    answer = adapter.run(OPERATION)
    assert answer.status == "pending_manual"
    assert answer.task_id
    sent = {name: answer.task[name] for name in ("task_type", "priority", "adapter_name", "media_buy_id", "operation")}
    assert sent == {
        "task_type": "permission_exception",
        "priority": "high",
        "adapter_name": "google_ad_manager",
        "media_buy_id": "mb_1",
        "operation": "createLineItems",
    }
    assert "PermissionError.PERMISSION_DENIED" in answer.task["error_detail"]
    assert answer.task["context_data"]["error_string"] == "PermissionError.PERMISSION_DENIED"


def test_it_retries_once_the_person_is_done(adapter: Adapter, ad_server: AdServer) -> None:
    ad_server.state.withheld.add("createLineItems")
    task_id = adapter.run(OPERATION).task_id
    ad_server.state.withheld.clear()
    answer = adapter.resume(adapter.queue.complete_task(task_id, "completed"))
    assert (answer.status, answer.made["name"]) == ("completed", "Spring")
    assert adapter.blocked == {}


def test_it_opens_a_following_task_when_the_retry_is_refused_again(adapter: Adapter, ad_server: AdServer) -> None:
    ad_server.state.withheld.add("createLineItems")
    task_id = adapter.run(OPERATION).task_id
    answer = adapter.resume(adapter.queue.complete_task(task_id, "completed"))
    assert answer.status == "pending_manual"
    assert answer.task["follows"] == task_id
    assert answer.task_id != task_id


def test_it_folds_the_same_refusal_into_one_task(adapter: Adapter, ad_server: AdServer, tiny_queue: TinyQueue) -> None:
    ad_server.state.withheld.add("createLineItems")
    assert adapter.run(OPERATION).task_id == adapter.run(OPERATION).task_id
    adapter.run(Operation("createLineItems", "mb_2"))
    assert len(tiny_queue.tasks) == 2


def test_it_gives_up_with_the_reviewers_words(adapter: Adapter, ad_server: AdServer) -> None:
    ad_server.state.withheld.add("createLineItems")
    task_id = adapter.run(OPERATION).task_id
    answer = adapter.resume(
        adapter.queue.complete_task(task_id, "cannot_complete", resolution_detail="Not our network.")
    )
    assert (answer.status, answer.detail) == ("failed", "cannot_complete: Not our network.")
    assert ad_server.state.made == []


def test_it_sends_the_targeting_as_compliance_modified_it(adapter: Adapter, ad_server: AdServer) -> None:
    operation = Operation("updateLineItems", "mb_1", {"name": "x", "targeting": {"segments": ["health.diabetes"]}})
    answer = adapter.run(operation)
    assert answer.task["task_type"] == "compliance_review"
    assert ad_server.state.made == []
    allowed = {"targeting": {"segments": ["interest.running"]}}
    answer = adapter.resume(adapter.queue.complete_task(answer.task_id, "approved", modifications=allowed))
    assert (answer.made["name"], answer.made["targeting"]) == ("x", allowed["targeting"])


def test_it_waits_out_a_quota_without_a_task(
    adapter: Adapter, ad_server: AdServer, tiny_queue: TinyQueue, waits: list[float]
) -> None:
    ad_server.state.faults["createLineItems"] = Fault("QuotaError.EXCEEDED_QUOTA", times=2)
    answer = adapter.run(OPERATION)
    assert (answer.status, answer.attempts, waits) == ("completed", 3, [0.5, 1.0])
    assert tiny_queue.seen == []


def test_it_stops_repeating_a_quota_that_does_not_pass(
    adapter: Adapter, ad_server: AdServer, tiny_queue: TinyQueue
) -> None:
    ad_server.state.faults["createLineItems"] = Fault("QuotaError.EXCEEDED_QUOTA")
    answer = adapter.run(OPERATION)
    assert (answer.status, answer.attempts) == ("retry_later", 4)
    assert tiny_queue.seen == []


def test_it_hands_a_mistake_back_to_the_caller(adapter: Adapter, ad_server: AdServer, tiny_queue: TinyQueue) -> None:
    ad_server.state.faults["createLineItems"] = Fault("LineItemError.INVALID_SIZE")
    answer = adapter.run(OPERATION)
    assert (answer.status, answer.attempts) == ("failed", 1)
    assert tiny_queue.seen == []


def test_it_lets_a_plain_image_run_and_sends_the_rest_to_review(tiny_queue: TinyQueue) -> None:
    engine = CreativeEngine("acme_corp", QueueClient(tiny_queue.url, "token"))
    assert engine.submit("cr_1", "mb_1", demo.IMAGE_FORMAT, {}).status == "approved"
    assert tiny_queue.seen == []
    review = engine.submit("cr_2", "mb_1", demo.HTML_FORMAT, {})
    assert (review.status, review.task["task_type"], review.task["creative_id"]) == (
        "pending_review",
        "creative_approval",
        "cr_2",
    )
    decided = engine.queue.complete_task(review.task_id, "rejected", resolution_detail="Too loud.")
    assert (engine.conclude(decided).status, engine.under_review) == ("rejected", {})


def test_it_hears_by_the_feed_what_no_webhook_told() -> None:
    with TinyQueue(delivers=False) as queue, Receiver() as receiver:
        client = QueueClient(queue.url, "token")
        outcomes = Outcomes(client, receiver)
        outcomes.register("test")
        task_id = client.create_human_task("manual_approval", "acme_corp")["task_id"]
        assert outcomes.wait(task_id, 0.0) is None
        client.complete_task(task_id, "approved")
        outcome = outcomes.wait(task_id, 0.0)
        assert outcome is not None
        assert (outcome.via, outcome.task["resolution"]) == ("feed", "approved")


def options(url: str, *more: str) -> list[str]:
    return ["--url", url, *(word for name in demo.PEOPLE for word in ("--token", f"{name}=hitl_{name}")), *more]


def test_it_plays_the_whole_demo(tiny_queue: TinyQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(options(tiny_queue.url)) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "All 6 stories went as they should" in told
    kinds = [task["task_type"] for task in tiny_queue.tasks.values()]
    assert kinds == [
        "permission_exception",
        "creative_approval",
        "creative_approval",
        "configuration_required",
        "compliance_review",
    ]
    assert tiny_queue.endpoints == {}
    deciders = [seen.headers["authorization"][12:] for seen in tiny_queue.seen if seen.path.endswith("/complete/")]
    assert deciders == ["zoe", "ana", "ana", "tom", "cora"]


def test_it_fails_with_a_line_when_no_worker_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with TinyQueue(worker_runs=False) as queue:
        assert demo.main(options(queue.url, "--wait", "0.2")) == 1
        assert queue.endpoints == {}
    assert "Is the worker running?" in capsys.readouterr().err


def test_it_fails_with_another_line_when_deliveries_do_not_arrive(capsys: pytest.CaptureFixture[str]) -> None:
    with TinyQueue(delivers=False) as queue:
        assert demo.main(options(queue.url, "--wait", "0.2")) == 1
    assert "stands in the feed" in capsys.readouterr().err


def test_it_fails_with_a_line_when_the_queue_may_not_send_here(
    tiny_queue: TinyQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = Canned(400, {"code": "invalid", "errors": [{"field": "url", "message": "private address"}]})
    real = tiny_queue.answer
    monkeypatch.setattr(tiny_queue, "answer", lambda seen: refusal if "webhook-" in seen.path else real(seen))
    assert demo.main(options(tiny_queue.url)) == 1
    assert "HITL_ALLOW_PRIVATE_HOSTS=127.0.0.1" in capsys.readouterr().err


def test_it_fails_with_a_line_when_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        assert demo.main(options(f"http://127.0.0.1:{placeholder.getsockname()[1]}")) == 1
    assert "Start it with `make run`" in capsys.readouterr().err


def test_it_fails_with_a_line_when_it_is_not_the_queue(
    tiny_queue: TinyQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_queue.canned.append(Canned(404, "<html>"))
    assert demo.main(options(tiny_queue.url)) == 1
    assert "is this the queue's address?" in capsys.readouterr().err


def test_it_names_the_token_that_is_not_accepted(
    tiny_queue: TinyQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = Canned(401, {"detail": "Unknown token."})
    monkeypatch.setattr(tiny_queue, "answer", lambda seen: Canned(200, {}) if "livez" in seen.path else refusal)
    assert demo.main(options(tiny_queue.url)) == 1
    assert "The token of bot is not accepted: Unknown token." in capsys.readouterr().err


def test_it_names_the_people_whose_token_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--token", "bot=x"])
    assert "no --token for ana, zoe, tom, cora" in capsys.readouterr().err


def test_it_feeds_the_real_input_and_counts_the_same_as_the_dry_run(
    shared_data: Path, tiny_queue: TinyQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(shared_data), "--url", tiny_queue.url, "--token", "bot=hitl_bot"]
    assert feed_corpus.main([*arguments, "--dry-run"]) == 0
    assert tiny_queue.seen == []
    expected = capsys.readouterr().out.splitlines()
    assert feed_corpus.main(arguments) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [*expected, "118 tasks opened, 0 folded into open ones"]
    assert feed_corpus.main(arguments) == 0
    assert capsys.readouterr().out.endswith("0 tasks opened, 118 folded into open ones\n")


def test_it_runs_the_twenty_lines_of_the_readme(tiny_queue: TinyQueue) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "examples/README.md").read_text(), re.DOTALL)
    queue = QueueClient(tiny_queue.url, "token")
    denied = ["createLineItems"]

    def call(operation: str, media_buy_id: str) -> str:
        if operation in denied:
            raise PermissionError("PERMISSION_DENIED")
        return f"{operation} for {media_buy_id}"

    names: dict[str, Any] = {"queue": queue, "call": call, "position": 0}
    exec(blocks[0], names)  # noqa: S102 - the README of this repository
    answer = names["run"](queue, call, "mb_1", "createLineItems")
    assert answer["status"] == "pending_manual"
    denied.clear()
    queue.complete_task(answer["task_id"], "completed")
    exec(blocks[1], names)  # noqa: S102 - as above
    assert (names["blocked"], names["position"]) == ({}, 2)


def foreign_imports(source: str) -> set[str]:
    """Return the packages that a module imports beyond the standard library, the examples and standardwebhooks."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names - {"examples", "standardwebhooks"}


def test_it_imports_nothing_of_the_project() -> None:
    modules = sorted((REPOSITORY / "examples").glob("*.py"))
    assert len(modules) > 8
    assert {module.name: foreign_imports(module.read_text()) for module in modules} == {m.name: set() for m in modules}
    assert foreign_imports("from tasks_app.states import Status\nimport django.conf") == {"tasks_app", "django"}
