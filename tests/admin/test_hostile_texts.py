"""What adapters and people write is shown as text, whatever it is."""

from html.parser import HTMLParser
from typing import Any

import pytest

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Principal
from tasks_app.services import claim_task, comment_on_task, escalate_task
from tests.admin.conftest import QUEUE, ClientFor, Press, page_of
from tests.cast import NewTaskFactory, add_to_team

_CODE = "p0wn()"
# Ways to an element, to an attribute, out of a script or a template, and past a careless filter.
PAYLOADS = [
    '<script>alert("p0wn")</script>',
    '"><img src=x onerror=p0wn()>',
    "'-p0wn()-'",
    "{{ 7*7 }}{% p0wn %}",
    '<svg onload="p0wn()">',
    "</textarea></dialog><script>p0wn()</script>",
    "javascript:p0wn()",
    '" x-data="p0wn()" x-init="p0wn()',
    '" autofocus onfocus="p0wn()',
    "<iframe srcdoc='<script>p0wn()</script>'>",
    *(
        f"<{tag} {event}={_CODE}>"
        for tag, event in (
            *(("img src=x", "onerror"), ("body", "onload"), ("input autofocus", "onfocus"), ("video src=x", "onerror")),
            *(("details open", "ontoggle"), ("marquee", "onstart"), ("select autofocus", "onfocus"), ("a", "onclick")),
            *(("object data=x", "onerror"), ("audio src=x", "onerror"), ("math", "onclick"), ("button", "onpointerup")),
        )
    ),
    *(
        f'{close}<img src=x onerror="{_CODE}">'
        for close in ("'>", '">', "`>", "-->", "</title>", "</style>", "</script>", "</textarea>", "</option></select>")
    ),
    *(
        f"{quote} {attribute}={quote}{_CODE}"
        for quote in ('"', "'")
        for attribute in (
            "onmouseover",
            "style",
            "@click",
            "x-on:click",
            "x-html",
            ":class",
            "hx-on:click",
            "formaction",
        )
    ),
    '<a href="javascript:p0wn()">x</a>',
    '<a href="data:text/html,<script>p0wn()</script>">x</a>',
    '<form action="javascript:p0wn()"><button>x</button></form>',
    '<meta http-equiv="refresh" content="0;url=javascript:p0wn()">',
    '<base href="//p0wn.example/">',
    '<link rel="stylesheet" href="//p0wn.example/x.css">',
    "<ScRiPt>p0wn()</sCrIpT>",
    "<script/src=//p0wn.example></script>",
    "<svg><script>p0wn()</script></svg>",
    "<template x-if='p0wn()'></template>",
    "\u003cscript\u003ep0wn()\u003c/script\u003e",
    "&lt;script&gt;p0wn()&lt;/script&gt;",
    "${p0wn()}#{p0wn()}<%= p0wn() %>",
]
AT_ONCE = 6


class Danger(HTMLParser):
    """Collects everything in a page through which a payload could run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._holds_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # The last two are put into the page as texts (static/console/words.js, deck.js).
        inert = {"value", "title", "placeholder", "aria-label", "data-text", "data-name"}
        for name, value in attrs:
            leads_home = name in {"href", "action"} and (value or "").startswith("/admin/")
            if "p0wn" in f"{name}{value}" and name not in inert and not leads_home:
                self.found.append(f"{tag}[{name}]={value}")
        self.found += [f"{tag}[{name}]" for name, value in attrs if name.startswith("on")]
        given = dict(attrs)
        self._holds_data = given.get("type") == "application/json"  # which a script reads as texts
        # Code of a creative runs in a frame of ours that is a sandbox (tests/admin/test_creative.py), nowhere else.
        apart = given.get("sandbox") == "allow-scripts" and (given.get("src") or "").startswith("/creative/")
        if tag in {"object", "embed"} or (tag == "iframe" and not apart):
            self.found.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem and "p0wn" in data and not (self._holds_data and "<" not in data):
            self.found.append(f"{self.cdata_elem}: {data}")


def dangers(response: Any) -> list[str]:
    parser = Danger()
    parser.feed(response.content.decode())
    return parser.found


def hostile_task(make_task: NewTaskFactory, payloads: list[str]) -> HumanTask:
    """Each payload in some fields of its own, and all of them in the long text and the context."""
    first, second, third, last = (payloads[place % len(payloads)] for place in (0, 1, 2, -1))
    return make_task(
        adapter_name=first[:64],
        media_buy_id=second,
        creative_id=third,
        operation=last,
        error_detail="\n".join(payloads),
        context_data={payload: payload for payload in payloads} | {"nested": [{first: payloads}]},
    )


@pytest.mark.parametrize("at", range(0, len(PAYLOADS), AT_ONCE))
def test_it_shows_hostile_texts_as_texts(
    at: int, make_task: NewTaskFactory, ana: Actor, client_for: ClientFor, press: Press
) -> None:
    payloads = PAYLOADS[at : at + AT_ONCE]
    payload, together = payloads[0], "\n".join(payloads)
    Principal.objects.filter(pk="acme_corp").update(name=payload)
    task, twin = hostile_task(make_task, payloads), hostile_task(make_task, payloads[::-1])
    claim_task(task.pk, ana)
    comment_on_task(task.pk, ana, together)
    client = client_for("ana")
    pages: list[Any] = [
        client.get("/admin/"),
        client.get(QUEUE, {"tab": "all"}),
        client.get(QUEUE, {"tab": "all", "adapter": payload[:64], "back": payload, "q": ""}),
        client.get(QUEUE, {"q": payload}),
        client.get(page_of(task), {"back": payload}),
        client.get(page_of(twin)),
        press("ana", task, "reject", version=1, text=together, back=payload, modifications=payload),
        press("ana", task, "reject", version=2, text=together, modifications="{}"),
    ]
    pages += [client.get(page_of(task)), client.get(QUEUE, {"tab": "closed"})]
    assert [found for page in pages for found in dangers(page)] == []
    assert any("p0wn" in page.content.decode() for page in pages)


def test_it_shows_hostile_texts_of_a_lead_as_texts(
    make_task: NewTaskFactory, sam: Actor, client_for: ClientFor
) -> None:
    add_to_team(sam.user, "leads", "lead")
    task = make_task()
    escalate_task(task.pk, sam, reason=PAYLOADS[1])
    assert dangers(client_for("sam").get(page_of(task))) == []


def test_its_search_for_danger_would_find_some() -> None:
    """The control: the same look at a page that does not escape."""
    for payload in (PAYLOADS[0], PAYLOADS[1], PAYLOADS[4]):
        parser = Danger()
        parser.feed(f"<p>{payload}</p>")
        assert parser.found
