"""What an endpoint's own rules make of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatcher.endpoints.from_settings import endpoint_of, rules_of
from dispatcher.expressions import WORDS, Expression
from dispatcher.retrying.dispatch import Next, after_attempt
from dispatcher.retrying.outcome import Answer, Outcome, OutcomeRules, judge, statuses
from dispatcher.retrying.presets import PRESETS
from dispatcher.retrying.retry_after import RetryAfter
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.settings.settings import OutcomeSettings, read_settings
from receiver.settings.configuration import ConfigurationError

ENDPOINT = '[[endpoint]]\nname = "acme"\nurl = "https://acme.example/"\n'


def read(tmp_path: Path, lines: str, before: str = "") -> OutcomeRules | None:
    """The rules of an endpoint whose table [endpoint.outcome] has these lines."""
    file = tmp_path / "dlr.toml"
    file.write_text(f"{ENDPOINT}{before}\n[endpoint.outcome]\n{lines}")
    return endpoint_of(read_settings(file, {}).endpoint[0]).outcome


def faults(tmp_path: Path, lines: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, lines)
    place = f"{tmp_path / 'dlr.toml'}: endpoint[0].outcome."
    return [each.removeprefix(place) for each in caught.value.faults]


def meaning(status: int, rules: OutcomeRules, body: bytes = b"") -> Outcome:
    return judge(Answer(1.0, status=status, body=body), rules)


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("2xx", 200, 299, 100),
        ("204", 204, 204, 1),
        ("200-204", 200, 204, 5),
        ("200-200", 200, 200, 1),
    ],
)
def test_how_statuses_are_written(text: str, first: int, last: int, count: int) -> None:
    """A class, one status, or a range with both its ends."""
    read = statuses(text)

    assert (min(read), max(read), len(read)) == (first, last, count)


@pytest.mark.parametrize(
    "text", ["", "2x", "6xx", "99", "600", "204-200", "2xx-3xx", "２00", "200 "]
)
def test_what_is_no_status(text: str) -> None:
    """Anything else is refused with what was expected."""
    with pytest.raises(ValueError, match="expected statuses such as 2xx, 200 or 200-204, got"):
        statuses(text)


def test_only_the_named_statuses_acknowledge() -> None:
    """Where 200 alone acknowledges, another 2xx is a wrong answer, and is repeated."""
    rules = OutcomeRules(acknowledge=statuses("200"))

    assert meaning(200, rules) is Outcome.ACKNOWLEDGED
    assert meaning(204, rules) is Outcome.WRONG_ANSWER
    assert not Outcome.WRONG_ANSWER.acknowledges


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"status":"OK"}', Outcome.ACKNOWLEDGED),
        (b'{"status":"busy"}', Outcome.WRONG_ANSWER),
        (b"", Outcome.WRONG_ANSWER),
        (b"\xff\xfe OK", Outcome.ACKNOWLEDGED),
    ],
)
def test_the_body_must_match(body: bytes, outcome: Outcome) -> None:
    """An acknowledging status counts only with a body that holds the pattern."""
    assert meaning(200, OutcomeRules(body_matches=Expression(r"\bOK\b")), body) is outcome


def test_a_matching_body_does_not_mend_a_failure() -> None:
    """The pattern is asked of acknowledging statuses only."""
    assert meaning(500, OutcomeRules(body_matches=Expression("OK")), b"OK") is Outcome.FAILED


def test_failures_keep_their_name() -> None:
    """Where no answer came, no rule changes the outcome."""
    rules = OutcomeRules(acknowledge=statuses("200"), stop_on=statuses("4xx", "5xx"))

    assert judge(Answer(1.0, failure=Outcome.TIMED_OUT), rules) is Outcome.TIMED_OUT


def test_stopping_ends_the_dispatch() -> None:
    """A status of stop_on exhausts the dispatch at once, and the outcome says so."""
    outcome = meaning(410, OutcomeRules(stop_on=statuses("410")))
    following = after_attempt(
        outcome, attempts_made=1, started_at=datetime(2026, 1, 1, tzinfo=UTC), schedule=INFOBIP
    )

    assert outcome.value == "stopped"
    assert following == Next("exhausted", None)


def test_the_table_in_the_settings(tmp_path: Path) -> None:
    """Every line of [endpoint.outcome] arrives in the rules."""
    rules = read(
        tmp_path,
        'acknowledge = ["200", "202-203"]\nbody_matches = "^OK"\nstop_on = ["410"]\n'
        'honour_retry_after = true\nretry_after_max = "6h"',
    )

    assert rules == OutcomeRules(
        acknowledge=frozenset({200, 202, 203}),
        body_matches=Expression("^OK"),
        stop_on=frozenset({410}),
        retry_after=RetryAfter(most=timedelta(hours=6)),
    )


def test_4xx_that_are_not_repeated() -> None:
    """retry_4xx = false ends a dispatch at each 4xx but 429, which says "later"."""
    rules = rules_of(OutcomeSettings(retry_4xx=False))

    assert meaning(400, rules) is Outcome.STOPPED
    assert meaning(499, rules) is Outcome.STOPPED
    assert meaning(429, rules) is Outcome.REFUSED
    assert meaning(500, rules) is Outcome.FAILED


def test_an_empty_table_means_the_usual(tmp_path: Path) -> None:
    """The defaults of the table are what holds without any rules: any 2xx, all else repeated."""
    assert read(tmp_path, "") == OutcomeRules()
    assert rules_of(OutcomeSettings()) == INFOBIP.rules


def test_without_a_table_the_schedule_has_the_rules(tmp_path: Path) -> None:
    """An endpoint follows a preset in all; with a table of its own, in the waits alone."""
    file = tmp_path / "dlr.toml"
    file.write_text(f'{ENDPOINT}schedule = "kit"')
    endpoint = endpoint_of(read_settings(file, {}).endpoint[0])

    assert endpoint.schedule is PRESETS["kit"]
    assert endpoint.outcome is None
    assert read(tmp_path, "stop_on = []", 'schedule = "kit"') == OutcomeRules()


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            'acknowledge = ["ok"]',
            'acknowledge[0]: expected statuses such as 2xx, 200 or 200-204, got "ok"',
        ),
        ("acknowledge = []", "acknowledge: expected at least one status, got none"),
        ('body_matches = "("', f'body_matches: expected {WORDS}, got "("'),
        (r"body_matches = '(a)\1'", rf'body_matches: expected {WORDS}, got "(a)\\1"'),
        ("body_matches = '(?=OK)'", f'body_matches: expected {WORDS}, got "(?=OK)"'),
        (
            'acknowledge = ["2xx", "410"]\nstop_on = ["4xx"]',
            "stop_on: 410 already acknowledges: keep it in only one of the two",
        ),
        ('retry_after_max = "1h"', "retry_after_max: is only used with honour_retry_after = true"),
        (
            'honour_retry_after = true\nretry_after_max = "31d"',
            'retry_after_max: expected a duration from 0s to 30d, got "31d"',
        ),
        ("retry_5xx = true", 'retry_5xx: there is no such setting; did you mean "retry_4xx"?'),
    ],
)
def test_faults_of_the_table(tmp_path: Path, lines: str, fault: str) -> None:
    """What cannot be meant is told in words, with its place."""
    assert faults(tmp_path, lines) == [fault]


def test_from_the_environment(tmp_path: Path) -> None:
    """A variable makes the table for an endpoint that has none."""
    file = tmp_path / "dlr.toml"
    file.write_text(ENDPOINT)
    (endpoint,) = read_settings(file, {"DLR_ENDPOINT_ACME_OUTCOME_STOP_ON": "410,501"}).endpoint

    assert endpoint.outcome == OutcomeSettings(stop_on=("410", "501"))
