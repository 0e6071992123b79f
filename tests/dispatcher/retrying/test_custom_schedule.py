"""The schedule of one's own: by a formula, or wait by wait."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.endpoints.from_settings import endpoint_of, schedule_of
from dispatcher.retrying.presets import PRESETS
from dispatcher.retrying.schedule import INFOBIP, RetrySchedule, formula
from dispatcher.settings.settings import read_settings
from receiver.settings.configuration import ConfigurationError
from receiver.settings.durations import duration_text

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def read(tmp_path: Path, lines: str) -> RetrySchedule:
    """The schedule of a file whose table [schedule] has these lines."""
    file = tmp_path / "dlr.toml"
    file.write_text(f"[schedule]\n{lines}")
    return schedule_of(read_settings(file, {}).schedule)


def waits(tmp_path: Path, lines: str) -> list[str]:
    return [duration_text(w) for w in read(tmp_path, f'preset = "custom"\n{lines}').waits]


def faults(tmp_path: Path, lines: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, lines)
    return [
        each.removeprefix(f"{tmp_path / 'dlr.toml'}: schedule.") for each in caught.value.faults
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('first = "30s"\nstep = "0s"\nretries = 3', ["30s", "30s", "30s"]),
        (
            'first = "5s"\nstep = "0s"\nfactor = 2\nretries = 5\ncap = "1m"',
            ["5s", "10s", "20s", "40s", "1m"],
        ),
        ('first = "1m"\nstep = "1m"\nretries = 4', ["1m", "2m", "5m", "10m"]),
        ('first = "1m"\nstep = "1m"\nfactor = 10\nretries = 3', ["1m", "20m", "8h20m"]),
        ('first = "0s"\nstep = "0s"\nretries = 2', ["0s", "0s"]),
        ("retries = 0", []),
        ('waits = ["1m", "5m", "500ms"]', ["1m", "5m", "500ms"]),
        ('waits = ["1m", "5m"]\nrepeat_last = true\nretries = 4', ["1m", "5m", "5m", "5m"]),
        ('waits = ["1m", "5m"]\nretries = 2', ["1m", "5m"]),
    ],
)
def test_one_formula_or_a_list(tmp_path: Path, lines: str, expected: list[str]) -> None:
    """Constant, exponential, quadratic and listed waits, with a cap and a repeated last one."""
    assert waits(tmp_path, lines) == expected


def test_custom_starts_as_infobip(tmp_path: Path) -> None:
    """Custom without anything else has Infobip's waits."""
    custom = read(tmp_path, 'preset = "custom"')

    assert custom.waits == INFOBIP.waits
    assert (custom.name, custom.jitter) == ("custom", 0.0)


def test_a_preset_by_name(tmp_path: Path) -> None:
    """The settings choose any preset by its name, and Infobip's when they say nothing."""
    assert read(tmp_path, 'preset = "svix"') is PRESETS["svix"]
    assert read(tmp_path, "") is INFOBIP


def test_jitter_of_ones_own(tmp_path: Path) -> None:
    """Jitter of the settings goes both ways."""
    custom = read(tmp_path, 'preset = "custom"\njitter = 0.1')

    assert (custom.jitter, custom.jitter_goes) == (0.1, "both")


def test_the_largest_schedule_stays_within_the_calendar() -> None:
    """The most that the settings allow neither overflows nor takes long."""
    most = formula(first=365 * DAY, step=365 * DAY, factor=100.0, retries=10_000, cap=365 * DAY)
    zero = formula(first=0 * DAY, step=0 * DAY, factor=100.0, retries=10_000, cap=365 * DAY)

    assert set(most) == {365 * DAY}
    assert set(zero) == {timedelta(0)}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            'preset = "nonsuch"',
            ['preset: expected "custom" or a name of `dlr schedule --list`, got "nonsuch"'],
        ),
        ('first = "10s"', ['first: is only used with preset = "custom", not "infobip"']),
        (
            'preset = "svix"\nwaits = ["1m"]\njitter = 0.5',
            [
                'waits: is only used with preset = "custom", not "svix"',
                'jitter: is only used with preset = "custom", not "svix"',
            ],
        ),
        (
            'preset = "custom"\nwaits = ["1m"]\nfactor = 2',
            ["factor: belongs to the formula, but there are waits: keep one of the two"],
        ),
        (
            'preset = "custom"\nwaits = ["1m", "2d"]',
            ["waits[1]: is longer than cap, 1d: 2d"],
        ),
        (
            'preset = "custom"\nwaits = ["1m", "2m"]\nrepeat_last = true\nretries = 1',
            ["retries: expected at least 2, because there are 2 waits"],
        ),
        (
            'preset = "custom"\nwaits = ["1m", "2m"]\nretries = 5',
            ["retries: there are 2 waits: repeat_last = true repeats the last of them"],
        ),
        (
            'preset = "custom"\nrepeat_last = true',
            ["repeat_last: there are no waits, so the last one cannot be repeated"],
        ),
        (
            'preset = "custom"\nfactor = 0.5\njitter = 2\nretries = -1\nwaits = ["soon"]',
            [
                "factor: expected a number from 1 to 100, got 0.5",
                "retries: expected an integer from 0 to 10000, got -1",
                'waits[0]: expected a duration from 0s to 365d, such as "10s", got "soon"',
                "jitter: expected a number from 0 to 1, got 2",
            ],
        ),
    ],
)
def test_faults(tmp_path: Path, lines: str, expected: list[str]) -> None:
    """What does not go together is told in words, all at once."""
    assert faults(tmp_path, lines) == expected


def test_schedule_of_an_endpoint(tmp_path: Path) -> None:
    """An endpoint may have a preset of its own; by default it has that of [schedule]."""
    file = tmp_path / "dlr.toml"
    endpoint = '[[endpoint]]\nname = "{0}"\nurl = "https://{0}.example/"\n'
    file.write_text(endpoint.format("a") + endpoint.format("b") + 'schedule = "svix"')
    a, b = (endpoint_of(each) for each in read_settings(file, {}).endpoint)

    assert (a.schedule, b.schedule) == (None, PRESETS["svix"])


def test_an_endpoint_names_a_preset(tmp_path: Path) -> None:
    """An endpoint's schedule is a preset that there is."""
    file = tmp_path / "dlr.toml"
    file.write_text('[[endpoint]]\nname = "a"\nurl = "https://a.example/"\nschedule = "custom"')

    with pytest.raises(ConfigurationError, match=r'expected "default" or a name of `dlr schedule'):
        read_settings(file, {})
