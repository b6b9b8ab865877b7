"""A small ad server over HTTP that refuses like real ones, and stops refusing once somebody has done the work.

`POST /gam/<operation>` answers as Google Ad Manager does: a SOAP fault in XML, under status 500, whose `errorString` is
for example `PermissionError.PERMISSION_DENIED`. `POST /kevel/<operation>` answers as plain REST servers do: 401 with a
line of text, 403 with a short JSON body. Both take `{"media_buy_id": ..., ...}` and answer `{"id": ..., ...}` if all
is well.

Its operator turns the knobs at `/_admin/`: `grant {"operation"}`, `revoke {"operation"}`, `credentials {"network",
"token"}` and `fault {"operation", "error_string", "text", "times"}`. They ask for no password, which is why it listens
on loopback only.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from xml.sax.saxutils import escape

NAMESPACE = "https://www.google.com/apis/ads/publisher/v201905"
MAX_BODY_BYTES = 1_000_000


@dataclass(slots=True)
class Fault:
    """A refusal under Google's error string; `times` counts the calls it is still good for, None being every call."""

    error_string: str
    text: str = ""
    times: int | None = None


NO_PERMISSION = Fault(
    "PermissionError.PERMISSION_DENIED", "User does not have the required permission for the request."
)
NO_TOKEN = Fault(
    "AuthenticationError.MISSING_AUTHENTICATION_HTTP_HEADER", "The request carries no authentication header."
)
BAD_TOKEN = Fault(
    "AuthenticationError.AUTHENTICATION_FAILED", "Tried to authenticate with provided information, but failed."
)


@dataclass(slots=True)
class State:
    """What the ad server knows: who may call, which operations are withheld, and what it has made."""

    tokens: dict[str, set[str]] = field(default_factory=lambda: {"gam": set(), "kevel": set()})
    withheld: set[str] = field(default_factory=set)
    faults: dict[str, Fault] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, network: str, operation: str, token: str) -> Fault | None:
        """Return the fault that this call earns, or None. Credentials come first, then permission, then the rest."""
        if not token:
            return NO_TOKEN
        if token not in self.tokens[network]:
            return BAD_TOKEN
        if operation in self.withheld:
            return NO_PERMISSION
        fault = self.faults.get(operation)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self.faults[operation]
        return fault

    def make(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Carry an operation out and return what was made."""
        made = {"id": next(self.numbers), "operation": operation, **params}
        self.made.append(made)
        return made

    def turn(self, knob: str, order: dict[str, Any]) -> None:
        """Carry out one order of the operator. Raises `KeyError` for an unknown knob or a missing field."""
        match knob:
            case "grant":
                self.withheld.discard(order["operation"])
                self.faults.pop(order["operation"], None)
            case "revoke":
                self.withheld.add(order["operation"])
            case "credentials":
                self.tokens[order["network"]].add(order["token"])
            case "fault":
                self.faults[order["operation"]] = Fault(
                    order["error_string"], order.get("text", ""), order.get("times")
                )
            case _:
                raise KeyError(knob)


def soap_fault(fault: Fault) -> str:
    """Return the XML of a fault in the shape of Ad Manager's SOAP interface, with the reason's text in `message`."""
    error_type, _, reason = fault.error_string.partition(".")
    message = escape(f"[{fault.error_string} @ ] {fault.text}".strip())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>'
        f"<faultcode>soap:Server</faultcode><faultstring>[{escape(fault.error_string)} @ ]</faultstring>"
        f'<detail><ApiExceptionFault xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<message>{message}</message><errors xsi:type="{escape(error_type)}"><fieldPath></fieldPath>'
        f"<trigger></trigger><errorString>{escape(fault.error_string)}</errorString><reason>{escape(reason)}</reason></errors>"
        "</ApiExceptionFault></detail></soap:Fault></soap:Body></soap:Envelope>"
    )


class Handler(BaseHTTPRequestHandler):
    """One request: `/gam/...`, `/kevel/...` or `/_admin/...`."""

    server: AdServer
    timeout = 10

    def do_POST(self) -> None:
        """Answer a call or an order of the operator."""
        params = self._read_object()
        area, _, name = self.path.strip("/").partition("/")
        if params is None or not name or area not in {"gam", "kevel", "_admin"}:
            self._json(
                404 if params is not None else 400, {"error": "POST a JSON object to /gam/, /kevel/ or /_admin/"}
            )
            return
        with self.server.state.lock:
            if area == "_admin":
                self._turn(name, params)
            else:
                self._serve(area, name, params)

    def _turn(self, knob: str, order: dict[str, Any]) -> None:
        try:
            self.server.state.turn(knob, order)
        except KeyError as error:
            self._json(400, {"error": f"no such knob or field: {error}"})
        else:
            self._json(200, {"done": knob})

    def _serve(self, network: str, operation: str, params: dict[str, Any]) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        fault = self.server.state.refuse(network, operation, token)
        if fault is None:
            self._json(200, self.server.state.make(operation, params))
        elif network == "gam":
            self._send(500, "text/xml; charset=utf-8", soap_fault(fault))
        elif fault.error_string.startswith("AuthenticationError."):
            self._send(401, "text/plain; charset=utf-8", "Unauthorized", {"WWW-Authenticate": "Bearer"})
        elif fault.error_string.startswith("QuotaError."):
            self._json(429, {"error": "Too Many Requests"}, {"Retry-After": "1"})
        else:
            self._json(403, {"error": "Forbidden", "message": f"The API key may not call {operation}."})

    def _read_object(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return None
        try:
            content = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    def _json(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(content), headers)

    def _send(self, status: int, content_type: str, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: whoever runs the ad server prints its own story."""


class AdServer(ThreadingHTTPServer):
    """The server on a free port of 127.0.0.1; a context manager that serves in a thread of its own."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.state = State()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def main() -> None:
    """Serve on port 8080 until Ctrl-C, for playing with curl."""
    try:
        ad_server = AdServer(8080)
    except OSError as error:
        raise SystemExit(f"The ad server cannot listen on port 8080: {error}") from error
    with ad_server as server:
        print(f"Ad server on {server.url}: POST /gam/<operation>, /kevel/<operation>, /_admin/<knob>. Ctrl-C stops it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
