"""Log lines stay lines: whatever a caller sends cannot start a second record."""

import logging
import time

from core.requests import current_correlation_id

_ESCAPES = {c: f"\\x{c:02x}" for c in [*range(0x20), 0x7F, 0x85]} | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
_ESCAPES |= {0x2028: "\\u2028", 0x2029: "\\u2029", 0x1B: "\\x1b"}


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO logger message [correlation id]`, control characters escaped."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).translate(_ESCAPES)
        correlation_id = current_correlation_id()
        return f"{line} [{correlation_id}]" if correlation_id else line
