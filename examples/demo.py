"""Play the whole story against a running queue: refusal, task, decision, webhook, retry, success.

    python -m examples.demo --url http://127.0.0.1:8000 --token bot=hitl_... --token ana=hitl_... \\
        --token zoe=hitl_... --token tom=hitl_... --token cora=hitl_...

The ad server and the webhook receiver run inside this process, on free ports of 127.0.0.1; the queue is the real one.
It must be allowed to send there (`HITL_ALLOW_PRIVATE_HOSTS=127.0.0.1`), and its worker must run. Exit status 1 and one
clear line say what is missing.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from examples.ad_client import AdServerClient
from examples.ad_server import AdServer
from examples.adapter import Adapter, Answer, Operation
from examples.creative_engine import CreativeEngine, Review
from examples.outcomes import Outcomes
from examples.queue_client import InvalidInput, NotAuthenticated, PermissionDenied, QueueClient, QueueError
from examples.webhooks import Receiver
from examples.wire import Unreachable, send

Json = dict[str, Any]

PEOPLE = {
    "bot": "the adapter",
    "ana": "creative review",
    "zoe": "ad operations",
    "tom": "technical operations",
    "cora": "compliance",
}
GAM_TOKEN = "demo-gam-token"  # noqa: S105 - opens nothing but the ad server inside this process

IMAGE_FORMAT: Json = {
    "format_id": {"id": "display_300x250_image"},
    "name": "Medium Rectangle - Image",
    "type": "display",
    "assets": [{"asset_type": "image", "required": True}, {"asset_type": "url", "required": True}],
}
HTML_FORMAT: Json = {
    "format_id": {"id": "display_300x250_html"},
    "name": "Medium Rectangle - HTML5",
    "type": "display",
    "assets": [{"asset_type": "html", "required": True}],
}
GENERATED_FORMAT: Json = {
    "format_id": {"id": "display_300x250_generative"},
    "name": "Medium Rectangle - Generated",
    "type": "display",
    "assets": [{"asset_type": "text", "required": True}],
}


class DemoFailed(Exception):
    """The story did not go as it should; the message is the line to print."""


@dataclass(slots=True)
class Stage:
    """Everybody who plays, and the printed record. `run` makes the ids of one run its own."""

    clients: Mapping[str, QueueClient]
    principal_id: str
    ad_server: AdServer
    outcomes: Outcomes
    wait: float
    run: str
    steps: int = 0
    decided: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Print the headline of a story."""
        print(f"\n{text}", flush=True)

    def step(self, who: str, text: str) -> None:
        """Print one step: number, UTC time, who, what."""
        self.steps += 1
        print(f"  {self.steps:>2}  {datetime.now(UTC):%H:%M:%S.%f}"[:-3] + f"  {who:<14} {text}", flush=True)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Stop the demo with a line unless something holds."""
        if not holds:
            raise DemoFailed(otherwise)

    def operate(self, who: str, knob: str, said: str, **order: Any) -> None:
        """Let a person work at the ad server's own desk."""
        reply = send("POST", f"{self.ad_server.url}/_admin/{knob}", body=json.dumps(order).encode())
        self.expect(reply.status == 200, f"The ad server refused {knob}: {reply.body.decode()}")
        self.step(who, said)

    def adapter(self, name: str, network: str, token: str | None) -> Adapter:
        """Return an adapter for one network of the ad server."""
        ad_server = AdServerClient(self.ad_server.url, network, token)
        return Adapter(name, self.principal_id, self.clients["bot"], ad_server)

    def opened(self, who: str, answer: Answer | Review, task_type: str) -> str:
        """Check that a task of this type was opened, print it, and return its id."""
        self.expect(bool(answer.task_id), f"{who} should have opened a {task_type} but answered {answer}")
        task = answer.task
        self.expect(task["task_type"] == task_type, f"{task['task_id']} is a {task['task_type']}, not a {task_type}")
        due = f"due {task['due_by']}" if task.get("due_by") else "no due time"
        self.step(who, f"opens {task_type} {task['task_id']} (priority {task['priority']}, {due})")
        self.step(who, f"answers {answer.status} with the task's id")
        return answer.task_id

    def decide(
        self, person: str, task_id: str, resolution: str, detail: str, modifications: Json | None = None
    ) -> Json:
        """Let a person find the task among their pending ones, decide it, and wait until its webhook has come."""
        reviewer = self.clients[person]
        task_type = reviewer.get_task(task_id)["task_type"]
        page = reviewer.get_pending_tasks(principal_id=self.principal_id, task_type=task_type, limit=200)
        found = any(task["task_id"] == task_id for task in page["results"]) or page["next"]
        self.expect(bool(found), f"{task_id} is not among the pending tasks that {person} sees")
        self.step(person, f"({PEOPLE[person]}) sees it among {page['total_count']} pending {task_type}")
        decided = reviewer.complete_task(task_id, resolution, resolution_detail=detail, modifications=modifications)
        self.step(person, f"decides {resolution}: {detail} (task is {decided['status']}, version {decided['version']})")
        begun = time.monotonic()
        outcome = self.outcomes.wait(task_id, self.wait)
        if outcome is None or outcome.via != "webhook":
            raise DemoFailed(self.why_no_webhook(task_id, outcome is not None))
        self.step("receiver", f"webhook verified after {time.monotonic() - begun:.1f} s: {task_id} is {resolution}")
        self.expect(outcome.task["resolution"] == resolution, f"{task_id} says {outcome.task['resolution']}")
        self.decided.append(task_id)
        return outcome.task

    def why_no_webhook(self, task_id: str, in_feed: bool) -> str:
        """Say what is known about a webhook that did not come."""
        task = self.clients["bot"].get_task(task_id)
        line = f"No webhook within {self.wait:g} s although {task_id} is {task['status']} ({task['resolution']})"
        if self.outcomes.receiver.refused:
            return f"{line}: {self.outcomes.receiver.refused} deliveries came with a signature that does not verify."
        if in_feed:
            return f"{line} and stands in the feed: the worker runs, but its deliveries do not reach this machine."
        return f"{line}. Is the worker running? `make run` (manage.py up) starts web, worker and beat together."


def denied_permission(stage: Stage) -> None:
    """Google Ad Manager denies a permission; ad operations grants it; the retry succeeds."""
    stage.title("1  The ad server denies a permission")
    stage.operate(
        "ad server", "revoke", "withholds LineItemService.createLineItems", operation="LineItemService.createLineItems"
    )
    adapter = stage.adapter("google_ad_manager", "gam", GAM_TOKEN)
    answer = adapter.run(Operation("LineItemService.createLineItems", f"mb_{stage.run}_1", {"name": "Spring launch"}))
    stage.step("adapter", f"calls createLineItems: refused, {answer.detail}")
    task_id = stage.opened("adapter", answer, "permission_exception")
    stage.operate("zoe", "grant", "grants the permission in the ad server", operation="LineItemService.createLineItems")
    task = stage.decide("zoe", task_id, "completed", "The role Trafficker was granted to the API user.")
    finish(stage, adapter, task)


def creatives(stage: Stage) -> None:
    """One creative runs at once, one is approved by a person, one is rejected with feedback."""
    stage.title("2  Creatives: one runs at once, two are reviewed")
    engine = CreativeEngine(stage.principal_id, stage.clients["bot"])
    buy = f"mb_{stage.run}_2"
    plain = engine.submit(f"cr_{stage.run}_image", buy, IMAGE_FORMAT, {"image": "https://cdn.example/spring.png"})
    stage.expect(plain.status == "approved", f"a plain image should run at once, not be {plain.status}")
    stage.step("engine", f"{plain.creative_id} is a plain image: approved without a person")

    html = engine.submit(f"cr_{stage.run}_html", buy, HTML_FORMAT, {"html": "https://cdn.example/spring.zip"})
    task_id = stage.opened("engine", html, "creative_approval")
    task = stage.decide("ana", task_id, "approved", "Loads nothing from elsewhere, click address is right.")
    review = engine.conclude(task)
    stage.expect(review.status == "approved", f"{review.creative_id} should be approved, not {review.status}")
    stage.step("engine", f"{review.creative_id} goes live")

    generated = engine.submit(
        f"cr_{stage.run}_generated", buy, GENERATED_FORMAT, {"prompt": "A dog that drives our new car"}
    )
    task_id = stage.opened("engine", generated, "creative_approval")
    task = stage.decide("ana", task_id, "rejected", "The car carries a competitor's logo; generate it without one.")
    review = engine.conclude(task)
    stage.expect(review.status == "rejected", f"{review.creative_id} should be rejected, not {review.status}")
    stage.expect(bool(review.feedback), f"{review.creative_id} was rejected, but the feedback did not arrive")
    stage.step("engine", f"{review.creative_id} goes back to the buyer: {review.feedback}")


def missing_credentials(stage: Stage) -> None:
    """The adapter has no key; technical operations puts one into its configuration, never into the task."""
    stage.title("3  Credentials are missing")
    adapter = stage.adapter("kevel", "kevel", None)
    answer = adapter.run(Operation("createCampaign", f"mb_{stage.run}_3", {"name": "Spring launch"}))
    stage.step("adapter", f"calls createCampaign without a key: refused, {answer.detail}")
    task_id = stage.opened("adapter", answer, "configuration_required")
    key = secrets.token_urlsafe(16)
    stage.operate("tom", "credentials", "issues an API key in the ad server", network="kevel", token=key)
    adapter.ad_server.token = key
    stage.step("tom", "saves it in the adapter's configuration; the task never carries it")
    task = stage.decide("tom", task_id, "completed", "API key issued and saved in the adapter's configuration.")
    finish(stage, adapter, task)


def flagged_targeting(stage: Stage) -> None:
    """A sensitive segment is flagged; compliance approves with it removed; what runs is the modified targeting."""
    stage.title("4  A targeting is flagged")
    adapter = stage.adapter("google_ad_manager", "gam", GAM_TOKEN)
    targeting = {"countries": ["DE", "FR"], "segments": ["interest.running", "health.diabetes"]}
    operation = Operation("LineItemService.updateLineItems", f"mb_{stage.run}_4", {"targeting": targeting})
    answer = adapter.run(operation)
    stage.step("adapter", f"does not call the ad server: {answer.detail}")
    task_id = stage.opened("adapter", answer, "compliance_review")
    allowed = {"countries": ["DE", "FR"], "segments": ["interest.running"]}
    task = stage.decide(
        "cora", task_id, "approved", "Without the health segment (GDPR article 9).", {"targeting": allowed}
    )
    made = finish(stage, adapter, task)
    stage.expect(made.get("targeting") == allowed, f"the ad server was sent {made.get('targeting')}, not {allowed}")
    stage.step("ad server", f"runs with the segments {', '.join(made['targeting']['segments'])} only")


def exceeded_quota(stage: Stage) -> None:
    """A quota passes by itself: the adapter waits and repeats, and nobody is asked."""
    stage.title("5  A quota is exceeded: nobody is asked")
    name = "ReportService.runReportJob"
    stage.operate(
        "ad server", "fault", "will say QuotaError.EXCEEDED_QUOTA twice",
        operation=name, error_string="QuotaError.EXCEEDED_QUOTA", text="Too many requests per second.", times=2,
    )  # fmt: skip
    answer = stage.adapter("google_ad_manager", "gam", GAM_TOKEN).run(Operation(name, f"mb_{stage.run}_5"))
    stage.expect(answer.status == "completed" and not answer.task_id, f"the quota should have passed: {answer}")
    stage.step("adapter", f"waits and repeats: {answer.status} at attempt {answer.attempts}, no task opened")


def the_feed(stage: Stage) -> None:
    """The feed tells every outcome too: what an adapter reads after it was down."""
    stage.title("6  The feed tells the same")
    ended = stage.outcomes.catch_up()
    missing = sorted(set(stage.decided) - set(ended))
    stage.expect(not missing, f"the feed lacks the outcomes of {', '.join(missing)}")
    stage.step("adapter", f"reads the feed up to position {stage.outcomes.position}: all {len(stage.decided)} outcomes")


def finish(stage: Stage, adapter: Adapter, task: Json) -> Json:
    """Retry the operation that waited for a task, check that it succeeds, and return what the ad server made."""
    answer = adapter.resume(task)
    stage.expect(answer.status == "completed", f"the retry should succeed, but: {answer.status}, {answer.detail}")
    stage.step("adapter", f"retries: completed, the ad server's id is {answer.made['id']}")
    return answer.made


STORIES = (denied_permission, creatives, missing_credentials, flagged_targeting, exceeded_quota, the_feed)


def register(stage: Stage) -> None:
    """Ask the queue for outcomes, and turn its likely refusals into what to do about them."""
    try:
        stage.outcomes.register(f"demo {stage.run}")
    except InvalidInput as error:
        hint = "Start the queue with HITL_ALLOW_PRIVATE_HOSTS=127.0.0.1, so that it may send to this machine."
        raise DemoFailed(
            f"The queue does not take the webhook address {stage.outcomes.receiver.url}: {error}. {hint}"
        ) from error
    except PermissionDenied as error:
        raise DemoFailed(f"The adapter's token may not register a webhook endpoint: {error}") from error
    stage.step(
        "adapter", f"registers {stage.outcomes.receiver.url} for outcomes; feed stands at {stage.outcomes.position}"
    )


def unregister(outcomes: Outcomes) -> None:
    """Take the endpoint away; a failure to do so must not hide why the story stopped."""
    try:
        outcomes.unregister()
    except (QueueError, Unreachable) as error:
        print(f"The webhook endpoint {outcomes.endpoint_id} could not be taken away: {error}", file=sys.stderr)


def check_reachable(url: str) -> None:
    """Ask once whether anybody is there, without the client's patience."""
    status = send("GET", url.rstrip("/") + "/livez").status
    if status != 200:
        raise DemoFailed(f"{url}/livez answers {status}, not 200: is this the queue's address?")


def check_tokens(clients: Mapping[str, QueueClient]) -> None:
    """Ask one question with each token, so that a bad one is named before the story begins."""
    for name, client in clients.items():
        try:
            client.get_pending_tasks(limit=1)
        except NotAuthenticated as error:
            raise DemoFailed(f"The token of {name} is not accepted: {error.detail}") from error


def play(clients: Mapping[str, QueueClient], principal_id: str, wait: float) -> None:
    """Play every story. Raises `DemoFailed` with the line to print."""
    with AdServer() as ad_server, Receiver() as receiver:
        ad_server.state.tokens["gam"].add(GAM_TOKEN)
        outcomes = Outcomes(clients["bot"], receiver)
        stage = Stage(clients, principal_id, ad_server, outcomes, wait, run=secrets.token_hex(3))
        stage.title(f"0  Run {stage.run} for {principal_id}: ad server at {ad_server.url}")
        try:
            register(stage)
            for story in STORIES:
                story(stage)
        finally:
            unregister(outcomes)
        print(f"\nAll {len(STORIES)} stories went as they should: {stage.steps} steps, {len(stage.decided)} decisions.")


def main(arguments: list[str] | None = None) -> int:
    """Read the options, play, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the queue's address")
    parser.add_argument(
        "--token", action="append", default=[], metavar="NAME=TOKEN", help=f"for each of {', '.join(PEOPLE)}"
    )
    parser.add_argument("--principal", default="acme_corp")
    parser.add_argument("--wait", type=float, default=20.0, help="seconds to wait for each webhook (default 20)")
    options = parser.parse_args(arguments)
    tokens = dict(pair.partition("=")[::2] for pair in options.token)
    missing = [name for name in PEOPLE if not tokens.get(name)]
    if missing:
        parser.error(
            f"no --token for {', '.join(missing)}. Get one with `manage.py adapter_token demo --for-user NAME`; "
            f"for bot, `manage.py adapter_token bot --principal {options.principal}`"
        )
    clients = {name: QueueClient(options.url, tokens[name]) for name in PEOPLE}
    try:
        check_reachable(options.url)
        check_tokens(clients)
        play(clients, options.principal, options.wait)
    except Unreachable as error:
        line = f"The queue at {options.url} cannot be reached ({error}). Start it with `make run`."
    except (DemoFailed, QueueError) as error:
        line = str(error)
    else:
        return 0
    print(f"\nFAILED: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
