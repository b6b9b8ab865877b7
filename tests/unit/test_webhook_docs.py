"""The verification that docs/webhooks.md shows is run as it stands there."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from notifications.signing import new_secret, sign

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"type":"task.completed","data":{"operation":"größer"}}'.encode()


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def in_python(secret: str, headers: dict[str, str], body: bytes) -> bool:
    scope: dict[str, Any] = {}
    exec(snippet("python"), scope)  # noqa: S102  # our own page
    return bool(scope["verify"](secret, headers, body))


def in_node(secret: str, headers: dict[str, str], body: bytes) -> bool:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    program = snippet("javascript") + "\nconst [s, h, b] = JSON.parse(process.argv[1]);\n"
    program += 'console.log(verify(s, h, Buffer.from(b, "hex")));'
    given = json.dumps([secret, headers, body.hex()])
    return (
        subprocess.run([node, "-e", program, given], capture_output=True, text=True, check=True).stdout.strip()
        == "true"
    )


@pytest.mark.parametrize("verify", [in_python, in_node])
def test_it_accepts_what_we_sign_and_refuses_what_was_changed(verify: Any) -> None:
    secrets = [new_secret(), new_secret()]
    headers = sign(secrets, "evt_1", int(time.time()), BODY)
    assert verify(secrets[0], headers, BODY)
    assert verify(secrets[1], headers, BODY)
    assert not verify(new_secret(), headers, BODY)
    assert not verify(secrets[0], headers, BODY + b" ")
    assert not verify(secrets[0], headers | {"webhook-id": "evt_2"}, BODY)
    assert not verify(secrets[0], sign(secrets, "evt_1", int(time.time()) - 400, BODY), BODY)
