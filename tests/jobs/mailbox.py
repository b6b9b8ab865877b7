"""A mail server for tests: it speaks SMTP on loopback, answers as told, and keeps what reaches it."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from tests.servers import free_port


class Mailbox:
    """The handler of aiosmtpd: answers one after the other of `script`, and then 250."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.raw: list[tuple[str, bytes]] = []
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.script.pop(0) if self.script else "250 2.0.0 queued as 4711"
        if answer.startswith("250"):
            self.raw.append((envelope.rcpt_tos[0], bytes(envelope.content)))
        return answer

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, EmailMessage, policy=default) for _to, raw in self.raw]


@contextmanager
def receiving_mail(*script: str) -> Iterator[Mailbox]:
    """A mail server that runs during the block."""
    box = Mailbox(*script)
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())
