"""Messages to people: e-mail by SMTP, Slack by an incoming webhook. Each lays out a letter and sends it."""

import asyncio
import contextlib
import smtplib
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from time import perf_counter
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.core.mail import get_connection
from django.template.loader import render_to_string
from django.utils.encoding import punycode

from core import clock
from core.http import OutboundError, OutboundSession, Response
from notifications.channels.base import Channel, Parcel
from notifications.channels.webhook import JSON
from notifications.letters import Letter
from notifications.models import Endpoint
from notifications.payloads import News
from tasks_app.models import User

TIMEOUT: Final = 15.0


class ChannelOfPeople(Channel):
    """A receiver that is people: its messages are written when they are sent, as they say how long is left."""

    for_people = True
    is_secret: ClassVar[bool] = True
    """Whether its address is one that must not be shown, as whoever knows it can write there."""

    def body(self, news: News, to: Endpoint) -> bytes:
        return b""

    def destination(self, to: Endpoint) -> str:
        return f"{to.url} {to.secrets[:1]}" if self.is_secret else str(to.url)

    def write(self, letter: Letter, message_id: str, address: str, at: datetime) -> bytes:
        """The letter as the bytes of one try."""
        raise NotImplementedError


class Slack(ChannelOfPeople):
    """An incoming webhook; its URL is the secret. Blocks within the limits of docs.slack.dev/reference/block-kit."""

    def write(self, letter: Letter, message_id: str, address: str, at: datetime) -> bytes:
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": _plain(letter.subject, 150)},
            {"type": "section", "text": _plain(letter.why, 3000)},
        ]
        if letter.facts:
            fields = [_plain(f"{name}: {value}", 2000) for name, value in letter.facts[:10]]
            blocks.append({"type": "section", "fields": fields})
        if letter.text:
            blocks.append({"type": "section", "text": _plain(letter.text, 3000)})
        for line in letter.lines:
            blocks.append({"type": "section", "text": _link(line.url, line.what)})
            blocks.append({"type": "context", "elements": [_plain(f"{line.why} {line.left}", 2000)]})
        if letter.more:
            blocks.append({"type": "context", "elements": [_plain(letter.more, 2000)]})
        if letter.left:
            mark = {"late": "🔴 ", "soon": "🟠 "}.get(letter.tone, "")
            blocks.append({"type": "context", "elements": [_plain(mark + letter.left, 2000)]})
        if letter.url:
            button = {"type": "button", "text": _plain(letter.action, 75), "url": letter.url, "action_id": "open"}
            blocks.append({"type": "actions", "elements": [button]})
        # The text is what a phone's banner and a screen reader say.
        return orjson.dumps({"text": _escaped(f"{letter.subject}. {letter.why}")[:3000], "blocks": blocks})

    def parcel(self, message_id: str, body: bytes, to: Endpoint, keys: list[str], at: datetime) -> Parcel:
        return Parcel(message_id, body, keys[0], JSON)


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text[:limit], "emoji": False}


def _link(url: str, text: str) -> dict[str, Any]:
    """The one text with a meaning of its own for Slack; all others are plain, so that no `*` or `_` in them counts."""
    return {"type": "mrkdwn", "text": f"<{url}|{_escaped(text)}>"[:3000], "verbatim": True}


def _escaped(text: str) -> str:
    """The three characters that Slack gives a meaning: without this, `<!channel>` in an error would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Email(ChannelOfPeople):
    """Plain text and HTML, by the server of HITL_EMAIL_URL. One message, one receiver."""

    is_secret = False

    def write(self, letter: Letter, message_id: str, address: str, at: datetime) -> bytes:
        host = urlsplit(settings.HITL_BASE_URL).hostname or "localhost"
        message = EmailMessage(policy=SMTP)
        message["From"] = settings.HITL_EMAIL_FROM
        message["To"] = _on_the_wire(address)
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(at)
        message["Message-ID"] = f"<{message_id}@{host}>"
        if letter.thread:
            message["References"] = f"<{letter.thread}@{host}>"
        message["Auto-Submitted"] = "auto-generated"
        context = {"letter": letter, "base_url": settings.HITL_BASE_URL}
        message.set_content(render_to_string("notifications/letter.txt", context))
        message.add_alternative(render_to_string("notifications/letter.html", context), subtype="html")
        return message.as_bytes()

    def parcel(self, message_id: str, body: bytes, to: Endpoint, keys: list[str], at: datetime) -> Parcel:
        return Parcel(message_id, body, f"mailto:{_on_the_wire(address_of(to))}", {})

    async def send(self, session: OutboundSession, parcel: Parcel, begin_by: float) -> Response:
        """In a thread: smtplib waits. The server's code counts as the answer's status: 250 is a success, as 2xx is."""

        def in_time() -> Response:
            if clock.ticks() > begin_by:
                raise OutboundError("late", "It waited too long for its turn, and was not sent.")
            return self.send_now(parcel)

        return await asyncio.to_thread(in_time)

    def send_now(self, parcel: Parcel, seconds: float = TIMEOUT) -> Response:
        if not settings.HITL_EMAIL_URL:
            raise OutboundError("connect", "No mail server is set up: HITL_EMAIL_URL is empty.")
        begin = perf_counter()
        end = begin + seconds
        answer: bytes | str
        try:
            backend: Any = get_connection("django.core.mail.backends.smtp.EmailBackend", timeout=seconds)
            with backend:
                code, answer = _hand_over(backend.connection, parcel, end)
        except smtplib.SMTPResponseException as error:
            code, answer = error.smtp_code, error.smtp_error
        except TimeoutError:
            raise OutboundError("timeout", f"The mail server did not answer within {seconds:g} s.") from None
        except (OSError, smtplib.SMTPException) as error:
            raise OutboundError("connect", f"The mail server could not be used: {type(error).__name__}.") from error
        if not 200 <= code <= 599:  # the library's -1, for a line that begins with no number, among them
            raise OutboundError("protocol", "The mail server's answer is not SMTP.")
        text = answer if isinstance(answer, bytes) else str(answer).encode()
        return Response(code, {}, text[:1000], truncated=False, duration=perf_counter() - begin)


def _on_the_wire(address: str) -> str:
    """The address with a domain of other letters in its xn-- form, as servers without SMTPUTF8 want it."""
    name, at, domain = address.rpartition("@")
    return address if domain.isascii() else f"{name}{at}{punycode(domain)}"


def _hand_over(server: smtplib.SMTP, parcel: Parcel, end: float) -> tuple[int, bytes]:
    """The three steps of a message by hand, to learn the server's own words; none begins after `end`."""
    address = parcel.url.removeprefix("mailto:")
    steps: list[Callable[[], tuple[int, bytes]]] = [
        lambda: server.mail(parseaddr(settings.HITL_EMAIL_FROM)[1]),
        lambda: server.rcpt(address),
        lambda: server.data(parcel.body),
    ]
    server.ehlo_or_helo_if_needed()
    code, answer = 0, b""
    for step in steps:
        left = end - perf_counter()
        if left <= 0:
            raise TimeoutError
        if server.sock is not None:
            server.sock.settimeout(left)
        code, answer = step()
        if not 200 <= code < 300:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.rset()
            break
    return code, answer


def zone_of(person: User | None) -> str:
    """The zone in which times are told: a person's own, if one was chosen."""
    return "UTC" if person is None else person.time_zone or "UTC"


def language_of(person: User | None) -> str:
    """The language in which a message is written."""
    return settings.LANGUAGE_CODE if person is None else person.language or settings.LANGUAGE_CODE


def address_of(endpoint: Endpoint) -> str:
    """Where messages to people go: a person's own mail address as it is now, or what the channel was given."""
    person = endpoint.channel.person
    if person is not None and endpoint.format == Endpoint.Format.EMAIL:
        return str(person.email)
    return endpoint.url.removeprefix("mailto:")
