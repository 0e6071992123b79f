"""Text from outside as it is shown: on one line, steering nothing, and with nothing hidden."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.shown import ShownFormatter, shown, shown_json, shown_lines
from tests.security.attacked import troubles

texts = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        ("Grüße, 東京 👍 ß\u00a0x", "Grüße, 東京 👍 ß\u00a0x"),
        (r"C:\new [b]x[/b]", r"C:\new [b]x[/b]"),
        ("a\nb\r\n\tc", r"a\nb\r\n\tc"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\x85\x7f\x00", r"\x9b31m\x85\x7f\x00"),
        ("invoice\u202efdp.exe\u2066\u200b\ufeff", r"invoice\u202efdp.exe\u2066\u200b\ufeff"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("\ud800 \U000e0041", r"\ud800 \U000e0041"),
    ],
)
def test_what_steers_is_written_as_an_escape(text: str, told: str) -> None:
    """Letters, signs and emoji of any script stay, and markup is no concern of this function."""
    assert shown(text) == told


@given(texts)
def test_nothing_gets_through(text: str) -> None:
    """Whatever the text: one line that can be encoded, and in which nothing steers."""
    assert not troubles(shown(text) + " ")
    shown(text).encode()
    assert shown_lines(text).count("\n") == text.count("\n")


@given(st.text())
def test_json_stays_the_same_value(text: str) -> None:
    """A program that reads our JSON gets the text as it came."""
    told = shown_json(json.dumps({"a": text}, ensure_ascii=False))

    assert json.loads(told) == {"a": text}
    assert not troubles(told)


def test_no_line_of_an_exception_looks_like_one_of_the_log() -> None:
    """The message is one line, and each line of a traceback is indented and escaped."""
    try:
        raise ValueError("no\n2026-01-01T00:00:00.000Z info    callback\x1b[2J")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "bad %s", ("x\ny",), sys.exc_info())

    first, *rest = ShownFormatter().format(record).split("\n")

    assert first == r"bad x\ny"
    assert all(line.startswith("  ") for line in rest)
    assert rest[-1] == r"  2026-01-01T00:00:00.000Z info    callback\x1b[2J"
