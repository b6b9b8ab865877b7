"""Many tasks at once: what was seen is what is changed, each by itself, and every one that is not is named."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.actors import Actor
from tasks_app.admin.bulk import MOST
from tasks_app.admin.verbs import VERBS
from tasks_app.models import HumanTask, TaskEvent, TaskType
from tasks_app.services import (
    Decision,
    change_priority,
    claim_task,
    comment_on_task,
    decide_task,
    release_task,
)
from tests.admin.conftest import QUEUE, ClientFor, text_of
from tests.cast import NewTaskFactory, adapter, add_to_team

Bulk = Callable[..., Any]


def seen(task: HumanTask) -> str:
    return f"{task.pk}:{task.version}"


@pytest.fixture
def bulk(client_for: ClientFor) -> Bulk:
    """Send the tasks as they are in memory: as they were seen. Without `confirmed` it is the preview."""

    def send(who: str, verb: str, tasks: Sequence[HumanTask | str], *, confirmed: bool = True, **fields: Any) -> Any:
        values = [task if isinstance(task, str) else seen(task) for task in tasks]
        sent = {"task": values, **({"confirmed": "1"} if confirmed else {}), **fields}
        return client_for(who).post(f"{QUEUE}bulk/{verb}/", sent)

    return send


def summary(response: Any) -> str:
    return str(response.context["summary"])


def test_it_says_beforehand_who_is_eligible_and_why_others_are_not(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, bulk: Bulk
) -> None:
    free, taken, done, mine = (make_task() for _ in range(4))
    claim_task(taken.pk, sam)
    decide_task(done.pk, sam, Decision("approved"))
    claim_task(mine.pk, ana)
    events = TaskEvent.objects.count()
    tasks = [HumanTask.objects.get(pk=task.pk) for task in (free, taken, done, mine)]
    answer = bulk("ana", "claim", tasks, confirmed=False)
    assert [item.seen.task_id for item in answer.context["plan"].eligible] == [free.pk]
    assert answer.context["skipped_because"] == "taken by sam, decided by sam, yours already"
    assert "1 task can be changed." in text_of(answer)
    assert TaskEvent.objects.count() == events


def test_it_gives_a_result_per_task(make_task: NewTaskFactory, sam: Actor, bulk: Bulk) -> None:
    tasks = [make_task() for _ in range(4)]
    for late in tasks[2:]:
        claim_task(late.pk, sam)
    answer = bulk("ana", "claim", tasks)
    assert summary(answer) == "2 done, 2 skipped: taken by sam (2)"
    for task in tasks[:2]:
        assert list(TaskEvent.objects.filter(task=task).order_by("seq").values_list("type", "actor__username")) == [
            ("task.created", "bot"),
            ("task.claimed", "ana"),
        ]


def test_it_decides_with_one_feedback_and_leaves_each_task_its_own_history(
    make_task: NewTaskFactory, bulk: Bulk
) -> None:
    tasks = [make_task(error_detail=f"No {n}") for n in range(3)]
    answer = bulk("ana", "decide", tasks, decision="reject", text="Ask jane@acme.example for the licence.")
    assert summary(answer) == "3 done"
    for task in tasks:
        task.refresh_from_db()
        assert (task.resolution, task.resolution_detail) == ("rejected", "Ask [email 1] for the licence.")
        types = TaskEvent.objects.filter(task=task).order_by("seq").values_list("type", flat=True)
        assert list(types) == ["task.created", "task.claimed", "task.started", "task.failed"]


def test_it_asks_for_a_decision_and_for_the_text_that_it_needs(make_task: NewTaskFactory, bulk: Bulk) -> None:
    tasks = [make_task()]
    for fields in (
        {},
        {"decision": "reject"},
        {"decision": "explode"},
        {"decision": "claim"},
        {"decision": "withdraw"},
    ):
        answer = bulk("ana", "decide", tasks, **fields)
        assert answer.status_code == 400, fields
        assert answer.context["form"].errors
    assert HumanTask.objects.get().status == "pending"


def test_it_offers_the_decisions_that_fit_and_skips_the_types_that_do_not_know_them(
    make_task: NewTaskFactory, cora: Actor, bulk: Bulk
) -> None:
    add_to_team(cora.user, "ad-operations")
    flagged, refused = make_task("compliance_review"), make_task("permission_exception")
    answer = bulk("cora", "decide", [flagged, refused], confirmed=False)
    assert {option.value: option.number for option in answer.context["options"]} == {
        "approve": 1,
        "complete": 1,
        "reject": 1,
        "cannot-complete": 2,
    }
    answer = bulk("cora", "decide", [flagged, refused], decision="approve")
    assert [item.reason.count("approve") for item in answer.context["skipped"]] == [1]
    assert (len(answer.context["done"]), HumanTask.objects.get(pk=refused.pk).status) == (1, "pending")


def test_it_skips_what_changed_since_it_was_seen(make_task: NewTaskFactory, sam: Actor, ana: Actor, bulk: Bulk) -> None:
    raised, back, fresh = make_task(), make_task(), make_task()
    change_priority(raised.pk, sam, priority=4)
    claim_task(back.pk, sam)
    release_task(back.pk, sam)  # the same status as it was seen in, at another version
    answer = bulk("ana", "decide", [raised, back, fresh], decision="approve")
    assert summary(answer) == "1 done, 2 skipped: changed since you chose it (2)"
    assert HumanTask.objects.open().count() == 2


def test_it_would_overwrite_without_the_version(
    make_task: NewTaskFactory, sam: Actor, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a verb that forgets the version decides what nobody has seen."""
    task = make_task()
    change_priority(task.pk, sam, priority=4)

    def blind(task_id: str, actor: Actor, values: dict[str, Any]) -> HumanTask:
        return decide_task(task_id, actor, Decision("approved"))

    monkeypatch.setitem(VERBS, "approve", replace(VERBS["approve"], run=blind))
    assert summary(bulk("ana", "decide", [task], decision="approve")) == "1 done"


def test_it_lets_one_include_what_changed_as_it_is_now(make_task: NewTaskFactory, sam: Actor, bulk: Bulk) -> None:
    task = make_task()
    change_priority(task.pk, sam, priority=4)
    (item,) = bulk("ana", "claim", [task], confirmed=False).context["plan"].changed
    assert item.seen.value == f"{task.pk}:2"
    assert summary(bulk("ana", "claim", [], changed=[item.seen.value])) == "1 done"


def test_it_answers_for_foreign_tasks_as_for_unknown_ones(
    make_task: NewTaskFactory, people: dict[str, Any], bulk: Bulk
) -> None:
    foreign = make_task("permission_exception", creative_id="cr_secret", error_detail="nobody else's business")
    unknown = f"task_{'0' * len(foreign.pk.removeprefix('task_'))}"
    for verb, fields in (
        ("claim", {}),
        ("decide", {"decision": "complete"}),
        ("assign", {"assigned_to": "zoe"}),
        ("escalate", {}),
        ("release", {}),
    ):
        for confirmed in (True, False):
            theirs = bulk("sam", verb, [foreign], confirmed=confirmed, **fields)
            nobodys = bulk("sam", verb, [f"{unknown}:1"], confirmed=confirmed, **fields)
            assert theirs.status_code == nobodys.status_code == 200
            assert text_of(theirs).replace(foreign.pk, unknown) == text_of(nobodys)
            assert "no such task, or not yours to see" in text_of(theirs)
            assert "cr_secret" not in theirs.content.decode()
    foreign.refresh_from_db()
    assert (foreign.status, foreign.version) == ("pending", 1)


def test_it_lets_a_lead_hand_over_what_a_colleague_holds(
    make_task: NewTaskFactory, people: dict[str, Any], ana: Actor, sam: Actor, bulk: Bulk
) -> None:
    add_to_team(people["cora"], "creative-review")
    tasks = [claim_task(make_task().pk, ana) for _ in range(3)]
    answer = bulk("sam", "assign", tasks, confirmed=False)
    assert [(option.value, option.number) for option in answer.context["options"]] == [
        ("ana", 3),
        ("cora", 3),
        ("sam", 3),
    ]
    assert next(option.label for option in answer.context["options"]) == "ana (3 open)"
    assert summary(bulk("sam", "assign", tasks, assigned_to="cora", text="Ana is ill.")) == "3 done"
    assert HumanTask.objects.filter(assigned_to=people["cora"]).count() == 3
    assert set(TaskEvent.objects.filter(type="task.assigned").values_list("reason", flat=True)) == {"Ana is ill."}


def test_it_names_whom_a_task_cannot_be_given(make_task: NewTaskFactory, people: dict[str, Any], bulk: Bulk) -> None:
    answer = bulk("sam", "assign", [make_task()], assigned_to="zoe")
    assert summary(answer) == "0 done, 1 skipped: zoe may not work on it"
    answer = bulk("ana", "assign", [make_task()], assigned_to="ana")
    assert summary(answer) == "0 done, 1 skipped: only a lead of its team may assign it"


def test_it_escalates_and_releases(make_task: NewTaskFactory, ana: Actor, bulk: Bulk) -> None:
    held, free = claim_task(make_task().pk, ana), make_task()
    assert summary(bulk("ana", "release", [held, free])) == "1 done, 1 skipped: nobody has it"
    held.refresh_from_db()
    assert summary(bulk("sam", "escalate", [held, free], text="Too many.")) == "2 done"
    assert set(HumanTask.objects.values_list("status", flat=True)) == {"escalated"}


def test_it_keeps_four_eyes_for_each_task(make_task: NewTaskFactory, ana: Actor, bulk: Bulk) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    first, second = make_task(), make_task()
    decide_task(first.pk, ana, Decision("approved"))
    first.refresh_from_db()
    answer = bulk("ana", "decide", [first, second], decision="approve")
    assert summary(answer) == "1 done, 1 skipped: needs a second pair of eyes"
    assert answer.context["done"][0].note == "a second reviewer confirms it"
    second.refresh_from_db()
    assert summary(bulk("sam", "decide", [first, second], decision="approve")) == "2 done"
    assert not HumanTask.objects.open().exists()


def test_it_takes_everything_in_a_view_up_to_a_limit(
    make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.admin.bulk_page.MOST", 3)
    wanted = [make_task(priority=4) for _ in range(3)]
    make_task(priority=1), make_task("compliance_review", priority=4)
    client, url = client_for("ana"), f"{QUEUE}bulk/claim/"
    answer: Any = client.post(url, {"everything": "1", "view": "tab=all&priority=4"})
    assert [item.seen.task_id for item in answer.context["plan"].eligible] == [task.pk for task in wanted]
    assert not answer.context["is_cut"]
    make_task(priority=4)
    answer = client.post(url, {"everything": "1", "view": "tab=all&priority=4"})
    assert answer.context["is_cut"]
    for view in ("", "tab=closed", "tab=nonsense", "q=" + "x" * 5_000):
        answer = client.post(url, {"everything": "1", "view": view})
        assert answer.context["plan"].eligible == []


HOSTILE = [
    "",
    ":",
    "x",
    "x:1",
    "task_1\x00:1",
    "task_1'; DROP TABLE tasks--:1",
    "task_1:" + "9" * 40,
    "task_1:-1",
    "task_1:1e9",
    "task_1:٣",
    "%00:1",
    "<script>p0wn()</script>:1",
    "\ud800x:1".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "a" * 100_000 + ":1",
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_it_stands_hostile_posts(value: str, people: dict[str, Any], client_for: ClientFor) -> None:
    client = client_for("sam")
    for verb in ("claim", "assign", "decide", "release", "escalate", "explode"):
        for extra in ({}, {"confirmed": "1", "decision": value, "assigned_to": value, "text": value}):
            answer = client.post(
                f"{QUEUE}bulk/{verb}/", {"task": [value, value], "back": value, "view": value, **extra}
            )
            assert answer.status_code < 500
            assert "<script>p0wn" not in answer.content.decode()
    assert client.post(f"{QUEUE}bulk/claim/", {"task": ["x:1"] * 900}).status_code == 200


def test_it_takes_five_hundred_at_most(people: dict[str, Any], client_for: ClientFor) -> None:
    answer: Any = client_for("sam").post(f"{QUEUE}bulk/claim/", {"task": [f"task_{n}:1" for n in range(900)]})
    assert answer.context["asked_for"] == MOST


def test_it_changes_nothing_on_get_or_without_the_token(
    make_task: NewTaskFactory, client_for: ClientFor, ana: Actor
) -> None:
    task = make_task()
    sent = {"task": [seen(task)], "confirmed": "1"}
    assert client_for("ana").get(f"{QUEUE}bulk/claim/", sent).headers["Location"] == QUEUE
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ana.user)
    assert strict.post(f"{QUEUE}bulk/claim/", sent).status_code == 403
    assert "/admin/login/" in Client().post(f"{QUEUE}bulk/claim/", sent).headers["Location"]
    assert HumanTask.objects.get().status == "pending"


def test_it_answers_the_script_with_the_part_alone(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    client, task = client_for("ana"), make_task()
    whole = client.post(f"{QUEUE}bulk/claim/", {"task": [seen(task)]})
    part = client.post(f"{QUEUE}bulk/claim/", {"task": [seen(task)]}, headers={"X-Console-Part": "1"})
    assert b"<html" in whole.content
    assert b"<html" not in part.content


def test_it_previews_many_with_the_queries_of_few(
    make_task: NewTaskFactory, people: dict[str, Any], ana: Actor, client_for: ClientFor
) -> None:
    client = client_for("sam")
    eve = adapter(people["eve"], "globex")

    def asked(number: int, verb: str) -> int:
        mine = [make_task() for _ in range(number)]
        mine += [claim_task(make_task().pk, ana) for _ in range(number)]
        foreign = [make_task("compliance_review", actor=eve, principal_id="globex") for _ in range(number)]
        comment_on_task(mine[0].pk, ana, "hm")
        with CaptureQueriesContext(connection) as captured:
            client.post(f"{QUEUE}bulk/{verb}/", {"task": [seen(task) for task in [*mine, *foreign]]})
        return len(captured)

    for verb in ("claim", "assign", "decide", "escalate", "release"):
        assert asked(1, verb) == asked(7, verb) <= 16


def test_it_hides_the_bar_for_those_who_only_look(
    make_task: NewTaskFactory, people: dict[str, Any], client_for: ClientFor, sam: Actor
) -> None:
    make_task()
    bars: dict[str, Any] = {who: client_for(who).get(QUEUE, {"tab": "all"}) for who in ("ana", "sam", "root")}
    assert {who: [verb.name for verb in page.context["bulk_verbs"]] for who, page in bars.items()} == {
        "ana": ["claim", "decide", "escalate", "release"],
        "sam": ["claim", "assign", "decide", "escalate", "release"],
        "root": ["claim", "assign", "decide", "escalate", "release"],
    }
    assert "data-pick" not in client_for("ana").get(QUEUE, {"tab": "closed"}).content.decode()
