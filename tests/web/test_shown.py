"""How values look on a page. What a script writes again later looks as the server wrote it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from html import unescape
from re import sub

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape
from playwright.sync_api import Page

from dispatcher.web import shown
from tests.web.processes import Dlr

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

DURATIONS = {
    0: "0 ms",
    0.08: "80 ms",
    0.9994: "999 ms",
    0.9996: "1 s",
    1: "1 s",
    59.9: "59 s",
    60: "1 min",
    252: "4 min 12 s",
    3_599: "59 min 59 s",
    3_605: "1 h",
    15_000: "4 h 10 min",
    86_399: "23 h 59 min",
    86_400: "1 d",
    183_700: "2 d 3 h",
}
"""Seconds, and what both the server and page.js write."""

HOSTILE = '"><script>alert(1)</script>\' onclick="x"'


def text_of(markup: str) -> str:
    """What a reader sees."""
    return unescape(sub("<[^>]*>", "", markup))


@pytest.mark.parametrize(("seconds", "words"), DURATIONS.items())
def test_a_span_of_time_has_its_two_largest_units(seconds: float, words: str) -> None:
    """A unit of which there are none ends it: nobody needs the seconds of an hour."""
    assert shown.duration(seconds) == words


def test_the_script_writes_durations_as_the_server_does(
    start: Callable[..., Dlr], page: Page
) -> None:
    """It writes them anew each second: nothing may change then but the time."""
    page.goto(start().url)
    script = page.locator("script[src*='page.js']").get_attribute("src")

    said = page.evaluate(
        "async ([path, all]) => { const { duration } = await import(path);"
        " return all.map((each) => duration(each)); }",
        [script, [*DURATIONS]],
    )

    assert said == [*DURATIONS.values()]


@given(st.floats(0, 10**9))
def test_a_duration_is_never_empty_nor_longer_than_two_units(seconds: float) -> None:
    """Whatever has been measured."""
    parts = shown.duration(seconds).split()

    assert len(parts) in (2, 4)
    assert parts[:2] != ["1000", "ms"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (-0.5, "now"), (252, "in 4 min 12 s"), (-180, "3 min ago")],
)
def test_a_distance_says_which_way(seconds: float, words: str) -> None:
    """Ahead, behind, or neither."""
    assert shown.distance(timedelta(seconds=seconds)) == words


def test_an_instant_has_the_exact_one_on_hover() -> None:
    """In UTC, whatever zone it came in, as an instant or as the text of one."""
    there = datetime(2026, 11, 28, 12, 57, tzinfo=timezone(timedelta(hours=1)))

    for at in (there, "2026-11-28T11:57:00.000Z"):
        said = shown.instant(at, NOW)
        assert 'title="2026-11-28 11:57:00 UTC"' in said
        assert text_of(said) == "3 min ago"
    assert shown.instant(None, NOW) == "–"


@given(st.text(min_size=2 * shown.ID_ENDS + 2))
def test_a_long_id_keeps_both_ends_and_is_copied_whole(whole: str) -> None:
    """It is cut in the middle; the whole is in its attributes, where nothing of it is HTML."""
    said = shown.short(whole)
    ends = f"{escape(whole[:10])}…{escape(whole[-10:])}"

    assert said.endswith(f">{ends}</code>")
    assert said.count(f'="{escape(whole)}"') == 2


@given(st.text(max_size=2 * shown.ID_ENDS + 1))
def test_a_short_id_stays_whole(whole: str) -> None:
    """Nothing is cut where cutting saves nothing."""
    assert text_of(shown.short(whole)) == unescape(str(escape(whole)))


@pytest.mark.parametrize("made", [shown.short, shown.chip, shown.commands, shown.copy_button])
def test_hostile_text_stays_text(made: Callable[[str], str]) -> None:
    """Each that makes HTML itself escapes what it is given."""
    said = str(made(HOSTILE))

    assert "<script" not in said
    assert 'onclick="' not in said


def test_a_number_is_masked_if_the_settings_say_so() -> None:
    """The same one, with and without."""
    assert shown.number("41793026727", masks=False) == "41793026727"
    masked = shown.number("41793026727", masks=True)
    assert masked != "41793026727"
    assert shown.hide_numbers("call 41793026727 at 12:30", masks=True) == f"call {masked} at 12:30"
    assert shown.number(None, masks=True) == "–"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (shown.count(1_234_567), "1,234,567"),
        (shown.count(None), "–"),
        (shown.counted(1, "report"), "1 report"),
        (shown.counted(0, "report"), "0 reports"),
        (shown.counted(2_000, "entry", "entries"), "2,000 entries"),
        (shown.percent(0.98765), "98.8%"),
        (shown.percent(None), "–"),
        (text_of(shown.chip(None)), "no status"),
        (text_of(shown.chip("a state nobody knows")), "a state nobody knows"),
        (shown.pretty_json("<not json>"), "<not json>"),
        (shown.pretty_json('{"a":1.50,"b":"ü"}'), '{\n  "a": 1.50,\n  "b": "ü"\n}'),
    ],
)
def test_counts_shares_and_texts(said: str, words: str) -> None:
    """A missing one is a dash; thousands stand apart; JSON keeps how its numbers were written."""
    assert said == words
