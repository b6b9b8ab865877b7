"""The creative on the task page, and the frame in which its code runs, apart from the console.

Images, films and sounds are shown by the page itself, without telling their hosts where they are shown. Code (HTML5,
tags, scripts) is untrusted: it comes from a signed address of ours that is good for one reader and fifteen minutes, and
answers with `Content-Security-Policy: sandbox allow-scripts`. So the browser gives it an origin of its own: it has no
cookies, reads neither session nor console, opens no window, sends no form and moves no other page, even when its
address is opened outside the frame.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.creatives import FRAMED, MEDIA, SOURCES, Asset, Kind, creative_in, is_media_data, is_web_address, schemes
from tasks_app.masking import numbers_used
from tasks_app.models import HumanTask, User

SALT: Final = "creative"
GOOD_FOR_SECONDS: Final = 15 * 60
DEFAULT_FRAME: Final = (640, 360)
SANDBOX: Final = "sandbox allow-scripts"


@dataclass(frozen=True)
class Shown:
    """One asset as the page shows it. `src`: what the browser may load, or empty; `note`: why it is not shown;
    `hint`: what to know when looking at it."""

    kind: str
    name: str
    text: str
    src: str = ""
    frame: str = ""
    note: str = ""
    hint: str = ""
    width: int = 0
    height: int = 0

    @property
    def size(self) -> str:
        return f"{self.width} × {self.height}" if self.width and self.height else ""


@dataclass(frozen=True)
class Creative:
    """What the page's card shows: things to look at, texts, where a click leads, other addresses."""

    looks: list[Shown]
    texts: list[Shown]
    landing: list[Shown]
    others: list[Shown]


def creative_of(task: HumanTask, actor: Actor) -> Creative | None:
    """The creative of the task for this reader, or None where there is nothing to look at."""
    assets = creative_in(task.context_data)
    shown = [(asset.kind, _shown(asset, number, task, actor)) for number, asset in enumerate(assets)]
    looks = [one for kind, one in shown if kind in MEDIA | FRAMED]
    if not looks and not task.creative_id:
        return None
    return Creative(
        looks,
        [one for kind, one in shown if kind is Kind.TEXT],
        [one for kind, one in shown if kind is Kind.LANDING],
        [one for kind, one in shown if kind is Kind.ADDRESS],
    )


def _shown(asset: Asset, number: int, task: HumanTask, actor: Actor) -> Shown:
    name = _name(asset)
    text = asset.source if len(asset.source) <= 300 else asset.source[:300] + " …"
    if is_media_data(asset.source):
        text = _("%(kind)s inside the task, %(n)d kB") % {
            "kind": asset.source[5:].split(";")[0].split(",")[0],
            "n": max(1, len(asset.source) * 3 // 4096),
        }
    width, height = asset.width or 0, asset.height or 0
    if asset.kind in MEDIA:
        allowed = is_media_data(asset.source) or asset.source.split(":")[0] + ":" in schemes()
        note = "" if allowed else _("Not loaded: its address is not https.")
        src = asset.source if allowed else ""
        return Shown(asset.kind, name, text, src=src, note=note, width=width, height=height)
    if asset.kind in FRAMED:
        width, height = (width, height) if width and height else DEFAULT_FRAME
        masked = numbers_used([asset.source])
        hint = _("Parts of it are masked, so that it may look or work differently.") if masked else ""
        frame = frame_url(task, number, actor)
        return Shown(asset.kind, name, text, frame=frame, hint=hint, width=width, height=height)
    return Shown(asset.kind, name, text)


def _name(asset: Asset) -> str:
    """The place of the asset as a breadcrumb, without the words that say nothing."""
    parts = asset.name.split(".")
    telling = [part for part in parts if part.lower() not in ("assets", "creative", "creatives", *SOURCES)]
    return " › ".join(part.replace("_", " ") for part in telling or parts)


def frame_url(task: HumanTask, number: int, actor: Actor) -> str:
    """The address of one asset's frame, for this reader, good for fifteen minutes."""
    signed = signing.dumps([task.task_id, number, actor.user.pk], salt=SALT)
    return reverse("creative", args=[signed])


def policy(page: str = "") -> str:
    """What the code in the frame may do: run, and load what shows it. It sends nothing, and frames nothing but `page`.

    - `sandbox allow-scripts`: an opaque origin; no cookies, forms, windows, dialogs, nor moves of the page around it.
    - scripts, styles, images, media and fonts from https, inline code and eval: real HTML5 creatives need them.
    - `connect-src 'none'`: what it would find (nothing, by the first line) it could not send by a request of its own.
    - `frame-ancestors 'self'`: shown by our console alone.
    """
    from_web = " ".join(schemes())
    rules = [
        "default-src 'none'",
        f"script-src 'unsafe-inline' 'unsafe-eval' data: blob: {from_web}",
        f"style-src 'unsafe-inline' {from_web}",
        f"img-src data: blob: {from_web}",
        f"media-src data: blob: {from_web}",
        f"font-src data: {from_web}",
        "connect-src 'none'",
        f"frame-src {from_web}" if page else "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        SANDBOX,
    ]
    return "; ".join(filter(None, rules))


@require_safe
@xframe_options_sameorigin
def creative_frame(request: HttpRequest, signed: str) -> HttpResponse:
    """One asset's code as a page in a sandbox. No session is read: the signature says who looks at what."""
    asset = _asset(signed)
    page = asset.source if asset is not None and asset.kind is Kind.PAGE else ""
    response = HttpResponse(_document(asset), status=404 if asset is None else 200)
    response["Content-Security-Policy"] = policy(page)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()"
    return response


def _asset(signed: str) -> Asset | None:
    """The asset that the address names, if it is still good and its reader may still see the task."""
    try:
        task_id, number, reader = signing.loads(signed, salt=SALT, max_age=GOOD_FOR_SECONDS)
    except (signing.BadSignature, ValueError):
        return None
    person = User.objects.filter(pk=reader, is_active=True, kind=User.Kind.PERSON).first()
    if person is None:
        return None
    contexts = selectors.visible_tasks(Actor(user=person)).filter(pk=task_id).values_list("context_data", flat=True)
    context: dict[str, Any] | None = contexts.first()
    assets = creative_in(context or {})
    return assets[number] if number < len(assets) and assets[number].kind in FRAMED else None


def _document(asset: Asset | None) -> str:
    """The page around the code: whole documents as they are, tags and scripts inside an empty one."""
    if asset is None:
        return render_to_string("console/creative_frame.html", {"is_gone": True})
    if asset.kind is Kind.HTML and asset.source[:200].lstrip().lower().startswith(("<!doctype", "<html")):
        return asset.source
    inside = {Kind.PAGE: "page", Kind.HTML: "markup"}.get(
        asset.kind, "script_url" if is_web_address(asset.source) else "script"
    )
    return render_to_string("console/creative_frame.html", {inside: asset.source})
