"""When two numbers are one.

A platform told a recipient as +41790000727. The look-up of 41790000727 found nothing, a rule for
4179 never matched, and only the erasure knew that a plus does not count.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.dlr.number import comparable, comparable_prefix, is_prefix

PLAIN = "41793026727"

FORMS = [
    PLAIN,
    "+41793026727",
    "0041793026727",
    "+0041793026727",
    "tel:+41793026727",
    "TEL:+41-79-302-67-27;ext=3",
    "tel:41793026727",
    "+41 79 302 67 27",
    " 41793026727 ",
    "\N{NO-BREAK SPACE}+41\N{NO-BREAK SPACE}79 302\N{NON-BREAKING HYPHEN}67\N{EN DASH}27",
    "\N{LEFT-TO-RIGHT EMBEDDING}+41 79 302 67 27\N{POP DIRECTIONAL FORMATTING}",
    "0041 79.302.67.27",
    "+41 (0)79 302 67 27",
    "+41 (0) 79 302 67 27",
    "(+41) 79 302 67 27",
    "41 (79) 302-6727",
]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_are_one_number(form: str) -> None:
    """A plus, 00, tel: and whatever stands between the digits do not count."""
    assert comparable(form) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "InfoSMS",
        "infosms",
        " InfoSMS ",
        "1-800-FLOWERS",
        "41793026727x",
        "24/7",
        "7-11",
        "007",
        "12345",
        "00123",
        "+",
        "tel:",
        "0793026727",
        "01141793026727",
        "٤١٧٩٣٠٢٦٧٢٧",
        "4" * 60,
        "+4179302672\0007",
        "++41793026727",
    ],
)
def test_what_is_no_number_stays_as_it_is(text: str) -> None:
    """Names, short codes and national forms are compared to the letter."""
    assert comparable(text) == text


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("4179", "4179"),
        ("+4179", "4179"),
        ("+41 (0)79", "4179"),
        ("0041 79", "4179"),
        ("tel:+4", "4"),
        (" 4179", "4179"),
        ("4", "4"),
    ],
)
def test_beginnings_too(text: str, prefix: str) -> None:
    """The beginning of a number has the same forms, however short it is."""
    assert comparable_prefix(text) == prefix
    assert is_prefix(text)


@pytest.mark.parametrize("text", ["", "+", "00", "tel:", "41x", "Info", "+41 79 x"])
def test_no_beginning_of_a_number(text: str) -> None:
    assert not is_prefix(text)
    assert comparable_prefix(text) == text


_ANYTHING = st.text(alphabet=st.sampled_from("+0124 (-).;tel:x\N{NO-BREAK SPACE}")) | st.text()


@given(_ANYTHING)
def test_what_is_comparable_stays_so(text: str) -> None:
    """The comparable form of a comparable form is itself: it may be asked for twice."""
    assert comparable(comparable(text)) == comparable(text)
    assert comparable_prefix(comparable_prefix(text)) == comparable_prefix(text)
