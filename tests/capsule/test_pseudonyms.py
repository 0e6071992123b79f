"""Other names for numbers, ids and texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.capsule.pseudonyms import Pseudonyms, country_code

NAMES = Pseudonyms(b"k" * 32)
NUMBERS = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)


@given(NUMBERS)
def test_a_number_keeps_country_code_and_length(number: str) -> None:
    """And is the same each time."""
    other = NAMES.number(number)

    assert len(other) == len(number)
    assert other.isdigit()
    assert other.startswith(country_code(number))
    assert NAMES.number(number) == other
    assert NAMES.number(f"+{number}") == f"+{other}"
    assert NAMES.number(f"00{number}") == f"00{other}"
    assert NAMES.number(f"tel:+{number[:2]}-{number[2:]}") == other


def test_different_numbers_stay_different() -> None:
    """All 10,000 that have four digits, and become others that have four."""
    numbers = [f"{n:04}" for n in range(10_000)]

    assert sorted(map(NAMES.number, numbers)) == numbers


def test_two_capsules_have_nothing_in_common() -> None:
    """Each draws its key."""
    assert Pseudonyms().number("41793026727") != Pseudonyms().number("41793026727")
    assert Pseudonyms().text("messageId", "1") != Pseudonyms().text("messageId", "1")


def test_the_same_text_in_two_fields_is_not_the_same() -> None:
    """A messageId that is a callbackData somewhere cannot be told."""
    assert NAMES.text("messageId", "4711") != NAMES.text("callbackData", "4711")


@given(st.text())
def test_what_is_no_number_becomes_a_text(text: str) -> None:
    """Whatever it is."""
    assert NAMES.number(text + "x") == NAMES.text("number", text + "x")


def test_country_codes_have_one_to_three_digits() -> None:
    """ITU-T E.164: North America, Russia, Switzerland, Ireland, Algeria."""
    codes = {"12025550100": "1", "79161234567": "7", "41793026727": "41", "353861234567": "353"}

    assert {number: country_code(number) for number in codes} == codes
    assert country_code("213551234567") == "213"
