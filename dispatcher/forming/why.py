"""Why a report went where it went, and not elsewhere: one verdict an endpoint, in words. Pure.

What is stored tells it: the dispatches that carry the report, how far each endpoint has read, and
what is held. Only what has no dispatch is judged by the rules of today, by which it would be
routed now.

    the endpoint                                                verdict
    -------------------------------------------------------------------------------------------
    has a dispatch that carries the report                      its state; `paused` if it waits
    holds the report behind an earlier one of its message       held
    has left the settings file                                  gone
    has settings that cannot be used                            unusable
    has a rule that says no                                     refused
    was added after the report had come                         later
    has not read the report yet                                 unread, or `paused`
    has read past it, and dispatches of that time are removed   forgotten
    has read past it                                            passed
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from msgspec import Struct

from dispatcher.endpoints.registry import Registered, endpoint_in_force
from dispatcher.forming.refusal import Refusal, refusals
from dispatcher.queue.base import Reading, StoredAttempt, StoredDispatch
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.settings import OWN_URLS
from receiver.faults import without_credentials
from receiver.settings.durations import duration_text
from receiver.store.base import StoredReport

Verdict = Literal[
    "acknowledged",
    "waiting",
    "leased",
    "exhausted",
    "cancelled",
    "paused",
    "held",
    "unread",
    "refused",
    "later",
    "passed",
    "forgotten",
    "gone",
    "unusable",
]

TAKEN: frozenset[Verdict] = frozenset({*get_args(DispatchState), "paused", "held", "unread"})
"""The endpoint has taken the report, or will."""


class Judged(Struct, frozen=True):
    """Of one report and one endpoint. `refusal` is the first rule that says no; `words` have all.
    `following` is what comes next, or what can be done; None: there is nothing to do."""

    endpoint: str
    verdict: Verdict
    words: str
    following: str | None = None
    refusal: Refusal | None = None
    dispatches: Sequence[StoredDispatch] = ()


class Known(Struct, frozen=True):
    """What is known of a report at one endpoint. `endpoint` None: it has been removed. `reading`
    None: no dispatcher has worked for it yet; then it begins with the next report, unless it is
    `first`, one of the first of its database. `worked_for`: a dispatcher is running for it;
    `set_aside`: it forms no dispatches for it now, because of an error (former.py)."""

    name: str
    endpoint: Registered | None
    reading: Reading | None
    dispatches: Sequence[StoredDispatch] = ()  # that carry the report, newest first
    last_attempts: Mapping[str, StoredAttempt] = {}  # of these dispatches, by their id
    worked_for: bool = True
    set_aside: bool = False
    first: bool = False


def judged(report: StoredReport, known: Known, forgotten_to: int, now: datetime) -> Judged:
    """Why the report did or did not go to this endpoint. Of reports up to `forgotten_to` the
    dispatches may have been removed by retention."""
    if known.dispatches:
        return _dispatched(report, known, now)
    if known.reading is not None and known.reading.held:
        return _held(known, known.reading)
    return _not_taken_yet(report, known, forgotten_to)


def summary(report: StoredReport, every: Sequence[Judged]) -> tuple[str, str | None]:
    """What all endpoints together come to, in a sentence, and what to do if none takes it."""
    taken = [each for each in every if each.verdict in TAKEN]
    repeats = f" The report came in {report.duplicates + 1} times; repeats are not pushed."
    words, following = _summed(report, every, taken)
    return words + (repeats if report.duplicates else ""), following


def _summed(
    report: StoredReport, every: Sequence[Judged], taken: Sequence[Judged]
) -> tuple[str, str | None]:
    if not every:
        return (
            "There is no endpoint, so the report is stored and goes nowhere.",
            "The first endpoint that you add also receives everything stored so far:"
            " `dlr endpoints add NAME --url URL`.",
        )
    if taken:
        named = ", ".join(f"{each.endpoint} ({each.verdict})" for each in taken)
        endpoints = "endpoint" if len(every) == 1 else "endpoints"
        return f"It goes to {len(taken)} of {len(every)} {endpoints}: {named}.", None
    return (
        "No endpoint takes the report. It is stored and goes nowhere.",
        f"To push it to an endpoint: `dlr replays start --id {report.id} --to-endpoint NAME`."
        " If you change the rules of an endpoint, they apply to reports that come in later.",
    )


# --- with a dispatch -----------------------------------------------------------------------------

_BY_WEIGHT: Sequence[DispatchState] = (
    "leased",
    "waiting",
    "acknowledged",
    "exhausted",
    "cancelled",
)
"""Of several dispatches: what is under way is told first, then what has succeeded."""


def _dispatched(report: StoredReport, known: Known, now: datetime) -> Judged:
    told = min(known.dispatches, key=lambda each: _BY_WEIGHT.index(each.state))
    verdict: Verdict = told.state
    words, following = _of_state(told, report.id, now, known)
    words += _last_failure(known.last_attempts.get(told.id))
    if known.name == OWN_URLS:
        words += f", to {without_credentials(told.url)}"
    endpoint = known.endpoint
    if told.state == "waiting" and endpoint is not None and endpoint.paused and not endpoint.gone:
        verdict = "paused"
        words, following = _paused(known, f"dispatch {told.id} waits")
        words += _last_failure(known.last_attempts.get(told.id))
    if endpoint is None:
        words += "; the endpoint has since been removed"
    elif endpoint.gone:
        words += "; the endpoint has left the settings file"
        following = _ONE_GONE.format(known.name) if told.state in ("waiting", "leased") else None
    return Judged(known.name, verdict, words, following, dispatches=known.dispatches)


def _of_state(
    dispatch: StoredDispatch, report: int, now: datetime, known: Known
) -> tuple[str, str | None]:
    made = _attempts(dispatch.attempts)
    replay = f"dlr replays start --id {report} --to-endpoint {dispatch.endpoint}"
    again = f"To push the report again: `{replay}`."
    match dispatch.state:
        case "acknowledged":
            return f"dispatch {dispatch.id} was acknowledged after {made}", None
        case "leased":
            return f"attempt {dispatch.attempts + 1} of dispatch {dispatch.id} is under way", None
        case "exhausted":
            return f"dispatch {dispatch.id} is exhausted: no retry is left after {made}", again
        case "cancelled":
            return f"dispatch {dispatch.id} was cancelled after {made}", again
    return f"dispatch {dispatch.id} waits after {made}", _next_attempt(dispatch, now, known)


def _next_attempt(dispatch: StoredDispatch, now: datetime, known: Known) -> str:
    number = dispatch.attempts + 1
    if dispatch.due_at is None or dispatch.due_at <= now:
        return f"Attempt {number} is due. {_room(known)}"
    at = dispatch.due_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    seconds = math.ceil((dispatch.due_at - now).total_seconds())
    return f"Attempt {number} is due in {duration_text(timedelta(seconds=seconds))} ({at})."


def _last_failure(attempt: StoredAttempt | None) -> str:
    """What the last attempt failed with; nothing when there was none, or when it succeeded."""
    if attempt is None or attempt.outcome == "acknowledged":
        return ""
    status = None if attempt.status is None else f"status {attempt.status}"
    failed = ", ".join(each for each in (status, attempt.error) if each) or attempt.outcome
    return f"; the last attempt failed: {failed}"


def _attempts(made: int) -> str:
    return "1 attempt" if made == 1 else f"{made} attempts"


# --- without one ---------------------------------------------------------------------------------

_ONE_GONE = (
    "To give its waiting reports to another endpoint: `dlr endpoints resume {0} --as NAME`. To"
    " cancel them: `dlr endpoints remove {0}`."
)


def _held(known: Known, reading: Reading) -> Judged:
    if reading.waits_for is not None:
        words = (
            f"ordered = true: the report waits until dispatch {reading.waits_for}, of the same"
            " message, has ended"
        )
        return Judged(known.name, "held", words, "It is pushed after that.")
    if not reading.freed:
        words = "ordered = true: the report waits for an earlier report of the same message"
        return Judged(known.name, "held", words, "It is pushed after that one.")
    endpoint = known.endpoint
    if endpoint is not None and endpoint.paused:
        words, following = _paused(known, "it is the report's turn")
        return Judged(known.name, "paused", words, following)
    return Judged(known.name, "held", "ordered = true: it is the report's turn now", _room(known))


def _not_taken_yet(report: StoredReport, known: Known, forgotten_to: int) -> Judged:
    endpoint = known.endpoint
    if endpoint is None or endpoint.gone:
        words = "the endpoint has left the settings file, so its rules are no longer known"
        return Judged(known.name, "gone", words, _ONE_GONE.format(known.name))
    if endpoint.settings is None:
        words = f"its settings cannot be used: {'; '.join(endpoint.faults)}"
        following = (
            f"Nothing is lost. Correct its settings with `dlr endpoints change {known.name}`; it"
            " then continues where it stopped."
        )
        return Judged(known.name, "unusable", words, following)
    if no := refusals(
        report, endpoint.settings, endpoint_in_force(endpoint, endpoint.settings).rules
    ):
        words = "; ".join(each.words for each in no)
        return Judged(known.name, "refused", words, refusal=no[0])
    return _wanted(report, known, forgotten_to)


def _wanted(report: StoredReport, known: Known, forgotten_to: int) -> Judged:
    """Of a report that the rules let through."""
    reading, name = known.reading, known.name
    replay = f"To push it there: `dlr replays start --id {report.id} --to-endpoint {name}`."
    begins_after = reading is not None and (reading.read_from or 0) >= report.id
    if begins_after or (reading is None and not known.first):
        words = "the endpoint was added after the report came in, and takes only later reports"
        return Judged(name, "later", words, replay)
    if reading is None or reading.read_to < report.id:
        return _unread(known)
    if report.id <= forgotten_to:
        words = "not known, because retention has removed the dispatches of that time"
        return Judged(name, "forgotten", words, replay)
    words = "the endpoint did not take the report, because its rules were different at that time"
    return Judged(name, "passed", words, replay)


def _unread(known: Known) -> Judged:
    if known.endpoint is not None and known.endpoint.paused:
        words, following = _paused(known, "the report waits to be read")
        return Judged(known.name, "paused", words, following)
    words = "the endpoint takes the report, but has not read it yet"
    return Judged(known.name, "unread", words, _room(known))


def _paused(known: Known, what: str) -> tuple[str, str]:
    words = f"the endpoint is paused; {what}, and uses up no retries"
    return words, f"To resume pushing: `dlr endpoints resume {known.name}`."


def _room(known: Known) -> str:
    """When what could be sent at once is sent."""
    if not known.worked_for:
        return "No running process pushes to it. Start `dlr serve` or `dlr dispatch`."
    if known.set_aside and not known.dispatches:
        return (
            "An error prevents dispatches for this endpoint; see the log. dlr tries again within"
            " a minute."
        )
    settings = known.endpoint.settings if known.endpoint is not None else None
    failures = known.reading.failures if known.reading is not None else 0
    if settings is not None and 0 < settings.breaker_failures <= failures:
        probe = duration_text(settings.breaker_probe)
        return (
            f"Its breaker is open, because the last {failures} attempts failed. One probe is sent"
            f" every {probe} until one is acknowledged."
        )
    return "It is sent as soon as the endpoint's window and rate limit allow it."
