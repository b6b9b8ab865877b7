"""Make an API token and print it, and nothing else."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from tasks_app import tokens
from tasks_app.models import Principal, Scope, User
from tasks_app.models.access import default_scopes


class Command(BaseCommand):
    help = "Make a token for an adapter (--principal, --all-principals) or a person (--for-user), and print it once."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the adapter's service user, made on first use; with --for-user just a label")
        parser.add_argument(
            "--principal", action="append", default=[], metavar="ID", help="a principal it speaks for; may be repeated"
        )
        parser.add_argument(
            "--all-principals", action="store_true", help="it speaks for all principals and registers new ones"
        )
        parser.add_argument("--for-user", metavar="USERNAME", help="a personal token with this person's own rights")
        parser.add_argument(
            "--scope", action="append", default=[], choices=Scope.values, help="added to the default scopes"
        )

    def handle(
        self,
        *args: Any,
        name: str,
        principal: list[str],
        all_principals: bool,
        for_user: str | None,
        scope: list[str],
        **options: Any,
    ) -> None:
        if sum([bool(principal), all_principals, for_user is not None]) != 1:
            raise CommandError(
                "Say for whom: --principal ID (may be repeated), --all-principals, or --for-user USERNAME."
            )
        with transaction.atomic():
            if for_user is not None:
                user = User.objects.filter(username=for_user, kind=User.Kind.PERSON, is_active=True).first()
                if user is None:
                    raise CommandError(f"There is no active person '{for_user}'.")
                if scope:
                    raise CommandError("A personal token carries its person's rights; --scope is for adapters.")
                _token, text = tokens.issue(name, user)
            else:
                user, _created = User.objects.get_or_create(
                    username=name, defaults={"kind": User.Kind.SERVICE, "password": "!"}
                )
                if user.kind != User.Kind.SERVICE:
                    raise CommandError(
                        f"'{name}' is a person; give the adapter a name of its own, or use --for-user {name}."
                    )
                rows = [Principal.objects.get_or_create(pk=pk)[0] for pk in principal]
                scopes = [*default_scopes(), *(s for s in scope if s not in default_scopes())]
                _token, text = tokens.issue(name, user, principals=rows, all_principals=all_principals, scopes=scopes)
        self.stdout.write(text)
