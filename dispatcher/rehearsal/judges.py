"""From what came to a verdict. Pure; the ones that several checks share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from dispatcher.rehearsal.check import Evidence
from dispatcher.rehearsal.exchange import TOO_MANY, Exchange, readable, seconds_of
from dispatcher.rehearsal.truth import differences, untold
from dispatcher.rehearsal.verdict import Judgement

ANSWER_SMALL = 1024
"""Bytes that a dispatcher keeps of an answer; more is work for nobody."""

ANSWER_LARGE = 64 * 1024
"""Beyond this our dispatcher gives up the connection (http_sender.ANSWER_READ)."""


def taken(evidence: Evidence) -> Judgement:
    """Every push answered 2xx; and where the app tells its state, it holds what was sent."""
    return (
        _refused(evidence)
        or _wrong(evidence)
        or _close(evidence)
        or Judgement("passed", _answers(evidence))
    )


def held(evidence: Evidence) -> Judgement:
    """As `taken`, but an answer alone proves nothing."""
    return (
        _refused(evidence)
        or _wrong(evidence)
        or _close(evidence)
        or _unseen(evidence)
        or _right(evidence)
    )


def _refused(evidence: Evidence) -> Judgement | None:
    refused = [each for each in evidence.exchanges if not each.ok]
    if not refused:
        return None
    exchanges = evidence.exchanges
    if len(exchanges) == 1:
        return Judgement(
            "failed", f"a push was not accepted: {told(refused[0])}{_to_blame(evidence)}"
        )
    of = f"{len(refused)} of {len(exchanges)} pushes"
    text = f"{of} not accepted: {told(refused[0])} to {refused[0].sent}"
    return Judgement("failed", text + _to_blame(evidence))


def _to_blame(evidence: Evidence) -> str:
    """Which parts of a body are not taken alone either."""
    refused = [what for what, exchange in evidence.parts if not exchange.ok]
    if not evidence.parts:
        return ""
    if not refused:
        return "; each of its parts is accepted alone"
    if len(refused) == len(evidence.parts):
        return "; none of its parts is accepted alone"
    return f"; these parts are not accepted alone either: {'; '.join(refused[:3])}"


def _wrong(evidence: Evidence) -> Judgement | None:
    if evidence.held is None or evidence.words is None:
        return None
    found = differences(evidence.expected, evidence.held, evidence.words)
    if not found:
        return None
    answered = f"answered {_statuses(evidence)}{_complaint(evidence)}"
    return Judgement("failed", f"{answered}, but " + "; ".join(found))


COMPLAINS = re.compile(r"error|fail|exception|invalid|unknown", re.IGNORECASE)
"""What an answer says when something went wrong, whatever its status."""


def _complaint(evidence: Evidence) -> str:
    """The words of an answer of success that tells of an error: nobody reads them."""
    for exchange in evidence.exchanges:
        if exchange.ok and COMPLAINS.search(exchange.text):
            words = readable(exchange.text.strip(), 80)
            return f" with {words} in the body, which the platform does not read"
    return ""


def _close(evidence: Evidence) -> Judgement | None:
    """Half of the time there is for an answer, and twice as long as a plain push: a little more
    load, and the push is repeated although it was stored."""
    limit = evidence.plan.timeout.total_seconds()
    slowest = max((each.seconds for each in evidence.exchanges), default=0)
    if slowest <= max(limit / 2, 2 * evidence.pace):
        return None
    return Judgement("weak", f"an answer took {slowest:.1f} s; the limit is {limit:g} s")


def _unseen(evidence: Evidence) -> Judgement | None:
    if evidence.held is None:
        return Judgement("answered only", f"answered {_statuses(evidence)}; {evidence.blind}")
    if paths := untold(evidence.expected, evidence.held):
        options = " ".join(f"--verify-path {path}=…" for path in paths)
        return Judgement("answered only", f"the state is right; the rest needs {options}")
    return None


def _right(evidence: Evidence) -> Judgement:
    number = len(evidence.expected)
    messages = "the message" if number == 1 else f"all {number} messages looked at"
    right = "is" if number == 1 else "are"
    return Judgement("passed", f"{messages} {right} right in the app")


def _answers(evidence: Evidence) -> str:
    slowest = max(each.seconds for each in evidence.exchanges)
    text = f"answered {_statuses(evidence)} in {milliseconds(slowest)}"
    return text if evidence.held is None else f"{text}, and the app holds it"


def _statuses(evidence: Evidence) -> str:
    return ", ".join(sorted({str(each.status or "nothing") for each in evidence.exchanges}))


def told(exchange: Exchange) -> str:
    """What came, short: a status with its first words, or why there is none."""
    if exchange.status is None:
        return exchange.failure
    if where := exchange.headers.get("location"):
        return f"{exchange.status} to {readable(where, 100)}"
    words = readable(exchange.text.strip(), 80)
    status = f"{TOO_MANY} from a rate limiter" if exchange.limited else str(exchange.status)
    return f"{status} {words}".rstrip()


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def refused_politely(evidence: Evidence) -> Judgement:
    """Each is answered 4xx: not with silence, not with 5xx, and not as if it had been taken."""
    for exchange in evidence.exchanges:
        if not exchange.answered:
            return Judgement("failed", f"{exchange.sent}: {exchange.failure}")
    worst = max(evidence.exchanges, key=lambda each: each.status or 0)
    if worst.status is not None and worst.status >= 500:
        return Judgement("failed", f"{worst.sent}: {told(worst)}")
    swallowed = [each for each in evidence.exchanges if not _is_4xx(each)]
    if swallowed:
        one = swallowed[0]
        return Judgement("weak", f"{one.sent}: answered {told(one)}, as if it had been accepted")
    return Judgement("passed", f"answered {_statuses(evidence)}")


def lenient(evidence: Evidence) -> Judgement:
    """For what no document speaks of: to refuse it with 4xx passes, with a note. What is taken
    must not be lost."""
    refused = [each for each in evidence.exchanges if not each.ok]
    judgement = taken(evidence)
    if judgement.verdict != "failed" or not refused:
        return judgement
    manners = refused_politely(replace(evidence, exchanges=tuple(refused)))
    if manners.verdict == "passed":
        return Judgement("passed", f"{NOTE}{refused[0].sent} is refused: {told(refused[0])}")
    return replace(judgement, verdict="weak") if refused[0].answered else judgement


NOTE = "a note: "
"""Begins what a check tells of a webhook that does nothing wrong."""


def _is_4xx(exchange: Exchange) -> bool:
    return exchange.status is not None and 400 <= exchange.status < 500


def in_time(evidence: Evidence) -> Judgement:
    """All answered 2xx, the slowest in a fifth of the timeout."""
    if refusal := _refused(evidence) or _wrong(evidence):
        return refusal
    slowest = max(each.seconds for each in evidence.exchanges)
    limit = evidence.plan.timeout.total_seconds()
    measures = {"slowestMs": round(slowest * 1000, 1)}
    if slowest > limit / 5:
        text = f"the slowest answer took {slowest:.1f} s; the limit is {limit:g} s"
        return Judgement("weak", text, measures)
    return Judgement("passed", f"the slowest answer took {milliseconds(slowest)}", measures)


def under_load(evidence: Evidence) -> Judgement:
    """Every push answered 2xx, and the 99th percentile in half of the timeout."""
    exchanges = evidence.exchanges
    measures = latencies(exchanges)
    numbers = (
        f"p50 {measures['p50Ms']:.0f} ms, p99 {measures['p99Ms']:.0f} ms,"
        f" slowest {measures['slowestMs']:.0f} ms"
    )
    numbers += _one_by_one(evidence)
    if errors := [each for each in exchanges if not each.ok]:
        of = f"{len(errors)} of {len(exchanges)} pushes"
        text = f"{of} not accepted: {told(errors[0])}; {numbers}"
        return Judgement("failed", text, measures)
    if wrong := _wrong(evidence):
        return Judgement("failed", f"{wrong.text}; {numbers}", measures)
    if measures["p99Ms"] > evidence.plan.timeout.total_seconds() * 500:
        limit = f"half of the timeout of {evidence.plan.timeout.total_seconds():g} s"
        return Judgement("weak", f"{numbers}; p99 is more than {limit}", measures)
    if measures["slowestMs"] > evidence.plan.timeout.total_seconds() * 800:
        limit = f"four fifths of the timeout of {evidence.plan.timeout.total_seconds():g} s"
        return Judgement("weak", f"{numbers}; the slowest took more than {limit}", measures)
    return Judgement("passed", f"{len(exchanges)} pushes: {numbers}", measures)


AT_LEAST = 10
"""Answers from which on it can be seen whether they come one after the other."""

NOTICED = 0.02
"""Seconds of a plain push from which on it matters whether several are worked on at once."""


def _one_by_one(evidence: Evidence) -> str:
    """Of pushes that were sent in the same moment: whether each was answered a plain push's time
    after the one before, as behind a lock, or by one worker."""
    seconds = sorted(each.seconds for each in evidence.exchanges if each.answered)
    if not evidence.together or len(seconds) < AT_LEAST or evidence.pace < NOTICED:
        return ""
    apart = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    if apart < evidence.pace / 2:
        return ""
    return (
        f"; answered one after the other, every {milliseconds(apart)}, as with a single lock or"
        " worker"
    )


def latencies(exchanges: Sequence[Exchange]) -> dict[str, float]:
    return {
        "requests": len(exchanges),
        "errors": sum(not each.ok for each in exchanges),
        "p50Ms": round(seconds_of(exchanges, 0.50) * 1000, 1),
        "p99Ms": round(seconds_of(exchanges, 0.99) * 1000, 1),
        "slowestMs": round(max(each.seconds for each in exchanges) * 1000, 1),
    }
