"""What axe-core finds wrong on a page: all its rules, none turned off."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def findings(page: Page) -> list[str]:
    """Each violation in a line; nothing of it may be there, in light and in dark."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for each in Axe().run(page).response["violations"]:
            places = [" ".join(node["target"]) for node in each["nodes"]]
            found.append(f"{scheme}: {each['id']}: {each['help']}: {'; '.join(places)}")
    page.emulate_media(color_scheme="light")
    return found
