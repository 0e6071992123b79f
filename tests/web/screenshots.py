"""`python -m tests.web.screenshots [FOLDER]` draws the guides' pictures of the pages anew.

They are of a `dlr sandbox` with reports of every status, and two endpoints of which one fails.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.web.processes import Dlr, customer, running
from tests.web.reports import a_report

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config/screenshots"
WIDTH, HEIGHT = 1100, 620
LARGEST = 60_000
"""Bytes of a picture: whoever clones the project loads them."""
COLOURS = 255

FOLLOWED = "order-4711"
"""The message whose time line is shown."""

CONFIG = """
[[endpoint]]
name = "shop"
url = "{shop}"

[[endpoint]]
name = "billing"
url = "{billing}"
"""

_NO_ERROR = (0, "OK", 0, "NO_ERROR", False)
_ABSENT = (1, "HANDSET_ERRORS", 27, "EC_ABSENT_SUBSCRIBER", False)
_NO_SUCH_NUMBER = (1, "HANDSET_ERRORS", 1, "EC_UNKNOWN_SUBSCRIBER", True)
_BARRED = (2, "USER_ERRORS", 13, "EC_CALL_BARRED", True)

DELIVERED = (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", _NO_ERROR)
PENDING = (1, "PENDING", 7, "PENDING_ENROUTE", _NO_ERROR)
UNDELIVERABLE = (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED", _ABSENT)
EXPIRED = (4, "EXPIRED", 15, "EXPIRED_EXPIRED", _ABSENT)
REJECTED = (5, "REJECTED", 6, "REJECTED_NETWORK", _BARRED)
NO_SUCH_NUMBER = (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED", _NO_SUCH_NUMBER)

FATES = (
    *(DELIVERED, DELIVERED, EXPIRED, DELIVERED, PENDING, DELIVERED, DELIVERED, UNDELIVERABLE),
    *(DELIVERED, PENDING, DELIVERED, REJECTED, DELIVERED, DELIVERED, DELIVERED, NO_SUCH_NUMBER),
)
PREFIXES = ("4179302", "4366412", "4915123", "4477009", "3361234")


def reports() -> Iterator[dict[str, Any]]:
    """Forty, each of another message; those of `FOLLOWED` come beside."""
    for number in range(40):
        fate = FATES[number % len(FATES)]
        yield report(f"order-{4670 + number}", number, fate)


def report(message_id: str, number: int, fate: tuple[Any, ...]) -> dict[str, Any]:
    group_id, group, status_id, status, error = fate
    done = datetime.now(UTC) - timedelta(seconds=40 - number % 40)
    sent = done - timedelta(seconds=2 + number * 7 % 11)
    return a_report(
        message_id,
        to=f"{PREFIXES[number % len(PREFIXES)]}{6000 + number * 377 % 4000}",
        sender="Shop",
        sentAt=_written(sent),
        doneAt=_written(done),
        callbackData=f"order {message_id.removeprefix('order-')}",
        price={"pricePerMessage": 0.04 + number % 5 / 100, "currency": "EUR"},
        status={"groupId": group_id, "groupName": group, "id": status_id, "name": status},
        error=dict(zip(("groupId", "groupName", "id", "name", "permanent"), error, strict=True)),
    )


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@contextmanager
def filled(folder: Path) -> Iterator[Dlr]:
    """A sandbox in which all this has happened: `shop` takes everything, `billing` nothing."""
    with customer() as shop, customer() as billing:
        billing.status, billing.answer = 503, "down for maintenance"
        config = CONFIG.format(shop=shop.url, billing=billing.url)
        with running(folder, ["sandbox"], config) as dlr:
            for each in reports():
                dlr.post_reports(each)
            for fate in (PENDING, DELIVERED, DELIVERED):
                dlr.post_reports(report(FOLLOWED, 41, fate))
            dlr.until(f"/api/messages/{FOLLOWED}", _tried)
            yield dlr


def _tried(message: Any) -> bool:
    """Both endpoints have answered to it."""
    attempts = [each["attempts"] for each in message["dispatches"]]
    return len(attempts) >= 2 and 0 not in attempts


def draw(page: Page, dlr: Dlr, folder: Path) -> None:
    """Each picture, as PNG."""
    expired = dlr.ask("GET", "/api/reports?statusGroup=EXPIRED&limit=1")["reports"][0]["id"]
    for name, path, seen in (
        ("inbox", f"/?report={expired}", "#report h2"),
        ("message", f"/messages/{FOLLOWED}", "li.ahead"),
        ("endpoints", "/endpoints", "main tbody"),
    ):
        page.goto(dlr.url + path)
        page.locator(seen).first.scroll_into_view_if_needed()
        size = save(page.screenshot(animations="disabled"), folder / f"{name}.png")
        print(f"{folder / name}.png: {size:,} bytes")


def save(png: bytes, path: Path) -> int:
    """Its size. With Pillow, which matplotlib brings, in few colours: a third of the bytes."""
    try:
        from PIL import Image
    except ImportError:
        path.write_bytes(png)
    else:
        with Image.open(BytesIO(png)) as picture:
            few = picture.convert("RGB").quantize(
                COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
            )
            few.save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size:,} bytes, more than {LARGEST:,}")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.web.screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        parser.error("chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, filled(Path(place)) as dlr, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        draw(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), dlr, folder)
        browser.close()


if __name__ == "__main__":
    main()
