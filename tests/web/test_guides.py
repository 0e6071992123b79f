"""The guides that the help shows: their files, their links, their HTML."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from dispatcher.web import guides
from dispatcher.web.gallery import FOLDERS
from dispatcher.web.guides import GUIDES, Guide, guide, inline, rendered, settings_guide, target_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("each", GUIDES, ids=lambda each: each.name)
def test_each_guide_is_there_and_all_its_links_lead_somewhere(each: Guide) -> None:
    """To headings of guides that are shown; and a page stays below 100 KB."""
    found = guide(each.name)
    assert found is not None
    html = found[1].html
    assert html.count("<h1") == 1
    assert len(found[1].contents) > 2
    assert len(html.encode()) < 90_000
    for link in re.findall(r'href="([^"]*)"', html):
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in html, link
        elif not link.startswith("http"):
            name, _, anchor = link.removeprefix("/docs/").partition("#")
            led_to = guide(name)
            assert led_to is not None, link
            assert not anchor or f'id="{anchor}"' in led_to[1].html, link


def test_there_is_no_guide_of_another_name() -> None:
    """Names are not paths."""
    assert guide("../../README.md") is None


def test_an_installation_has_what_lies_outside_the_packages() -> None:
    """The wheel ships these files to where they are looked for first; all others are in it, because
    they lie in the packages."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]
    outside = [each.file for each in GUIDES if each.file.split("/")[0] not in wheel["packages"]]
    shipped = guides._SHIPPED.relative_to(ROOT).as_posix()
    in_wheel, in_clone = (folder.relative_to(ROOT).as_posix() for folder in FOLDERS)
    assert wheel["force-include"] == {
        **{file: f"{shipped}/{file}" for file in outside},
        in_clone: in_wheel,  # the scenarios
    }


def test_a_file_that_was_shipped_is_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an installation any file may lie beside the packages."""
    (tmp_path / "README.md").write_text("shipped", "utf-8")
    monkeypatch.setattr(guides, "_SHIPPED", tmp_path)
    assert guides.text_of("README.md") == "shipped"
    assert guides.text_of("receiver/threats.md").startswith("# Threat model")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("#there", "#there"),
        ("https://example.com/a", "https://example.com/a"),
        ("TESTING.md", "/docs/test-your-app"),
        ("../../README.md#a", "/docs/start#a"),
        ("../../config/dlr.toml", "/docs/settings"),
        ("../../config/deploy/compose.yaml", None),
        ("/etc/passwd", None),
        ("javascript:alert(1)", None),
    ],
)
def test_where_links_lead(link: str, target: str | None) -> None:
    """Links start where the guide's file lies."""
    assert target_of(link, "dispatcher/sandbox/SANDBOX.md") == target


def test_html_is_text() -> None:
    """Nothing in a guide, and no sentence of the reference, is markup."""
    text = "# <b>a</b>\n\n<script>x</script> ![picture](x.svg) [a](javascript:b)\n\n```\n<i>\n```\n"
    html = rendered(text, "README.md").html
    assert not re.search(r"<(b|script|img|i)\b|href", html)
    assert "[Picture: picture]" in html
    assert inline("`a` <b>") == "<code>a</code> &lt;b&gt;"


def test_headings_have_anchors_of_their_own() -> None:
    """As on the sites that host repositories: links there and here are the same."""
    made = rendered("# T\n\n## A, `b`: c-d!\n\n## A\n\n### A\n\n#### deep", "README.md")
    assert [(each.level, each.anchor, each.words) for each in made.contents] == [
        (2, "a-b-c-d", "A, b: c-d!"),
        (2, "a", "A"),
        (3, "a-1", "A"),
    ]


def test_settings_are_a_guide_too() -> None:
    """A section for each table; nothing of the file is left out."""
    toml = (
        "# Every setting.\n#\n# More.\n\n[a]\nx = 1\n\n#[a.b]\n#y = 2\n\n# About c.\n[[c]]\nz = 3\n"
    )
    assert settings_guide(toml) == (
        "# Settings\n\nEvery setting.\n\nMore.\n\n"
        "## a\n\n```toml\n[a]\nx = 1\n\n#[a.b]\n#y = 2\n```"
        "\n\n## c\n\n```toml\n# About c.\n[[c]]\nz = 3\n```\n"
    )
    whole = (ROOT / "config/dlr.toml").read_text("utf-8")
    made = settings_guide(whole)
    for line in whole.split("\n\n", 1)[1].splitlines():
        assert line in made
