"""The ad server's refusals as they go over the wire, and how the adapter's client reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from examples.ad_client import AdServerClient, Refused, read_refusal
from examples.ad_server import AdServer
from examples.wire import Reply, send


@pytest.fixture
def ad_server() -> Iterator[AdServer]:
    with AdServer() as server:
        yield server


def turn(server: AdServer, knob: str, **order: Any) -> int:
    return send("POST", f"{server.url}/_admin/{knob}", body=json.dumps(order).encode()).status


def refusal_of(server: AdServer, network: str, token: str | None, operation: str = "createLineItems") -> Refused:
    with pytest.raises(Refused) as caught:
        AdServerClient(server.url, network, token).call(operation, {"media_buy_id": "mb_1"})
    return caught.value


def test_it_answers_a_missing_token_with_a_soap_fault(ad_server: AdServer) -> None:
    refusal = refusal_of(ad_server, "gam", None)
    assert refusal.status == 500
    assert refusal.error_string == "AuthenticationError.MISSING_AUTHENTICATION_HTTP_HEADER"
    assert "no authentication header" in refusal.detail


def test_it_answers_a_wrong_token_with_another_fault(ad_server: AdServer) -> None:
    assert refusal_of(ad_server, "gam", "guess").error_string == "AuthenticationError.AUTHENTICATION_FAILED"


def test_it_withholds_an_operation_until_it_is_granted(ad_server: AdServer) -> None:
    turn(ad_server, "credentials", network="gam", token="t")
    turn(ad_server, "revoke", operation="createLineItems")
    assert refusal_of(ad_server, "gam", "t").error_string == "PermissionError.PERMISSION_DENIED"
    turn(ad_server, "grant", operation="createLineItems")
    made = AdServerClient(ad_server.url, "gam", "t").call("createLineItems", {"media_buy_id": "mb_1"})
    assert (made["id"], made["media_buy_id"]) == (1, "mb_1")


def test_it_throws_a_scripted_fault_as_often_as_told(ad_server: AdServer) -> None:
    turn(ad_server, "credentials", network="gam", token="t")
    text = "Too <many> & too fast"
    turn(ad_server, "fault", operation="run", error_string="QuotaError.EXCEEDED_QUOTA", text=text, times=2)
    for _ in range(2):
        refusal = refusal_of(ad_server, "gam", "t", "run")
        assert refusal.detail == f"[QuotaError.EXCEEDED_QUOTA @ ] {text}"
    assert AdServerClient(ad_server.url, "gam", "t").call("run", {})["operation"] == "run"


def test_it_answers_401_and_403_and_429_plainly_on_the_other_network(ad_server: AdServer) -> None:
    refusal = refusal_of(ad_server, "kevel", None)
    assert (refusal.status, refusal.error_string, refusal.detail) == (401, "", "HTTP 401: Unauthorized")
    turn(ad_server, "credentials", network="kevel", token="k")
    turn(ad_server, "revoke", operation="createCampaign")
    refusal = refusal_of(ad_server, "kevel", "k", "createCampaign")
    assert refusal.status == 403
    assert "may not call createCampaign" in refusal.detail
    turn(ad_server, "fault", operation="run", error_string="QuotaError.EXCEEDED_QUOTA")
    refusal = refusal_of(ad_server, "kevel", "k", "run")
    assert (refusal.status, refusal.wait) == (429, 1.0)


def test_it_keeps_the_networks_tokens_apart(ad_server: AdServer) -> None:
    turn(ad_server, "credentials", network="gam", token="t")
    assert refusal_of(ad_server, "kevel", "t").status == 401


@pytest.mark.parametrize("path", ["/_admin/open_sesame", "/_admin/grant", "/elsewhere/x", "/gam/"])
def test_it_refuses_what_it_does_not_know(ad_server: AdServer, path: str) -> None:
    assert send("POST", ad_server.url + path, body=b"{}").status in {400, 404}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_it_refuses_a_body_that_is_no_object(ad_server: AdServer, body: bytes) -> None:
    assert send("POST", f"{ad_server.url}/gam/run", body=body).status == 400


def test_it_reads_no_document_type(ad_server: AdServer) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "PermissionError.PERMISSION_DENIED">]><x><errorString>&a;</errorString></x>'
    refusal = read_refusal(Reply(500, {"content-type": "text/xml"}, bomb))
    assert refusal.error_string == ""
    # The same document without the type declaration is read: the guard, and nothing else, stopped it.
    plain = b"<x><errorString>PermissionError.PERMISSION_DENIED</errorString></x>"
    assert (
        read_refusal(Reply(500, {"content-type": "text/xml"}, plain)).error_string
        == "PermissionError.PERMISSION_DENIED"
    )


def test_it_passes_on_what_it_cannot_read() -> None:
    refusal = read_refusal(Reply(502, {"content-type": "text/xml"}, b"<html>Bad gateway"))
    assert (refusal.error_string, refusal.detail) == ("", "<html>Bad gateway")
