"""From what came to a verdict, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from dispatcher.rehearsal import Plan
from dispatcher.rehearsal.check import Evidence
from dispatcher.rehearsal.checks.security import TRACES
from dispatcher.rehearsal.exchange import SHOWN, Exchange, readable, seconds_of
from dispatcher.rehearsal.judges import in_time, refused_politely, taken, under_load
from dispatcher.rehearsal.verdict import Judgement

Judge = Callable[[Evidence], Judgement]


def came(status: int | None = 200, seconds: float = 0.01, **more: Any) -> Exchange:
    failure = "" if status else "connection reset"
    return Exchange(sent="a push", status=status, seconds=seconds, failure=failure, **more)


def evidence(*exchanges: Exchange) -> Evidence:
    return Evidence(exchanges=exchanges, plan=Plan(timeout=timedelta(seconds=10)))


@pytest.mark.parametrize(
    ("judge", "statuses", "verdict"),
    [
        (taken, (200, 204, 202), "passed"),
        (taken, (200, 404), "failed"),
        (taken, (200, 304), "failed"),
        (taken, (None,), "failed"),
        (refused_politely, (400, 415, 422), "passed"),
        (refused_politely, (400, 200), "weak"),
        (refused_politely, (400, 302), "weak"),
        (refused_politely, (400, 500), "failed"),
        (refused_politely, (200, 503), "failed"),
        (refused_politely, (400, None), "failed"),
    ],
)
def test_statuses(judge: Judge, statuses: Sequence[int | None], verdict: str) -> None:
    """Success is 2xx, a polite refusal is 4xx, and silence is neither."""
    assert judge(evidence(*map(came, statuses))).verdict == verdict


@pytest.mark.parametrize(
    ("judge", "seconds", "verdict"),
    [
        (in_time, 1.9, "passed"),
        (in_time, 2.1, "weak"),
        (under_load, 4.9, "passed"),
        (under_load, 5.1, "weak"),
    ],
)
def test_limits(judge: Judge, seconds: float, verdict: str) -> None:
    """A lone push has a fifth of the timeout, one under load the half."""
    assert judge(evidence(came(seconds=seconds))).verdict == verdict


def test_percentiles_under_load() -> None:
    """p50, p99 and the slowest are those of all pushes, whatever their order."""
    exchanges = [came(seconds=number / 1000) for number in range(1, 201)]
    Random(1).shuffle(exchanges)

    assert under_load(evidence(*exchanges)).measures == {
        "requests": 200,
        "errors": 0,
        "p50Ms": 100.0,
        "p99Ms": 198.0,
        "slowestMs": 200.0,
    }


def test_one_error_under_load() -> None:
    """One push in two hundred that is not taken fails the check, and is named."""
    told = under_load(evidence(*[came()] * 199, came(503)))

    assert told.verdict == "failed"
    assert told.text.startswith("1 of 200 pushes not accepted: 503; p50 10 ms")


@pytest.mark.parametrize("number", [1, 2, 3, 99, 100, 101])
def test_percentiles_of_few(number: int) -> None:
    """The percentile is always one of the values; of all of them it is the largest."""
    exchanges = [came(seconds=n) for n in range(number)]

    assert seconds_of(exchanges, 1.0) == number - 1
    assert 0 <= seconds_of(exchanges, 0.5) <= seconds_of(exchanges, 0.99) <= number - 1


@pytest.mark.parametrize(
    "text",
    [
        'Traceback (most recent call last):\n  File "/app/dlr.py", line 12, in take',
        '  File "/app/dlr.py", line 12',
        "TypeError: x\n    at take (/srv/app/dlr.js:12:34)",
        "    at async Server.<anonymous> (file:///srv/app.mjs:7:1)",
        "\tat com.acme.Dlr.take(Dlr.java:42)",
        "   at Acme.Dlr.Take(String body) in C:\\src\\Dlr.cs:line 42",
        "goroutine 17 [running]:",
        "PHP Fatal error: Uncaught in /var/www/dlr.php:12\n#0 /var/www/dlr.php(12): take()",
        "Warning: Undefined index in /var/www/dlr.php on line 12",
        "/app/dlr.rb:12:in `take'",
    ],
)
def test_traces(text: str) -> None:
    """The stack traces of the usual languages are known."""
    assert TRACES.search(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"error":"not JSON: Expecting value: line 1 column 1 (char 0)"}',
        '{"error":{"code":"unreadable","message":"results[3].status: expected an object"}}',
        "Look at our page about line 5 at noon (12:30).",
        "Bad Request at 2026-01-01T12:00:00",
    ],
)
def test_no_traces(text: str) -> None:
    """An error that explains itself is no stack trace."""
    assert not TRACES.search(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\r", "a b c "),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("right\u202eleft", r"right\u202eleft"),
        ("\x00\ud800\ufffe", r"\x00\ud800\ufffe"),
        ("x" * 400, "x" * SHOWN + "…"),
    ],
)
def test_readable(text: str, shown: str) -> None:
    """What a webhook says is on one line, short, and steers no terminal."""
    assert readable(text) == shown
