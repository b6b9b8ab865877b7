"""A console with something on every page, and its addresses from the URL conf: so that no new page is forgotten."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import URLPattern, URLResolver

from core import clock
from notifications.channel_services import NewChannel, create_channel
from notifications.models import Alert, AlertRule, Attempt, Delivery, Endpoint
from tasks_app import events, services, summaries
from tasks_app.actors import Actor
from tasks_app.models import (
    AdapterToken,
    BusinessCalendar,
    HumanTask,
    Phrase,
    Principal,
    RetentionPolicy,
    SavedView,
    SLAPolicy,
    StagedDecision,
    TaskType,
    Team,
    User,
)
from tasks_app.services import Decision
from tests.cast import NewTaskFactory, person

# Gives a text of at most so many characters: the number of its row, and of the text within the row, say which.
Texts = Callable[[int, int], str]


def addresses() -> dict[str, str]:
    """Every named address of the console, with its route."""
    return {name: route for name, route in _walk(admin.site.urls[0], "") if name}


def _walk(patterns: Any, before: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        route = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield str(pattern.name or ""), route


class Furnished:
    """Rows of every model that a page shows, each written with texts of its own, and tasks in every state."""

    def __init__(self, texts: Texts, make_task: NewTaskFactory, people: dict[str, Actor], *, number: int) -> None:
        self._given, self._make_task, self._people, self._number = texts, make_task, people, number
        self._row = self._column = 0
        self.rows: dict[str, list[Any]] = {}
        self._catalogue()
        self._outside()
        self._work()

    def _texts(self, limit: int) -> str:
        self._column += 1
        return self._given(self._row + self._column, limit)

    def _rows(self) -> Iterator[int]:
        """Each column sees another text in each row, so that after as many rows as there are texts it has seen all."""
        for number in range(self._number):
            self._row, self._column = number, 0
            yield number

    def _keep(self, row: Any) -> Any:
        self.rows.setdefault(row._meta.label_lower.replace(".", "_"), []).append(row)
        return row

    def _catalogue(self) -> None:
        text = self._texts
        for n in self._rows():
            self._keep(Principal.objects.create(pk=f"principal_{n}", name=text(200)))
            team = self._keep(Team.objects.create(slug=f"team-{n}", name=text(100)))
            kind = TaskType.objects.create(
                slug=f"type-{n}", label=text(100), question=text(200), instructions=text(2_000), default_team=team,
                safe_fields=[text(100)], resolution_schema=_schema(text), context_schema={"description": text(500)},
            )  # fmt: skip
            team.task_types.add(self._keep(kind))
            someone = person(f"person{n}", first_name=text(150), last_name=text(150))
            User.objects.filter(pk=someone.pk).update(email=text(254))
            self._keep(someone).team_memberships = team.memberships.create(user=someone)
            self._keep(Group.objects.create(name=f"{n}{text(140)}"))
            self._keep(Phrase.objects.create(team_id="creative-review", text=text(1_000)))
            self._keep(SLAPolicy.objects.create(name=text(100), task_type=kind, to_resolve_minutes=60))
            hours = {"mon": [["09:00", "17:00"]]}
            self._keep(BusinessCalendar.objects.create(slug=f"calendar-{n}", name=text(100), weekly_hours=hours))
            self._keep(RetentionPolicy.objects.create(task_type=kind, days=30))
            token = {"prefix": f"prefix{n}", "digest": f"{n:064}", "user": self._people["bot"].user}
            self._keep(AdapterToken.objects.create(name=text(100), created_at=clock.now(), **token))
            SavedView.objects.create(user=self._people["ana"].user, name=f"{n}{text(55)}", query="tab=all")
        Team.objects.filter(pk="creative-review").update(name=text(100))
        TaskType.objects.filter(pk="creative_approval").update(
            label=text(100), question=text(200), instructions=text(2_000), resolution_schema=_schema(text)
        )
        for model in ("principal", "team", "tasktype"):  # so that their histories tell of a change
            for _number, row in zip(self._rows(), self.rows[f"tasks_app_{model}"], strict=True):
                setattr(row, "label" if model == "tasktype" else "name", text(100))
                row.save()

    def _outside(self) -> None:
        text, now = self._texts, clock.now()
        for n in self._rows():
            url = f"https://hooks.invalid/{n}"
            endpoint = Endpoint.objects.create(url=url, description=text(200), adapter_name=text(64), created_at=now)
            new = NewChannel(f"channel-{n}", text(100), "slack", address=f"https://hooks.invalid/{n}")
            self._keep(create_channel(new, self._people["root"]))
            rule = self._keep(AlertRule.objects.create(slug=f"rule-{n}", name=text(100), kind="failures"))
            alert = Alert.objects.create(rule=rule, subject=text(500), text=text(500), opened_at=now)
            body = orjson.dumps({"text": text(500), "more": text(500)})
            about = {"event_type": "alert.opened", "alert": self._keep(alert), "status": "failed"}
            sent = {"endpoint": self._keep(endpoint), "seq": n, "body": body, "created_at": now}
            delivery = Delivery.objects.create(**about, **sent)
            Attempt.objects.create(
                delivery=self._keep(delivery), started_at=now, duration_ms=7, headers={"x-sent": text(500)}, status=500,
                answer_headers={"x-answer": text(500), text(100): "x"}, answer=text(2_000), detail=text(500),
            )  # fmt: skip

    def _work(self) -> None:
        ana, sam = self._people["ana"], self._people["sam"]
        self.waiting = [self._task() for _ in self._rows()]
        same = {"operation": self._texts(128), "error_detail": self._texts(500)}
        self.alike = [self._make_task(**same, context_data={"x": self._texts(500)}) for _ in range(2)]
        self.held, self.ended, self.given, self.staged = self._task(), self._task(), self._task(), self._task()
        for task in (self.held, self.given, self.staged):
            services.claim_task(task.pk, ana)
            services.start_task(task.pk, ana)
        services.comment_on_task(self.held.pk, sam, f"@ana {self._texts(5_000)}")
        services.hand_over_task(self.given.pk, ana, to="sam", note=self._texts(2_000))
        services.decide_task(self.ended.pk, ana, Decision("rejected", self._texts(5_000), {"name": self._texts(500)}))
        services.escalate_task(self.waiting[0].pk, sam, reason=self._texts(2_000))
        services.stage_decision(self.staged.pk, ana, Decision("rejected", self._texts(2_000)))
        gone = {"outcome": StagedDecision.Outcome.CANCELLED, "why": self._texts(500), "ended_at": clock.now()}
        staged = {"resolution": "approved", "version": 1, "staged_at": clock.now(), "due_at": clock.now()}
        StagedDecision.objects.create(task=self.held, person=ana.user, **staged, **gone)
        while events.assign_positions():
            pass
        while summaries.roll_up():
            pass
        self.rows["auditlog_logentry"] = list(LogEntry.objects.order_by("-pk")[: 2 * self._number])

    def _task(self) -> HumanTask:
        text = self._texts
        policy = {"policy_id": text(90), "name": text(90), "text": text(90)}
        more = {text(60): [text(300), {"x": text(300)}], "targeting": {text(60): text(500)}, "flags": [text(500)]}
        return self._make_task(
            adapter_name=text(64),
            media_buy_id=text(128),
            creative_id=text(128),
            operation=text(128),
            error_detail=text(8_000),
            context_data={"policy": policy, **more},
        )

    def places(self, name: str, route: str, *, every_row: bool = False) -> list[list[Any]]:
        """Arguments with which the address leads somewhere: those of one row of its model, or of every row."""
        if "<" not in route:
            return [[]]
        if name in self._special():
            return self._special()[name]
        if name.startswith("tasks_app_humantask"):
            return [[task.pk] for task in (self.held, self.ended, self.given, self.staged, self.waiting[0])]
        parts = name.split("_")
        rows = self.rows.get("_".join(parts[:3] if parts[0] == "tasks" else parts[:2]), [])
        return [[row.pk] for row in (rows if every_row else rows[:1])]

    def _special(self) -> dict[str, list[list[Any]]]:
        """The addresses that take more than the key of a row."""
        channel, verbs = (
            self.rows["notifications_channel"][0],
            ("approve", "reject", "assign", "hold", "route", "comment"),
        )
        return {
            "tasks_app_humantask_bulk": [[verb] for verb in ("decide", "assign", "release", "escalate", "route")],
            "tasks_app_humantask_deck_act": [["approve"], ["escalate"], ["nothing"]],
            "tasks_app_humantask_act": [[task.pk, verb] for task in (self.held, self.waiting[0]) for verb in verbs],
            "tasks_app_humantask_group": [[self.alike[0].similarity_key]],
            "tasks_app_humantask_change_view": [[view.pk] for view in SavedView.objects.all()[:1]],
            "notifications_channel_act": [[channel.pk, verb] for verb in ("test", "disable", "enable", "nothing")],
            "auth_user_password_change": [[self.rows["tasks_app_user"][0].pk]],
            "app_list": [["tasks_app"], ["notifications"], ["auth"], ["auditlog"]],
            "view_on_site": [[1, 1]],
        }


def _schema(text: Callable[[int], str]) -> dict[str, Any]:
    return {"type": "object", "properties": {"name": {"type": "string", "title": text(200), "description": text(200)}}}
