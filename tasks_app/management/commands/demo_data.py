"""The demo's people, adapters and a queue with life in it. Idempotent: safe at each start."""

import json
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from core import clock
from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Phrase, Principal, Team, TeamMembership, User
from tasks_app.services import Decision, NewTask, claim_task, decide_task, escalate_task, open_task, start_task

PRINCIPALS: Final = {"acme_corp": "Acme Corp", "globex": "Globex", "initech": "Initech", "umbrella": "Umbrella Pharma"}
PEOPLE: Final[dict[str, tuple[str, str, list[tuple[str, str]]]]] = {
    "ana": ("Ana", "Reyes", [("creative-review", "member")]),
    "sam": ("Sam", "Okafor", [("creative-review", "lead"), ("leads", "lead")]),
    "zoe": ("Zoe", "Lindqvist", [("ad-operations", "member")]),
    "tom": ("Tom", "Barnes", [("technical-operations", "member")]),
    "cora": ("Cora", "Weiss", [("compliance", "lead"), ("leads", "member")]),
}
# Invented cases in the manner of the ones that ad operations meet.
TASKS: Final = Path(__file__).parents[2] / "fixtures" / "demo_tasks.json"
PHRASES: Final = TASKS.with_name("demo_phrases.json")
ADAPTERS: Final = {"bot": ["acme_corp"], "eve": ["globex"]}


class Command(BaseCommand):
    help = (
        "Make the demo's people, adapters and tasks on first use; passwords and tokens are kept in HITL_HOME/demo.json."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.HITL_HOME / "demo.json"
        kept = json.loads(path.read_text()) if path.is_file() else {}
        with transaction.atomic():
            credentials = self._credentials(kept)
            if not HumanTask.objects.exists():
                self._phrases()
                self._tasks()
        if credentials != kept:
            _write_private(path, json.dumps(credentials, indent=2))

    def _credentials(self, kept: dict[str, Any]) -> dict[str, Any]:
        """People's passwords and adapters' tokens. What is missing, or not in this database, is made anew."""
        for pk, name in PRINCIPALS.items():
            Principal.objects.get_or_create(pk=pk, defaults={"name": name})
        logins = {
            username: self._person(username, kept.get("logins", {}).get(username)) for username in (*PEOPLE, "root")
        }
        live = {name: text for name, text in kept.get("tokens", {}).items() if tokens.resolve(text) is not None}
        for name, principals in ADAPTERS.items():
            if name not in live:
                user, _created = User.objects.get_or_create(
                    username=name, defaults={"kind": User.Kind.SERVICE, "password": "!"}
                )
                _token, live[name] = tokens.issue(
                    name, user, principals=list(Principal.objects.filter(pk__in=principals))
                )
        return {"logins": logins, "tokens": live}

    def _person(self, username: str, password: str | None) -> str:
        user = User.objects.filter(username=username).first()
        if user is not None and password is not None and user.check_password(password):
            return password
        password = password or secrets.token_urlsafe(9)
        if user is None:
            first, last, teams = PEOPLE.get(username, ("Root", "Administrator", []))
            user = User(
                username=username,
                first_name=first,
                last_name=last,
                email=f"{username}@agency.example",
                is_staff=True,
                is_superuser=username == "root",
            )
            user.set_password(password)
            user.save()
            for slug, role in teams:
                TeamMembership.objects.create(user=user, team=Team.objects.get(pk=slug), role=role)
        else:
            user.set_password(password)
            user.save(update_fields=["password"])
        return password

    def _phrases(self) -> None:
        for phrase in json.loads(PHRASES.read_text()):
            Phrase.objects.get_or_create(**phrase)

    def _tasks(self) -> None:
        """Tasks of the last two days, some of them taken or decided, opened and worked through the services."""
        actors = {user.username: Actor(user=user) for user in User.objects.filter(kind=User.Kind.PERSON)}
        adapters = {
            name: Actor(user=User.objects.get(username=name), scopes=frozenset(["tasks:create", "tasks:read"]))
            for name in ADAPTERS
        }
        now = clock.now()
        for demo in json.loads(TASKS.read_text()):
            opener = adapters["eve" if demo["principal_id"] == "globex" else "bot"]
            fields = {name: value for name, value in demo.items() if name not in ("hours_ago", "then")}
            opened_at = now - timedelta(hours=demo["hours_ago"])
            with clock.at(opened_at):
                task, _created = open_task(NewTask(**fields), opener)
            with clock.at(opened_at + (now - opened_at) / 3):
                self._work(task.pk, actors, *demo.get("then", ()))

    def _work(self, task_id: str, actors: dict[str, Actor], who: str = "", what: str = "", text: str = "") -> None:
        if what == "claim":
            claim_task(task_id, actors[who])
        elif what == "start":
            claim_task(task_id, actors[who])
            start_task(task_id, actors[who])
        elif what == "escalate":
            claim_task(task_id, actors[who])
            escalate_task(task_id, actors[who], reason=text)
        elif what:
            decide_task(task_id, actors[who], Decision(what, text))


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
