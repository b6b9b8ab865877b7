"""Take the pictures of docs/console.md anew: each page in light and dark, at a desk and on a phone, on one sheet.

    make run                                  # and, for a queue with life in it, make demo
    .venv/bin/python docs/take_pictures.py --url http://127.0.0.1:8000 --demo var/demo.json

It signs in as the demo's people and looks; it changes nothing but what looking at the deck does: the task that is shown
is claimed and given back. It needs the development requirements and Chromium (`--chromium` names another). A sheet is
written with at most 255 colours, which keeps each below 120 kB.
"""

import argparse
import base64
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

QUEUE = "/admin/tasks_app/humantask/"
CONFIGURATION = "/admin/tasks_app"
# The sheet's name: who looks, at which address, and what is clicked there, or filled in (`field := text`).
SHEETS: dict[str, tuple[str, str, list[str]]] = {
    "home": ("sam", "/admin/", []),
    "queue": ("ana", f"{QUEUE}?tab=unassigned", []),
    "bulk": (
        "ana",
        f"{QUEUE}?tab=unassigned",
        ["[data-pick] >> nth=0", "[data-pick] >> nth=1", ".c-bulk-verbs button"],
    ),
    "groups": ("ana", f"{QUEUE}similar/", []),
    "group": ("ana", f"{QUEUE}similar/", [".c-row-link"]),
    "task": ("ana", f"{QUEUE}?tab=mine", [".c-row-link"]),
    "reject": ("ana", f"{QUEUE}?tab=mine", [".c-row-link", "[data-opens=dialog-reject]"]),
    "compliance": ("cora", f"{QUEUE}?tab=unassigned&type=compliance_review", [".c-row-link"]),
    "escalated": ("sam", f"{QUEUE}?tab=escalated", [".c-row-link"]),
    "closed": ("ana", f"{QUEUE}?tab=closed", [".c-row-link"]),
    "deck": ("ana", f"{QUEUE}deck/", []),
    "mentions": ("ana", f"{QUEUE}mentions/", []),
    "notifications": ("ana", "/admin/my-notifications/", []),
    "settings": ("ana", f"{CONFIGURATION}/user/mine/", []),
    "reports": ("root", f"{CONFIGURATION}/quarter/", []),
    "task-type": ("root", f"{CONFIGURATION}/tasktype/compliance_review/change/", []),
    "team": ("root", f"{CONFIGURATION}/team/creative-review/change/", []),
    "policies": ("root", f"{CONFIGURATION}/slapolicy/", []),
    "policy-preview": (
        "root",
        f"{CONFIGURATION}/slapolicy/add/",
        ["[name=name] := Everything in six hours", "[name=to_resolve_minutes] := 360", "[name=_save]"],
    ),
    "clock": ("ana", f"{QUEUE}?tab=mine", [".c-row-link", ".c-clock summary"]),
    "roles": ("root", "/admin/auth/group/", ["tbody a"]),
    "tokens": ("root", f"{CONFIGURATION}/adaptertoken/", []),
    "deliveries": ("root", "/admin/notifications/delivery/", []),
    "alerts": ("root", "/admin/notifications/alert/", []),
    "audit": ("root", "/admin/auditlog/logentry/", []),
}
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
HEIGHT = 400  # of one picture on a sheet, in pixels

# A palette, each next colour the one that shows the most so far most wrongly; and each pixel's nearest: as base64.
_REDUCED = """async (source) => {
  const image = await createImageBitmap(await (await fetch(source)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, image.width, image.height).data;
  const key = (n) => ((pixels[n] >> 2) << 12) | ((pixels[n + 1] >> 2) << 6) | (pixels[n + 2] >> 2);
  const counted = new Map();
  for (let n = 0; n < pixels.length; n += 4) counted.set(key(n), (counted.get(key(n)) || 0) + 1);
  const parts = (k) => [(k >> 12) & 63, (k >> 6) & 63, k & 63];
  const apart = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2;
  const all = [...counted.keys()].map((k) => ({ k, at: parts(k), number: counted.get(k), far: 3 * 63 ** 2 }));
  const palette = [];
  const nearest = new Map();
  while (palette.length < Math.min(255, all.length)) {
    const next = all.reduce((a, b) => (b.number * b.far > a.number * a.far ? b : a));
    palette.push(next.at);
    for (const one of all) one.far = Math.min(one.far, apart(one.at, next.at));
  }
  const find = (k) => {
    const far = palette.map((at) => apart(at, parts(k)));
    return far.indexOf(Math.min(...far));
  };
  let indices = "";
  for (let n = 0; n < pixels.length; n += 4) {
    const k = key(n);
    if (!nearest.has(k)) nearest.set(k, find(k));
    indices += String.fromCharCode(nearest.get(k));
  }
  const colours = palette.flat().map((value) => String.fromCharCode(Math.round((value * 255) / 63))).join("");
  return { width: image.width, height: image.height, palette: btoa(colours), indices: btoa(indices) };
}"""


def png(width: int, height: int, palette: bytes, indices: bytes) -> bytes:
    """An image of at most 256 colours, one byte a pixel (W3C PNG, section 11)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + indices[start : start + width] for start in range(0, width * height, width))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def source_of(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def signed_in(browser: Browser, url: str, person: str, password: str) -> Any:
    """The cookies of a person's session; the reader's zone is set with them, by the first page."""
    page = browser.new_page()
    page.goto(f"{url}/admin/login/")
    page.fill("[name=username]", person)
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{url}/admin/")
    state = page.context.storage_state()
    page.context.close()
    return state


def taken(page: Page, url: str, clicks: list[str]) -> str:
    """One picture of the page, once what was clicked has come."""
    page.goto(url)
    for step in clicks:
        selector, _fills, text = step.partition(" := ")
        if text:
            page.locator(selector).first.fill(text)
            continue
        page.locator(selector).first.click()
        page.wait_for_load_state("load")
        page.wait_for_timeout(600)
    page.wait_for_timeout(600)
    return source_of(page.screenshot())


def sheet(browser: Browser, pictures: list[str]) -> bytes:
    """The four pictures on one: light above dark, the desk beside the phone."""
    page = browser.new_page(viewport={"width": 860, "height": 600})
    images = "".join(f'<img src="{picture}">' for picture in pictures)
    page.set_content(
        f"<style>body {{ margin: 0 }} main {{ background: #9aa3b2; display: inline-grid; gap: 6px; padding: 6px; "
        f"grid-template-columns: auto auto }} img {{ display: block; height: {HEIGHT}px }}</style><main>{images}</main>"
    )
    whole = page.locator("main").screenshot()
    page.goto("about:blank")
    reduced = page.evaluate(_REDUCED, source_of(whole))
    page.context.close()
    palette, indices = (base64.b64decode(reduced[name]) for name in ("palette", "indices"))
    return png(reduced["width"], reduced["height"], palette, indices)


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the pictures of docs/console.md anew.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--demo", type=Path, default=Path("var/demo.json"), help="passwords of the demo's people")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("sheets", nargs="*", metavar="sheet", help=f"some of: {', '.join(SHEETS)}; none: all")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    logins = json.loads(given.demo.read_text())["logins"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        states = {
            person: signed_in(browser, given.url, person, logins[person]) for person in ("ana", "cora", "sam", "root")
        }
        for name in given.sheets or SHEETS:
            person, path, clicks = SHEETS[name]
            pictures = []
            for theme in ("light", "dark"):
                for width, height in SIZES.values():
                    size: Any = {"width": width, "height": height}
                    scheme: Any = theme
                    context = browser.new_context(viewport=size, color_scheme=scheme, storage_state=states[person])
                    pictures.append(taken(context.new_page(), given.url + path, clicks))
                    context.close()
            target = given.out / f"console-{name}.png"
            target.write_bytes(sheet(browser, pictures))
            sys.stdout.write(f"{target}  {target.stat().st_size // 1000} kB\n")
        browser.close()


if __name__ == "__main__":
    main()
