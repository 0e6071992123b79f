"""What a timeline says, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dispatcher.simulation.timeline import LATE_SECONDS, Exactness, Timeline
from receiver.settings.durations import duration_text

LEFT_OUT = "Lateness is that of acknowledged reports: those lost or still waiting are left out."


def left_out(timeline: Timeline) -> str:
    """What the percentiles leave out, to stand behind them; nothing if they leave out nothing."""
    totals = timeline.totals
    counts = (totals.exhausted, "lost"), (totals.waiting, "still waiting")
    without = " and ".join(f"{count:,} {what}" for count, what in counts if count)
    return f" (without {without})" if without else ""


def estimated(exactness: Exactness) -> str:
    """Why the figures are estimates, and between which others the exact ones lie."""
    if (bounds := exactness.bounds) is None:
        return without_bounds(exactness)
    late, lost = (_between(each) for each in (bounds.late, bounds.lost))
    return (
        f"ESTIMATED: {exactness.because}. Late: {late}; lost: {lost}. --engine exact follows each"
        " push."
    )


def without_bounds(exactness: Exactness) -> str:
    """Why the figures are estimates."""
    return (
        f"ESTIMATED: {exactness.because}. The numbers can be far off; --engine exact follows each"
        " push."
    )


def _between(counts: tuple[int, int]) -> str:
    return " to ".join(dict.fromkeys(f"{count:,}" for count in counts))


def answer(timeline: Timeline) -> list[str]:
    """How many reports were late or lost, how late, how high the wave, and when all was over."""
    sentences = [_late_and_lost(timeline), _peak(timeline)]
    if timeline.recovered_at is not None:
        sentences.append(_drained(timeline, timeline.recovered_at))
    if timeline.estimated:
        sentences.append(estimated(timeline.exactness))
    if timeline.partial:
        at = clock_text(timeline.ended_at)
        sentences.insert(0, f"PARTIAL: stopped at {at} of the scenario; figures until then:")
    return sentences


def _late_and_lost(timeline: Timeline) -> str:
    totals, lateness = timeline.totals, timeline.lateness
    worst = f" (worst: {span_text(lateness.longest)})" if lateness.late else ""
    count = f"{lateness.late:,}" if lateness.late else "None"
    late = f"{count} of {totals.reports:,} reports were late{worst}"
    lost = f"{totals.exhausted:,} were lost" if totals.exhausted else "none were lost"
    waiting = f"; {totals.waiting:,} are still waiting" if totals.waiting else ""
    return f"{late}; {lost}{waiting}."


def _peak(timeline: Timeline) -> str:
    most, at = timeline.peak()
    wasted = f"{timeline.totals.wasted:,} of {timeline.totals.attempts:,}"
    return f"{wasted} requests failed; at most {most:,} came in one second, at {clock_text(at)}."


def _drained(timeline: Timeline, recovered_at: float) -> str:
    if timeline.drained_at is None:
        return f"What had come before the recovery at {clock_text(recovered_at)} is not over yet."
    if timeline.drained_at <= recovered_at:
        return f"No backlog was left at the recovery at {clock_text(recovered_at)}."
    later = span_text(timeline.drained_at - recovered_at)
    return f"The backlog was gone {later} after the recovery at {clock_text(recovered_at)}."


def late_words() -> str:
    return f"late (more than {span_text(LATE_SECONDS)})"


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds since the start; the hours go on after the first day."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def span_text(seconds: float) -> str:
    """In whole seconds, or in milliseconds below ten seconds."""
    digits = 0 if seconds >= 10 else 3
    return duration_text(timedelta(seconds=round(seconds, digits)))


def rows(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """The figures, each with its name."""
    totals, lateness = timeline.totals, timeline.lateness
    yield "reports", f"{totals.reports:,}"
    yield "acknowledged", f"{totals.acknowledged:,}"
    yield late_words(), _of(lateness.late, totals.reports)
    yield "lost", _of(totals.exhausted, totals.reports)
    yield "still waiting", f"{totals.waiting:,}"
    found = [f"p{each} {span_text(at)}" for each, at in lateness.percentiles().items()]
    if found:
        found.append(f"max {span_text(lateness.longest)}")
        yield "lateness", ", ".join(found) + left_out(timeline)
    yield "requests", f"{totals.attempts:,} ({timeline.attempts_per_report:.2f} a report)"
    failed = {outcome: sum(column) for outcome, column in timeline.bins.failed.items()}
    words = ", ".join(f"{outcome} {count:,}" for outcome, count in failed.items())
    yield "wasted", f"{_of(totals.wasted, totals.attempts)}{': ' if words else ''}{words}"
    most, at = timeline.peak()
    yield "peak", f"{most:,} in one second, at {clock_text(at)}"
    yield "largest backlog", f"{max(timeline.bins.backlog, default=0):,}"
    for band in timeline.bands:
        end = "the end" if band.end is None else clock_text(band.end)
        yield "trouble", f"{clock_text(band.start)} to {end}: {band.what}"
    if timeline.drained_at is not None:
        yield "backlog gone at", clock_text(timeline.drained_at)
    yield "broken off at" if timeline.partial else "over at", clock_text(timeline.ended_at)
    told = f"{timeline.engine} engine, schedule {timeline.schedule}, seed {timeline.seed}"
    yield "simulated by", told
    near = timeline.exactness.level == "near"
    of = " of the reports: acknowledged, lost, waiting and late" if near else ""
    yield "figures are", timeline.exactness.words + of


def _of(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else f"{count:,}"
