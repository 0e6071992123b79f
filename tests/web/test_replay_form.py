"""What the forms of a new replay make of what somebody has typed."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from dispatcher.web.replay_form import (
    filters_of,
    filters_of_json,
    in_words,
    placed,
    read_line,
    shown_filters,
    target_and_pace,
    write_line,
)


def test_what_is_empty_is_not_asked_for() -> None:
    """A form sends each of its fields, filled in or not."""
    said = MultiDict({"endpoint": "acme", "state": "", "since": " ", "messageIds": "", "ids": ""})
    assert filters_of(said) == {"endpoint": "acme"}


def test_lists_are_typed_or_come_by_link() -> None:
    """A field several times, or its members in one of them."""
    said = MultiDict([("ids", "1, 2\r\n3"), ("ids", "x"), ("statuses", "A_B 15")])
    said.extend([("messageIds", "m 1\r\nm-2\r\n"), ("messageIds", "m\n3")])
    assert filters_of(said) == {
        "ids": [1, 2, 3, "x"],
        "statuses": ["A_B", "15"],
        "messageIds": ["m 1", "m-2", "m\n3"],
    }


@pytest.mark.parametrize("text", ["m-1", " m ", "a\nb", "a\r\nb", '"quoted"', "\u202e", "😀", '"'])
def test_any_message_id_fits_on_a_line(text: str) -> None:
    """It comes back as it was."""
    assert "\n" not in write_line(text)
    assert read_line(write_line(text)) == text


def test_the_first_form_is_shown_as_it_was_sent() -> None:
    """Whatever was asked for is asked for again by the form that shows it."""
    asked = {
        "endpoint": "acme",
        "ids": [1, "x"],
        "messageIds": ["a\nb", "m"],
        "statuses": ["A"],
        "since": "14:00",
    }
    assert filters_of(MultiDict(shown_filters(asked))) == asked


@pytest.mark.parametrize("text", ["", "[]", "{", '{"key": "x"}', '{"to": "http://a"}'])
def test_filters_that_no_page_of_ours_wrote(text: str) -> None:
    """Only filters are taken from where filters stand."""
    assert filters_of_json(text) is None


def test_of_a_choice_only_the_chosen_counts() -> None:
    """What was typed beside another one is not asked for."""
    said = MultiDict(target="went", toEndpoint="a", to="http://b", pacing="rate", rate="5/s")
    said.add("speed", "2")
    assert target_and_pace(said) == {"rate": "5/s"}
    said = MultiDict(target="url", to="http://b", pacing="original", speed="0.5")
    assert target_and_pace(said) == {"to": "http://b", "pace": "original", "speed": 0.5}
    said = MultiDict(target="endpoint", pacing="fast", stopOnErrors="many")
    assert target_and_pace(said) == {"toEndpoint": "", "stopOnErrors": "many"}


@pytest.mark.parametrize(
    ("fault", "field", "reason"),
    [
        ("since: expected a time", "since", "expected a time"),
        ("ids[2]: expected an integer", "ids", "[2]: expected an integer"),
        ("to, toEndpoint: use one of the two", "", "to, toEndpoint: use one of the two"),
        ("which reports? name one", "", "which reports? name one"),
        ("", "", ""),
    ],
)
def test_a_fault_stands_beside_its_field(fault: str, field: str, reason: str) -> None:
    """Whatever is about no field stands above all of them."""
    assert placed(fault) == (field, reason)


def test_a_selection_in_words() -> None:
    """Long lists are cut."""
    asked = {"endpoint": "acme", "messageIds": [f"m-{n}" for n in range(7)], "ids": []}
    assert in_words(asked) == [
        ("endpoint", "acme"),
        ("message", "m-0, m-1, m-2, m-3, m-4 and 2 more"),
    ]
