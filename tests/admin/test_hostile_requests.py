"""Whatever is sent to the console, no answer is a 5xx: every address, every method, every field of every form."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from tasks_app.actors import Actor
from tasks_app.creatives import creative_in
from tasks_app.models import User
from tests.admin.conftest import QUEUE, ClientFor
from tests.admin.furnished import Furnished, addresses
from tests.cast import NewTaskFactory
from tests.profile import scaled

# How many of the values each field is given, in turn.
VALUES_PER_FIELD: Final = scaled("FIELD_VALUES", 1, 100)
# Of addresses, queries and fields one in so many is tried in every run.
ONE_IN: Final = scaled("ONE_IN", 8, 1)
VALUES: Final = (
    *("", " ", "\0", "a\0b", "²", "١", "-1", "0", "1", "9" * 30, "9" * 5_000, "2147483647", "2147483648", "99999999"),
    *("9223372036854775807", "9223372036854775808", "1e999", "NaN", "1.5", "x" * 5_000, "x" * 300, "é\u202e\ufffe"),
    *("[]", "{}", "null", '{"a":' * 3_000, '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"type": 5}', '{"$ref": "#"}'),
    *('["\\u0000"]', '{"a": 1e999}', '{"properties": {"a": {"pattern": "("}}}', "2026-02-30T25:61", "true", "<x>"),
    *("0001-01-01T00:00", "9999-12-31T23:59", "10000-01-01", "'; DROP TABLE x; --", "%00", "../../etc/passwd"),
    *("\r\nX: y", "00:00-24:00", "23:59-00:00", "2026-12-24 00:00-23:59\n9999-12-31 closed", "0001-01-01 closed"),
    *("javascript:alert(1)", "http://127.0.0.1\\@x.invalid/", "https://[::1", "//evil.invalid", "a@b\n.co"),
    "https://hooks.invalid/x\r\ny",
)  # fmt: skip
KEYS: Final = (
    *("nothing", "_00", "_5F", "%ED%A0%80", "%FF", "9" * 30, "-1", "²", "%2e%2e", "x" * 3_000, "'", "%0d%0a", "a%20b"),
)  # fmt: skip
QUERIES: Final = (
    *("p=-1", "p=x", "p=99999999999999999999", "p=%C2%B2", "o=1", "o=-9.x", "q=%ED%A0%80", "q=" + "x" * 5_000, "e=1"),
    *("all=", "page=-1", "page=%C2%B2", "month=0000-00", "month=9999-12", "back=%2F%2Fevil.example", "task=x"),
    *("period=custom&date=1971-01-01&to=2200-12-31", "period=month&date=2200-12-31&format=csv", "by=password"),
    *("tab=closed&due=none", "due_from=9999-12-31", "due_to=0001-01-01", "order=x", "counts=x&tab=%FF", "type=999"),
    *("is_active__exact=x", "id__gt=x", "password__startswith=a", "user__password__startswith=a", "team__id__exact=x"),
    *("status__exact=%F0%9F%98%80", "_to_field=password", "_popup=1", "_changelist_filters=%FF", "open=9"),
    "not=" + ",".join("x" * 200),
    "app_label=tasks_app&model_name=team&field_name=principals&term=x&page=-1",
    "app_label=x&model_name=y&field_name=z&term=%FF",
    "app_label=tasks_app&model_name=teammembership&field_name=user&term=" + "x" * 3_000,
)  # fmt: skip
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "X" * 50)


class Forms(HTMLParser):
    """The forms of a page with what a browser would send of each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, list[str]]]] = []
        self._select: tuple[str, bool] | None = None
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.found.append((given.get("action", "") if given.get("method", "").lower() == "post" else "GET", {}))
        elif not self.found or "disabled" in given:
            return
        elif tag == "input" and name:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self._add(name, given.get("value", ""))
            else:
                self.found[-1][1].setdefault(name, [])
        elif tag == "textarea" and name:
            self._text = name
            self._add(name, "")
        elif tag == "select" and name:
            self._select = name, "multiple" in given
            self.found[-1][1].setdefault(name, [])
        elif tag == "option" and self._select and "selected" in given:
            self._add(self._select[0], given.get("value", ""))

    def _add(self, name: str, value: str) -> None:
        self.found[-1][1].setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        if self._text and self.found:
            self.found[-1][1][self._text][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text = None
        elif tag == "select":
            self._select = None


@pytest.fixture
def console(make_task: NewTaskFactory, actors: dict[str, Actor]) -> Furnished:
    return Furnished(lambda _number, limit: "words"[:limit], make_task, actors, number=1)


def hostile_addresses(console: Furnished) -> Iterator[str]:
    """Each address as it is meant, and with a key that nothing has."""
    for name, route in sorted(addresses().items()):
        for args in console.places(name, route):
            address = reverse(f"admin:{name}", args=args)
            yield address
            for key in KEYS if args and "change" in name else ():
                yield address.replace(f"/{args[0]}/", f"/{key}/")


def faults(answer: Any, what: str) -> list[str]:
    return [f"{what}: {answer.status_code}"] if answer.status_code >= 500 else []


def quiet(client: Client) -> Client:
    client.raise_request_exception = False
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["root", "ana"])
def test_it_survives_every_method_and_key_on_every_address(console: Furnished, client_for: ClientFor, who: str) -> None:
    client, found = quiet(client_for(who)), []
    for number, address in enumerate(hostile_addresses(console)):
        if "logout" in address or number % ONE_IN:
            continue
        for method in (METHODS[number % len(METHODS)], METHODS[(number + 3) % len(METHODS)]):
            found += faults(client.generic(method, address), f"{method} {address[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.django_db
def test_it_survives_hostile_query_strings(console: Furnished, client_for: ClientFor) -> None:
    client, found = quiet(client_for("root")), []
    for number, (name, route) in enumerate(sorted(addresses().items())):
        address = reverse(f"admin:{name}", args=console.places(name, route)[0])
        everywhere = "changelist" in name or name in ("autocomplete", "search", "tasks_app_humantask_deck_card")
        for query in QUERIES[number % ONE_IN :: ONE_IN] if everywhere else QUERIES[number % 36 :: 9 * ONE_IN]:
            if name != "logout":
                found += faults(client.get(f"{address}?{query}"), f"{address[:100]}?{query[:60]}")
    assert not found, "\n".join(found)


@pytest.mark.django_db
def test_it_survives_a_hostile_value_in_every_field_of_every_form(console: Furnished, client_for: ClientFor) -> None:
    client, found, sent, number = quiet(client_for("root")), [], 0, 0
    filled: set[tuple[str, frozenset[str]]] = set()
    for name, route in sorted(addresses().items()):
        for args in console.places(name, route):
            address = reverse(f"admin:{name}", args=args)
            parser = Forms()
            shown = client.get(address) if name != "logout" else None
            if shown is None or shown.streaming or shown.status_code != 200:
                continue
            parser.feed(shown.content.decode())
            for action, fields in parser.found:
                # A form that stands on many pages is filled in once.
                if action == "GET" or "logout" in action or (action, frozenset(fields)) in filled:
                    continue
                filled.add((action, frozenset(fields)))
                for field in sorted(fields.keys() - {"csrfmiddlewaretoken"})[number % ONE_IN :: ONE_IN]:
                    for value in VALUES[number % len(VALUES) :][:VALUES_PER_FIELD]:
                        answer = client.post(action or address, {**fields, field: [value]})
                        found += faults(answer, f"{action or address} {field}={value[:40]!r}")
                        sent += 1
                    number += VALUES_PER_FIELD
    assert not found, "\n".join(found)
    assert sent >= 150 * min(VALUES_PER_FIELD, len(VALUES)) // ONE_IN, sent


@pytest.mark.django_db
def test_it_takes_digits_of_other_scripts_for_no_numbers(console: Furnished, client_for: ClientFor) -> None:
    """To Python `²` is a digit, and no number: this was a server error."""
    client = client_for("ana")
    for path, sent in (
        ("news/told/", {"ids": "²,١,1"}),
        ("deck/poll/", {"ids": "²"}),
        ("deck/leave/", {"version": "²"}),
    ):
        answer = client.post(f"{QUEUE}{path}", {"task": console.held.pk, **sent})
        assert answer.status_code in (200, 204), path


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["next/", "deck/show/", "deck/undo/", "deck/skip/", "bulk/decide/", "views/"])
def test_it_refuses_nul_in_a_form(path: str, client_for: ClientFor, people: dict[str, User]) -> None:
    """PostgreSQL cannot hold it, and says so in the middle of the work."""
    sent = {"task": "task_\0", "task_type": "\0", "name": "\0", "confirmed": "1"}
    assert client_for("ana").post(f"{QUEUE}{path}", sent).status_code == 400


FORM: Final = "application/x-www-form-urlencoded"
BODIES: Final = {
    "ten megabytes": (b"text=" + b"x" * 10_000_000, FORM, 400),
    "many fields": (b"&".join(b"f%d=1" % number for number in range(5_000)), FORM, 400),
    "bad UTF-8": (b"text=%ff%fe&version=%ed%a0%80&task=\xff", FORM, 0),
    "no boundary": (b"--x", "multipart/form-data", 0),
    "broken parts": (b'--x\r\nContent-Disposition: form-data; name="a\r\n\r\n', "multipart/form-data; boundary=x", 0),
    "another type": (b'{"version": ' + b"[" * 50_000, "application/json", 0),
    "another charset": (b"text=x", f"{FORM}; charset=utf-99", 0),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", BODIES)
def test_it_survives_hostile_bodies_and_cookies(name: str, client_for: ClientFor, make_task: NewTaskFactory) -> None:
    body, content_type, expected = BODIES[name]
    client, task = quiet(client_for("ana")), make_task()
    client.cookies.load({"time_zone": "../../etc/passwd", "django_language": "x" * 3_000, "messages": "x:y:z"})
    for path in (f"{QUEUE}{task.pk}/comment/", f"{QUEUE}bulk/claim/", f"{QUEUE}deck/act/approve/", "/admin/login/"):
        answer = client.generic("POST", path, body, content_type=content_type)
        assert answer.status_code < 500, path
        assert answer.status_code == expected or not expected, path


@pytest.mark.django_db
@pytest.mark.parametrize("since", ["", "x", "2026-02-30T25:61", "0001-01-01T00:00", "9999-12-31T23:59+14:00"])
def test_it_recovers_from_no_moment_that_is_none(since: str, console: Furnished, client_for: ClientFor) -> None:
    endpoint = console.rows["notifications_endpoint"][0]
    url = reverse("admin:notifications_endpoint_recover", args=[endpoint.pk])
    answer = client_for("root").post(url, {"since": since}, follow=True)
    assert "give the moment from which on" in answer.content.decode()


def test_a_creative_of_any_size_is_looked_at() -> None:
    """Adapters say widths as they like; one of 5,000 digits was a server error on the page of its task."""
    shown = creative_in({"creative": {"image_url": "https://x.example/a.png", "width": "9" * 5_000, "height": "²"}})
    assert [(one.width, one.height) for one in shown] == [(None, None)]
