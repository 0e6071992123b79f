"""What `dlr schedule` prints: one schedule with all that is known of it, or the list of presets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from dispatcher.commands.console import told
from dispatcher.retrying.outcome import OutcomeRules
from dispatcher.retrying.retry_after import RetryAfter
from dispatcher.retrying.schedule import RetrySchedule
from receiver.settings.durations import duration_text

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def print_schedule(console: Console, schedule: RetrySchedule) -> None:
    """The retries, then what else there is to know, a line each."""
    if schedule.waits:
        console.print(_retries(schedule))
    for line in about(schedule):
        console.print(told(line, style="dim"), soft_wrap=True)


def _retries(schedule: RetrySchedule) -> Table:
    table = Table("retry", "interval", "cumulative", box=None, header_style="bold")
    with_seconds = any(wait % MINUTE for wait in schedule.waits)
    for number, wait, since in schedule.rows():
        table.add_row(str(number), _interval(wait), _clock(since, with_seconds))
    return table


def print_presets(console: Console, presets: Iterable[RetrySchedule]) -> None:
    """One line for each preset."""
    table = Table(
        *("preset", "retries", "span", "jitter", "read", "confidence", "source"),
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for each in presets:
        confidence = f"{each.confidence} experimental" if each.experimental else each.confidence
        cells = (
            *(each.name, str(len(each.waits)), _clock(each.span), jitter_text(each)),
            *(each.read or "", confidence or "", each.source),
        )
        table.add_row(*(told(cell) for cell in cells))
    if not console.is_terminal:
        console.width = max(console.width, 200)  # lines in a file or a pipe are not folded at 80
    console.print(table)


def about(schedule: RetrySchedule) -> Iterator[str]:
    """All that is known of a schedule beside its waits."""
    attempts = "1 attempt" if schedule.attempts == 1 else f"{schedule.attempts} attempts"
    yield f"{attempts}. Source: {schedule.source}"
    if schedule.read is not None:
        kind = " (experimental)" if schedule.experimental else ""
        yield f"Read {schedule.read}, confidence {schedule.confidence}{kind}"
    yield (
        f"Span {_clock(schedule.span)}, jitter {jitter_text(schedule)}, waits count from the"
        f" {schedule.counted_from} of the attempt before"
    )
    yield _rules(schedule.rules)
    for title, texts in (("Unknown", schedule.unknown), ("Not played", schedule.not_played)):
        for text in texts:
            yield f"{title}: {text}"


def jitter_text(schedule: RetrySchedule) -> str:
    if not schedule.jitter:
        return "none"
    return f"{'±' if schedule.jitter_goes == 'both' else '-'}{schedule.jitter * 100:g} %"


def _rules(rules: OutcomeRules) -> str:
    body = f' with a body like "{rules.body_matches.pattern}"' if rules.body_matches else ""
    return (
        f"Acknowledged by {_statuses(rules.acknowledge)}{body}; ended by"
        f" {_statuses(rules.stop_on) or 'no status'}; Retry-After {_obeyed(rules.retry_after)}"
    )


def _obeyed(rule: RetryAfter | None) -> str:
    if rule is None:
        return "ignored"
    least = [duration_text(rule.least)] if rule.least else []
    least += [f"{rule.least_of_wait:g}x the wait"] if rule.least_of_wait else []
    most = [duration_text(rule.most)] if rule.most is not None else []
    most += [f"{rule.most_of_wait:g}x the wait"] if rule.most_of_wait is not None else []
    bounds = f"from {' and '.join(least) or '0s'} to {' and '.join(most) or 'any length'}"
    return f"obeyed at {_statuses(rule.statuses)}, {bounds}"


def _statuses(statuses: frozenset[int]) -> str:
    """`200-299, 429`: runs of statuses."""
    ordered = sorted(statuses)
    ends = [a for a, b in pairwise([*ordered, 0]) if b != a + 1]
    starts = [b for a, b in pairwise([0, *ordered]) if b != a + 1]
    return ", ".join(_run(*run) for run in zip(starts, ends, strict=True))


def _run(start: int, end: int) -> str:
    if start % 100 == 0 and end == start + 99:
        return f"{start // 100}xx"
    return str(start) if start == end else f"{start}-{end}"


def _interval(wait: timedelta) -> str:
    if wait and wait % MINUTE == timedelta(0):
        return f"{wait // MINUTE} min"
    return f"{wait // SECOND} s" if wait % SECOND == timedelta(0) else duration_text(wait)


def _clock(span: timedelta, with_seconds: bool = True) -> str:
    """Hours, minutes, and seconds."""
    minutes, rest = divmod(span, MINUTE)
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    if not with_seconds:
        return text
    seconds, rest = divmod(rest, SECOND)
    fraction = f".{rest // timedelta(milliseconds=1):03}" if rest else ""
    return f"{text}:{seconds:02}{fraction}"
