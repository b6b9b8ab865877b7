"""The verification that docs/webhooks.md shows is run as it stands there."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from notifications.signing import new_secret, sign, sign_adcp
from tests.unit.test_adcp import EVENT, SECRET, VECTORS

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
JSON_BODIES = [VECTORS[name][1] for name in ("compact-js-style", "nested", "unicode-utf8", "pretty-printed")]
BODY = '{"type":"task.completed","data":{"operation":"größer"}}'.encode()


def snippet(language: str, function: str = "verify") -> str:
    """The block in this language that defines the function."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    [found] = [block for block in blocks if re.search(rf"(def|function) {function}\(", block)]
    return str(found)


Case = tuple[str, dict[str, str], bytes]


def in_python(*cases: Case, function: str = "verify") -> list[bool]:
    scope: dict[str, Any] = {}
    exec(snippet("python", function), scope)  # noqa: S102  # our own page
    return [bool(scope[function](*case)) for case in cases]


def in_node(*cases: Case, function: str = "verify") -> list[bool]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    name = {"verify": "verify", "verify_adcp": "verifyAdcp"}[function]
    program = snippet("javascript", name) + "\nconst cases = JSON.parse(process.argv[1]);\n"
    program += f'console.log(JSON.stringify(cases.map(([s, h, b]) => {name}(s, h, Buffer.from(b, "hex")))));'
    given = json.dumps([[secret, headers, body.hex()] for secret, headers, body in cases])
    ran = subprocess.run([node, "-e", program, given], capture_output=True, text=True, check=True)
    return [bool(answer) for answer in json.loads(ran.stdout)]


@pytest.mark.parametrize("verify", [in_python, in_node])
def test_it_accepts_what_we_sign_and_refuses_what_was_changed(verify: Any) -> None:
    secrets = [new_secret(), new_secret()]
    headers = sign(secrets, "evt_1", int(time.time()), BODY)
    good = [(secret, headers, BODY) for secret in secrets]
    bad = [
        (new_secret(), headers, BODY),
        (secrets[0], headers, BODY + b" "),
        (secrets[0], headers | {"webhook-id": "evt_2"}, BODY),
        (secrets[0], sign(secrets, "evt_1", int(time.time()) - 400, BODY), BODY),
    ]
    assert verify(*good, *bad) == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize("verify", [in_python, in_node])
def test_it_verifies_the_ad_context_protocol_as_its_vectors_ask(verify: Any) -> None:
    """What we sign passes; the published rejection vectors (see test_adcp.py for their source) do not."""
    now = int(time.time())
    headers = sign_adcp(SECRET, now, EVENT.encode())
    good = [(SECRET, sign_adcp(SECRET, now, body.encode()), body.encode()) for body in JSON_BODIES]
    signature = headers["x-adcp-signature"]
    wrong = {
        "truncated-signature": {"x-adcp-signature": "sha256=c4faf8"},
        "wrong-algorithm-prefix": {"x-adcp-signature": signature.replace("sha256", "sha512")},
        "empty-signature": {"x-adcp-signature": ""},
        "non-numeric-timestamp": {"x-adcp-timestamp": "not-a-number"},
        "double-prefix": {"x-adcp-signature": f"sha256={signature}"},
        "another time": {"x-adcp-timestamp": str(now - 1)},
        "not ASCII": {"x-adcp-signature": "é" * 71},
    }
    bad = [(SECRET, headers | changed, EVENT.encode()) for changed in wrong.values()]
    bad += [
        (SECRET, {"x-adcp-timestamp": str(now)}, EVENT.encode()),
        (SECRET, sign_adcp(SECRET, now - 601, EVENT.encode()), EVENT.encode()),
        (SECRET, sign_adcp(SECRET, now + 401, EVENT.encode()), EVENT.encode()),
        (SECRET, headers, b'{"event":"hacked"}'),
        (SECRET, headers, b'{"event": "test"}'),
        (SECRET + "0", headers, EVENT.encode()),
    ]
    assert verify(*good, *bad, function="verify_adcp") == [True] * len(good) + [False] * len(bad)


def test_it_refuses_a_signed_body_with_a_doubled_key() -> None:
    _timestamp, body, _signature = VECTORS["duplicate-keys-conflicting-values"]
    with pytest.raises(ValueError, match="twice"):
        in_python((SECRET, sign_adcp(SECRET, int(time.time()), body.encode()), body.encode()), function="verify_adcp")
