"""What a drill is judged by, and its verdicts: as checks, so that every report can tell them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from dispatcher.rehearsal.check import Evidence
from dispatcher.rehearsal.drill.plan import TICK, Drill
from dispatcher.rehearsal.drill.reports import Ended
from dispatcher.rehearsal.drill.run import DrillResult
from dispatcher.rehearsal.exchange import readable
from dispatcher.rehearsal.judges import held
from dispatcher.rehearsal.rules import REPEATED
from dispatcher.rehearsal.truth import differences
from dispatcher.rehearsal.verdict import Judgement, Result
from dispatcher.simulation.answer import clock_text, span_text
from dispatcher.simulation.timeline import Timeline

NAMED = 20
"""Messages that are named; the others are counted."""

SHOWN = 3
"""Differences that are told; the others are counted."""

LOOKED_AT = 1_000
"""Messages whose state is asked for, evenly spread."""

FEWER = 0.8
"""Of the simulated requests: with fewer a reader should know why."""

Row = tuple[str, str, str]


class Drilled(Struct, frozen=True, kw_only=True):
    """A drill as the reports show it: its rows, simulated beside rehearsed, and what to know of
    them. `exhausted`: the message ids of reports whose dispatch is exhausted."""

    story: str
    speed: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    exhausted: tuple[str, ...]
    seen_again: int
    simulated: Timeline | None
    rehearsed: Timeline


def drilled(drill: Drill, simulated: Timeline | None, result: DrillResult) -> Drilled:
    return Drilled(
        story=drill.scenario.story,
        speed=drill.speed,
        rows=tuple(_rows(simulated, result)),
        notes=(*drill.notes, *_late_notes(drill, simulated, result)),
        exhausted=exhausted(result.ended),
        seen_again=result.seen_again,
        simulated=simulated,
        rehearsed=result.timeline,
    )


def exhausted(ended: Iterable[Ended]) -> tuple[str, ...]:
    """The messages with a report whose dispatch is exhausted."""
    return tuple(dict.fromkeys(e.message_id for e in ended if e.state == "exhausted"))


def _late_notes(drill: Drill, simulated: Timeline | None, result: DrillResult) -> Iterator[str]:
    usual = 4 * TICK.total_seconds() * drill.speed
    if result.behind > usual:
        yield (
            f"this machine was too slow: it pushed reports up to {span_text(result.behind)}"
            " late, so part of the lateness is its own. Use a lower --speed or rate"
        )
    made = result.timeline.totals.attempts
    if simulated is not None and not result.timeline.partial:
        share = made / max(1, simulated.totals.attempts)
        if share < FEWER:
            yield (
                f"{made:,} requests instead of {simulated.totals.attempts:,}: reports that"
                f" arrive within {span_text(TICK.total_seconds() * drill.speed)} are pushed"
                f" together here, and one real second ({span_text(drill.speed)} of the drill)"
                " can be too short for all retries. A lower --speed is more exact"
            )


def _rows(simulated: Timeline | None, result: DrillResult) -> Iterator[Row]:
    sim = {} if simulated is None else dict(_figures(simulated))
    for what, text in _figures(result.timeline):
        yield what, sim.get(what, "–"), text
    yield "pushes received again", "–", f"{result.seen_again:,}"


def _figures(timeline: Timeline) -> Iterator[tuple[str, str]]:
    totals, lateness = timeline.totals, timeline.lateness
    yield "reports", f"{totals.reports:,}"
    yield "acknowledged", f"{totals.acknowledged:,}"
    yield "exhausted (lost)", f"{totals.exhausted:,}"
    yield "still waiting", f"{totals.waiting:,}"
    found = lateness.percentiles()
    for percent in (50, 95, 99):
        yield f"lateness p{percent}", span_text(found[percent]) if percent in found else "–"
    yield "lateness max", span_text(lateness.longest) if lateness.bins else "–"
    yield "requests", f"{totals.attempts:,}"
    yield "requests that failed", f"{totals.wasted:,}"
    yield "largest backlog", f"{max(timeline.bins.backlog, default=0):,}"
    gone = timeline.drained_at
    yield "backlog gone at", "–" if gone is None else clock_text(gone)


def results(
    drill: Drill, result: DrillResult, evidence: Evidence | str, seconds: float
) -> tuple[Result, Result]:
    """The two verdicts. `evidence` as a text says why the app's state was not seen."""
    came = tuple(_came(result))
    sent = (f"{result.timeline.totals.reports:,} reports, {_during(result.timeline)}",)
    if isinstance(evidence, str):
        state = Judgement("not judged" if result.timeline.partial else "answered only", evidence)
    else:
        state = _state(evidence)
    return (
        _result("drill-nothing-lost", _lost(drill, result), sent, came, seconds),
        _result("drill-state", state, sent, came, 0.0),
    )


def _lost(drill: Drill, result: DrillResult) -> Judgement:
    totals = result.timeline.totals
    measures = {
        "reports": totals.reports,
        "acknowledged": totals.acknowledged,
        "exhausted": totals.exhausted,
        "waiting": totals.waiting,
        "requests": totals.attempts,
        "seenAgain": result.seen_again,
        "latestSeconds": round(result.timeline.lateness.longest, 3),
    }
    if result.timeline.partial:
        at = clock_text(result.timeline.ended_at)
        return Judgement("not judged", f"stopped at {at}: {_counts(result)}", measures)
    if totals.exhausted or totals.waiting:
        text = f"{_counts(result)}{_names(result.ended)}"
        return Judgement("failed", text, measures)
    span = drill.scenario.retry_schedule.span
    latest = span_text(result.timeline.lateness.longest)
    text = f"all {totals.reports:,} reports acknowledged, the last one {latest} after it arrived"
    return Judgement(
        "passed", f"{text}; the schedule lasts {span_text(span.total_seconds())}", measures
    )


def _counts(result: DrillResult) -> str:
    totals = result.timeline.totals
    return (
        f"of {totals.reports:,} reports {totals.acknowledged:,} acknowledged,"
        f" {totals.exhausted:,} exhausted, {totals.waiting:,} waiting"
    )


def _names(ended: Iterable[Ended]) -> str:
    found = exhausted(ended)
    if not found:
        return ""
    names = ", ".join(found[:NAMED])
    return f": {names}{', …' if found[NAMED:] else ''}"


def _state(evidence: Evidence) -> Judgement:
    if not evidence.expected:
        return Judgement("not judged", "nothing was acknowledged that the app should hold")
    if evidence.held is None or evidence.words is None:
        return Judgement("answered only", evidence.blind)
    wrong = differences(evidence.expected, evidence.held, evidence.words)
    if not wrong:
        return held(evidence)
    more = f"; and {len(wrong) - SHOWN:,} more" if wrong[SHOWN:] else ""
    asked = f"{len(evidence.expected):,} messages looked at"
    return Judgement("failed", f"{asked}: {'; '.join(wrong[:SHOWN])}{more}")


def _during(timeline: Timeline) -> str:
    if not timeline.bands:
        return "no trouble"
    return "; ".join(
        f"{clock_text(band.start)} to"
        f" {'the end' if band.end is None else clock_text(band.end)}: {band.what}"
        for band in timeline.bands
    )


def _came(result: DrillResult) -> Iterator[str]:
    timeline = result.timeline
    failed = {name: sum(column) for name, column in timeline.bins.failed.items()}
    counts = {"acknowledged": timeline.totals.attempts - timeline.totals.wasted, **failed}
    yield "pushes: " + ", ".join(f"{name} {count:,}" for name, count in counts.items())
    yield f"the webhook received {result.seen_again:,} pushes again"


_TEXTS = {
    "drill-nothing-lost": (
        "an outage costs time but no reports",
        "Exhausted reports are not pushed again automatically, and nobody tells the customer.",
        "Be back before the schedule ends, answer 2xx to known reports, and request a replay"
        " of exhausted reports (`dlr replays start`).",
    ),
    "drill-state": (
        "after the outage the app has every acknowledged report, once",
        "After an outage, reports arrive all at once, repeated and out of order.",
        "Store each report and its key (messageId, status, doneAt) in one transaction, answer"
        " after the commit, and never let an intermediate status replace a final one.",
    ),
}


def _result(
    name: str, judgement: Judgement, sent: tuple[str, ...], came: tuple[str, ...], seconds: float
) -> Result:
    asks, why, mend = _TEXTS[name]
    return Result(
        check=name,
        group="drill",
        asks=asks,
        verdict=judgement.verdict,
        text=readable(judgement.text, 2_000),
        sent=sent,
        came=came,
        why=why,
        rule=REPEATED.text,
        document=REPEATED.document,
        mend=mend,
        seconds=round(seconds, 3),
        measures=judgement.measures,
    )
