"""System checks for settings that would lose data, leak it, or believe the wrong caller. Each says what helps."""

import ipaddress
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from core import guards, revised
from core.addresses import UnsafeUrl, check_url
from hitl import home

INSECURE_PREFIXES: Final = ("insecure", "django-insecure", "changeme", "secret")
SECRET_KEY_LENGTH: Final = 50  # as Django's own security.W009
SQLITE_PRAGMAS: Final = {"journal_mode": "wal", "recursive_triggers": 1, "foreign_keys": 1}
LOOPBACK_NAMES: Final = frozenset({"localhost", "testserver"})
_KEYS_HINT = "`manage.py up` generates keys on its first start; or set {variable}. Keep them with your backups."


def missing_keys() -> list[str]:
    """The environment variables of the keys that neither the environment nor keys.json gives."""
    values = {name: getattr(settings, variable, "") for name, variable in home.KEYS.items()}
    values["secret_key"] = "" if settings.SECRET_KEY == settings.HITL_NO_SECRET_KEY else settings.SECRET_KEY
    return [variable for name, variable in home.KEYS.items() if not values[name]]


@register("hitl")
def keys_are_there(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"The key {variable} is missing.", hint=_KEYS_HINT.format(variable=variable), id="hitl.E001")
        for variable in missing_keys()
    ]


@register("hitl")
def secret_key_is_random(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    key = settings.SECRET_KEY
    if "HITL_SECRET_KEY" in missing_keys():
        return []
    if len(key) >= SECRET_KEY_LENGTH and len(set(key)) >= 10 and not key.lower().startswith(INSECURE_PREFIXES):
        return []
    return [
        Error(
            "HITL_SECRET_KEY can be guessed: whoever guesses it can sign in as anyone.",
            hint=f"Use at least {SECRET_KEY_LENGTH} random characters, e.g. from "
            "`python -c 'import secrets; print(secrets.token_urlsafe(64))'`.",
            id="hitl.E002",
        )
    ]


@register("hitl")
def keys_have_their_form(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    bad = [number for number, key in enumerate(settings.HITL_ENCRYPTION_KEYS, 1) if not home.is_encryption_key(key)]
    if bad:
        found.append(
            Error(
                f"HITL_ENCRYPTION_KEYS: number {', '.join(map(str, bad))} is not an encryption key.",
                hint="Each is a Fernet key, 32 random bytes in URL-safe base64; the newest first, commas between.",
                id="hitl.E003",
            )
        )
    if settings.HITL_SIGNING_KEY and not home.is_signing_key(settings.HITL_SIGNING_KEY):
        found.append(
            Error(
                "HITL_SIGNING_KEY is not a signing key.",
                hint="It is an Ed25519 private key: its 32 random bytes in base64.",
                id="hitl.E003",
            )
        )
    return found


@register("hitl")
def debug_is_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """DEBUG shows settings and local variables to every visitor: it may only be seen from this machine."""
    hosts = [*settings.ALLOWED_HOSTS, urlsplit(settings.HITL_BASE_URL).hostname or "", settings.HITL_BIND]
    public = [host for host in hosts if not _is_loopback(host)]
    if not settings.DEBUG or not (public or settings.HITL_HTTPS):
        return []
    return [
        Error(
            f"HITL_DEBUG is on while the system can be reached from outside ({', '.join(public) or 'https'}).",
            hint="Unset HITL_DEBUG; or serve 127.0.0.1 alone (HITL_BIND, HITL_ALLOWED_HOSTS, HITL_BASE_URL).",
            id="hitl.E004",
        )
    ]


@register("hitl")
def allowed_hosts_are_named(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.HITL_HTTPS or "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "HITL_ALLOWED_HOSTS is '*': a forged Host header would be believed, e.g. in links sent by mail.",
            hint="Name the hosts, e.g. HITL_ALLOWED_HOSTS=tasks.example.com",
            id="hitl.E005",
        )
    ]


@register("hitl", Tags.database)
def sqlite_keeps_its_promises(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Asked of the connection, not of the settings: an option with a typing error is silently ignored by SQLite."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "sqlite":
            continue
        options = connection.settings_dict["OPTIONS"]
        wrong = [] if options.get("transaction_mode") == "IMMEDIATE" else ["transaction_mode"]
        with connection.cursor() as cursor:
            for pragma, expected in SQLITE_PRAGMAS.items():
                value = cursor.execute(f"PRAGMA {pragma}").fetchone()[0]
                if value != expected and not (pragma == "journal_mode" and value == "memory"):
                    wrong.append(pragma)
        if wrong:
            found.append(
                Error(
                    f"SQLite runs without {', '.join(wrong)}: writers would collide, or the trail could be rewritten.",
                    hint="Leave the database OPTIONS of hitl/settings.py as they are.",
                    id="hitl.E006",
                )
            )
    return found


@register("hitl", Tags.database)
def guards_are_installed(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    missing = [name for alias in databases or () for name in guards.missing(connections[alias])]
    if not missing:
        return []
    return [
        Error(
            f"The trail is not protected against changes: {', '.join(missing)}.",
            hint="`manage.py migrate` installs the guards. If nobody migrated or restored this database, find out who "
            "removed them.",
            id="hitl.E007",
        )
    ]


@register("hitl", Tags.database)
def changes_are_noticed(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    missing = [name for alias in databases or () for name in revised.missing(connections[alias])]
    if not missing:
        return []
    return [
        Error(
            f"Processes would not notice changes of {', '.join(missing)} within HITL_LOOKUP_SECONDS.",
            hint="`manage.py migrate` installs the triggers that tell them.",
            id="hitl.E010",
        )
    ]


@register("hitl")
def trusted_proxies_are_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    bad = [entry for entry in settings.HITL_TRUSTED_PROXIES if not _is_network(entry)]
    if not bad:
        return []
    return [
        Error(
            f"HITL_TRUSTED_PROXIES: {', '.join(bad)} is neither an address nor a network.",
            hint="Give the addresses of your proxies, e.g. HITL_TRUSTED_PROXIES=10.0.0.7,10.1.0.0/24",
            id="hitl.E008",
        )
    ]


@register("hitl")
def webhook_url_can_be_called(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The same judge as at sending: what is wrong with the URL is said at the start, not by a failed delivery."""
    if not settings.HITL_WEBHOOK_URL:
        return []
    try:
        check_url(settings.HITL_WEBHOOK_URL, allow_hosts=frozenset(settings.HITL_ALLOW_PRIVATE_HOSTS))
    except UnsafeUrl as error:
        return [
            Error(
                f"HITL_WEBHOOK_URL cannot be called. {error.detail}",
                hint="Use https://host/path. A receiver inside your network is allowed by name, e.g. "
                "HITL_ALLOW_PRIVATE_HOSTS=receiver.internal",
                id="hitl.E009",
            )
        ]
    return []


def _is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in LOOPBACK_NAMES or name.endswith(".localhost")


def _is_network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return True
