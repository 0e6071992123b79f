from datetime import UTC, datetime, timedelta, timezone

import pytest

from receiver.dlr.instants import format_instant, parse_instant, utc_microseconds

FOUR = datetime(2019, 11, 9, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2019-11-09T16:00:00.000+0000", FOUR),
        ("2019-11-09T16:00:00.000Z", FOUR),
        ("2019-11-09T16:00:00Z", FOUR),
        ("2019-11-09T17:00:00.000+01:00", FOUR),
        ("2019-11-09T17:00:00.000+0100", FOUR),
        ("2019-11-09T10:30:00.000-0530", FOUR),
        ("2019-11-09T21:30:00+05:30", FOUR),
        ("2019-11-09T13:00:00.000-0300", FOUR),
        ("2019-11-09T16:00:00", FOUR),
        ("2019-11-09T16:00:00.678000+00:00", FOUR + timedelta(milliseconds=678)),
        ("2019-11-09T16:00:00.000001+0000", FOUR + timedelta(microseconds=1)),
        ("2019-11-09T16:00:00.5Z", FOUR + timedelta(milliseconds=500)),
        ("2019-11-09", FOUR.replace(hour=0)),
        (" 2019-11-09t16:00:00z\n", FOUR),
    ],
)
def test_reads_every_form_that_was_seen(text: str, utc: datetime) -> None:
    """Every form of the reference is read, and no zone means UTC."""
    assert parse_instant(text) == utc
    assert parse_instant(text).tzinfo is not None


def test_keeps_the_offset() -> None:
    """The offset that came is kept."""
    assert parse_instant("2019-11-09T16:00:00.000-0530").utcoffset() == -timedelta(minutes=330)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "1573315200000",
        "20191109T160000Z",
        "2019-11-09x16:00:00Z",
        "2019-11-09\ud80016:00:00Z",
        "2019-13-09T16:00:00Z",
        "2019-11-09T25:00:00Z",
        "2019-11-09T16:00:00+2400",
        "2019-11-09T16:00:00+01:00:30",
        "0001-01-01T00:00:00.000+0100",
        "9999-12-31T23:59:59.999-0100",
        "２019-11-09T16:00:00Z",
    ],
)
def test_refuses_what_names_no_instant(text: str) -> None:
    """What names no instant in UTC is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "2019-11-09T16:00:00.000+0100",
        "2019-11-09T16:00:00.000+0000",
        "2019-11-09T16:00:00.001-0530",
        "2019-11-09T16:00:00.000001+0000",
        "0001-01-01T00:00:00.000-1200",
        "9999-12-31T23:59:59.999999+1400",
    ],
)
def test_writes_the_providers_form(text: str) -> None:
    """Written with milliseconds and a zone without a colon; six digits only where needed."""
    assert format_instant(parse_instant(text)) == text


def test_writes_an_odd_offset_in_utc() -> None:
    """An offset with seconds has no form at the provider, so the instant is written in UTC."""
    odd = datetime(2019, 11, 9, 16, 0, 30, tzinfo=timezone(timedelta(seconds=30)))
    assert format_instant(odd) == "2019-11-09T16:00:00.000+0000"


def test_does_not_guess_a_zone_when_writing() -> None:
    """A naive datetime is not written."""
    with pytest.raises(ValueError, match="zone"):
        format_instant(datetime(2019, 11, 9))  # noqa: DTZ001


def test_equal_instants_have_equal_microseconds() -> None:
    """The number of an instant does not depend on its offset."""
    assert utc_microseconds(parse_instant("1970-01-01T01:00:00.001+0100")) == 1000
    assert utc_microseconds(parse_instant("1969-12-31T23:59:59.999Z")) == -1000
