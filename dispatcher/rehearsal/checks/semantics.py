"""Semantics: what the app makes of reports that come twice, late, or without the others."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import Body, Ids, Maker, Values, at_offset, body, later
from dispatcher.rehearsal.check import Bodies, Check, Evidence, Judge, Make, Stage, pushed
from dispatcher.rehearsal.judges import NOTE, held, refused_politely
from dispatcher.rehearsal.truth import DELIVERED, PENDING, UNDELIVERABLE, WITH_OPERATOR, Expected
from dispatcher.rehearsal.verdict import Judgement

HALF_AN_HOUR = timedelta(minutes=30)


def _semantic(name: str, asks: str, make: Make, judge: Judge = held, **texts: Any) -> Check:
    return pushed("semantics", name, asks, make, judge, **texts)


def _plain(maker: Maker) -> Bodies:
    report = maker.report()
    return [body([report])], [Expected(report.message_id or "")]


def _processed(evidence: Evidence) -> Judgement:
    if evidence.words is not None and (faults := evidence.words.faults()):
        return Judgement("failed", f"answered 2xx, but {faults[0]}")
    return held(evidence)


def _same_bucket(maker: Maker) -> Bodies:
    report, other = maker.report(), maker.report()
    reports = [report, report, other]
    expected = [Expected(report.message_id or "", once=True), Expected(other.message_id or "")]
    return [body(reports, what="the first two identical")], expected


def _other_bucket(maker: Maker) -> Bodies:
    report, new = maker.report(), maker.report()
    bodies = [
        body([report]),
        body([report, new], what="the first one already known"),
        body([report], "xml", "v3", what="known already"),
    ]
    return bodies, [Expected(report.message_id or "", once=True), Expected(new.message_id or "")]


async def _at_once(stage: Stage) -> Evidence:
    """Both requests but for their last byte, then the last byte of both."""
    report = stage.make.report()
    one = body([report])
    whole = stage.wires.head(one) + one.data
    async with stage.wires.open() as first, stage.wires.open() as second:
        wires = {"first": first, "second": second}
        for wire in wires.values():
            await wire.send(whole[:-1])
        exchanges = await asyncio.gather(
            *(
                wire.exchange(f"{one}, on the {name} of two simultaneous connections", whole[-1:])
                for name, wire in wires.items()
            )
        )
    expected = (Expected(report.message_id or "", once=True),)
    return Evidence(exchanges=tuple(exchanges), expected=expected)


def _late_intermediate(maker: Maker) -> Bodies:
    final = maker.report()
    late = maker.report(PENDING, message_id=final.message_id, done_at=later(final, -3))
    bodies = [body([final], what=DELIVERED), body([late], what=f"{PENDING}, late")]
    return bodies, [Expected(final.message_id or "")]


def _operator(maker: Maker) -> Bodies:
    first = maker.report(WITH_OPERATOR)
    final = maker.report(UNDELIVERABLE, message_id=first.message_id, done_at=later(first, 60))
    bodies = [body([first], what=WITH_OPERATOR), body([final], what=UNDELIVERABLE)]
    return bodies, [Expected(first.message_id or "", UNDELIVERABLE)]


def _told_apart(one: str, other: str) -> Judge:
    """As `held`, for apps that have different words for the two statuses."""

    def judge(evidence: Evidence) -> Judgement:
        judgement = held(evidence)
        words = evidence.words
        if judgement.verdict != "passed" or words is None:
            return judgement
        if mute := [status for status in (one, other) if not words.tells(status)]:
            text = f"the app shows no state after {mute[0]} alone"
            return Judgement(
                "answered only", (f"{text}, so it cannot be seen which report took effect")
            )
        if words.same(one, other):
            text = f"the app shows {words.of(one)!r} for both {one} and {other}"
            return Judgement(
                "answered only", (f"{text}, so it cannot be seen which report took effect")
            )
        return judgement

    return judge


def _judge_operator(evidence: Evidence) -> Judgement:
    judgement = _told_apart(WITH_OPERATOR, UNDELIVERABLE)(evidence)
    words = evidence.words
    if judgement.verdict == "passed" and words is not None and words.same(WITH_OPERATOR, DELIVERED):
        return Judgement(
            "weak",
            f"{judgement.text}, but before that it showed {words.of(DELIVERED)!r}, as for a"
            " message that is on the handset",
        )
    return judgement


def _in_order(first_status: str, seconds: int) -> Make:
    """A report of this status, and the final one of the message so many seconds after it."""

    def make(maker: Maker) -> Bodies:
        first = maker.report(first_status)
        final = maker.report(message_id=first.message_id, done_at=later(first, seconds))
        bodies = [body([first], what=first_status), body([final], what=DELIVERED)]
        return bodies, [Expected(first.message_id or "")]

    return make


def _judge_pending(evidence: Evidence) -> Judgement:
    judgement = _told_apart(PENDING, DELIVERED)(evidence)
    words = evidence.words
    if evidence.held is None or words is None or judgement.verdict == "failed":
        return judgement
    if words.same(PENDING, DELIVERED) and not words.same(UNDELIVERABLE, DELIVERED):
        told = f"the app shows {words.of(DELIVERED)!r} for a message that is {PENDING}"
        return Judgement("weak", f"{told}, as for one that is on the handset")
    return judgement


def _two_messages(maker: Maker) -> Bodies:
    """A campaign: everything is the same but the ids of the messages. One id has capitals."""
    first = maker.report()
    second = maker.report(callback_data=first.callback_data)
    expected = [Expected(each.message_id or "", once=True) for each in (first, second)]
    reports = [first, second]
    if maker.values.ids == "named":
        name = maker.message_id().capitalize()
        reports.append(maker.report(message_id=name, callback_data=first.callback_data))
        expected.append(Expected(name, once=True, what="its id has a capital letter"))
    return [body([each], what="differing only in messageId") for each in reports], expected


def _across_zones(maker: Maker) -> Bodies:
    """As texts the instants are in the wrong order: 13:00 at +0100 is before 12:30 at +0000."""
    pending = maker.report(PENDING, done_at=at_offset(60))
    final = maker.report(message_id=pending.message_id, done_at=at_offset(0) + HALF_AN_HOUR)
    bodies = [
        body([pending], what=f"{PENDING} at +0100"),
        body([final], what=f"{DELIVERED} half an hour later, at +0000"),
    ]
    return bodies, [Expected(pending.message_id or "")]


def _without_intermediate(maker: Maker) -> Bodies:
    report = maker.report(UNDELIVERABLE)
    expected = Expected(report.message_id or "", UNDELIVERABLE)
    return [body([report], what=f"{UNDELIVERABLE}, with nothing before it")], [expected]


def _unknown_message(maker: Maker) -> Bodies:
    """A message that nobody sent: an id in another form, no bulk, no callbackData."""
    ids: Ids = "uuid" if maker.values.ids == "named" else maker.values.ids
    stranger = maker.report(
        message_id=maker.as_id(maker.message_id(), ids),
        bulk_id=None,
        callback_data=None,
        to="4915112345678" if maker.values == Values() else maker.values.to,
    )
    return [body([stranger], what="for a message that was never sent")], []


def _answered(evidence: Evidence) -> Judgement:
    """The answer alone matters; what the app makes of a stranger is its own affair."""
    judgement = held(evidence)
    if judgement.verdict == "failed":
        return judgement
    return Judgement("passed", f"answered {evidence.exchanges[0].status}")


def _others(maker: Maker) -> Bodies:
    inbound = {
        "results": [
            {
                "messageId": maker.message_id(),
                "from": "41793026727",
                "to": "InfoSMS",
                "text": "STOP please",
                "cleanText": "please",
                "keyword": "STOP",
                "receivedAt": "2026-01-01T12:00:00.000+0000",
                "smsCount": 1,
            }
        ],
        "messageCount": 1,
        "pendingMessageCount": 0,
    }
    click = {
        "notificationType": "CLICKED",
        "recipient": "41793026727",
        "url": "https://example.com/",
        "sendDateTime": 1767268800000,
        "messageId": maker.message_id(),
    }
    return [
        Body(what="an inbound message", data=json.dumps(inbound).encode()),
        Body(what="a click", data=json.dumps(click).encode()),
    ], []


def _judge_others(evidence: Evidence) -> Judgement:
    """They come only to a URL that was given for them: a refusal is right, an error is not."""
    refused = replace(evidence, exchanges=tuple(e for e in evidence.exchanges if not e.ok))
    if not refused.exchanges:
        return Judgement("passed", "answered 2xx")
    judgement = refused_politely(refused)
    if judgement.verdict != "passed":
        return replace(judgement, verdict="failed")
    which = f"{refused.exchanges[0].sent}: {judgement.text}"
    return Judgement(
        "passed", (f"{NOTE}{which}. Use another URL for them; otherwise the platform repeats them")
    )


_KEY = "Identify a report by the key (messageId, status id, error id, doneAt)."

_DUPLICATES = (
    "Every push that is answered too late is repeated. If you count it twice, you bill it twice."
)

CHECKS = (
    _semantic(
        "processed",
        "a report is stored in the app, not only answered",
        _plain,
        judge=_processed,
        plain=True,
        why=(
            "An answer only shows that the request arrived. The state in the app shows that"
            " the report was stored."
        ),
        rule=rules.KEPT_NOWHERE,
        mend=(
            "Answer after the report is stored, and use --verify with the URL or command that"
            " shows its state."
        ),
    ),
    _semantic(
        "duplicate-same-bucket",
        "the same report twice in one bucket is counted once",
        _same_bucket,
        sameness=True,
        why=_DUPLICATES,
        rule=rules.REPEATED,
        mend=(
            "Make (messageId, status id, error id, doneAt) a unique key, and ignore the"
            " second report."
        ),
    ),
    _semantic(
        "duplicate-other-bucket",
        "a known report is counted once, and a new report in the same bucket is not lost",
        _other_bucket,
        sameness=True,
        why="If you refuse a bucket because of one known report, you lose the others in it.",
        rule=rules.REPEATED,
        mend=(
            "Insert each with ON CONFLICT DO NOTHING and answer 200: a duplicate is not an error."
        ),
    ),
    Check(
        name="duplicate-at-once",
        group="semantics",
        asks="the same report on two connections at the same moment is counted once",
        perform=_at_once,
        judge=held,
        sameness=True,
        why=(
            "A `SELECT` followed by an `INSERT` stores both, or fails with an error for one of"
            " them."
        ),
        rule=rules.REPEATED,
        mend="Rely on a unique key in the database instead of checking first.",
    ),
    _semantic(
        "late-intermediate",
        "an intermediate report after the final one changes nothing",
        _late_intermediate,
        judge=_told_apart(DELIVERED, PENDING),
        sameness=True,
        why=(
            "If the last report always wins, the app shows a delivered message as pending forever."
        ),
        rule=rules.NO_ORDER,
        mend="Never let an intermediate status replace a final one; keep it in the history.",
    ),
    _semantic(
        "pending-then-delivered",
        "the usual order: PENDING, then DELIVERED",
        _in_order(PENDING, 4),
        judge=_judge_pending,
        sameness=True,
        why="An app that accepts one report per message never gets beyond the first.",
        rule=rules.ON_DEMAND,
        mend=f"{_KEY} Use the status: `error` is NO_ERROR while a message is on its way.",
    ),
    _semantic(
        "operator-then-delivered",
        "the usual order within a group: DELIVERED_TO_OPERATOR, then DELIVERED_TO_HANDSET",
        _in_order(WITH_OPERATOR, 60),
        judge=_told_apart(WITH_OPERATOR, DELIVERED),
        sameness=True,
        why=(
            "Both are in the group DELIVERED. A key of messageId and group treats them as one"
            " report."
        ),
        rule=rules.INTERMEDIATE,
        mend=_KEY,
    ),
    _semantic(
        "one-instant",
        "PENDING and DELIVERED of a message with the same doneAt",
        _in_order(PENDING, 0),
        judge=_told_apart(PENDING, DELIVERED),
        sameness=True,
        why=(
            "doneAt has a resolution of seconds or milliseconds, so two reports of a message"
            " can share one."
        ),
        rule=rules.ON_DEMAND,
        mend=_KEY,
    ),
    _semantic(
        "two-messages",
        "two messages that differ only in messageId",
        _two_messages,
        sameness=True,
        why=("Messages of a campaign share bulkId, callbackData, doneAt and sometimes the number."),
        rule=rules.CALLBACK_DATA,
        mend=f"{_KEY} Keep the id unchanged, including upper and lower case.",
    ),
    _semantic(
        "order-across-zones",
        "a later report whose doneAt sorts earlier as text, because of its time zone",
        _across_zones,
        judge=_told_apart(PENDING, DELIVERED),
        sameness=True,
        why=(
            "13:00+0100 is before 12:30+0000. If you compare them as text, you keep the older"
            " report."
        ),
        rule=rules.DATES,
        mend="Convert times to UTC before you compare or store them.",
    ),
    _semantic(
        "operator-then-undeliverable",
        "DELIVERED_TO_OPERATOR is not final: a later UNDELIVERABLE counts",
        _operator,
        judge=_judge_operator,
        sameness=True,
        why=(
            "Its group is DELIVERED. If you look only at the group, you report success for"
            " lost messages."
        ),
        rule=rules.INTERMEDIATE,
        mend="Treat group 3 with id 2 as intermediate; only DELIVERED_TO_HANDSET is delivered.",
    ),
    _semantic(
        "final-without-intermediate",
        "a final report with nothing before it",
        _without_intermediate,
        why="A state machine that waits for PENDING first never accepts it.",
        rule=rules.ON_DEMAND,
        mend="Allow every status as the first.",
    ),
    _semantic(
        "unknown-message",
        "a report for a message that the app never sent is answered 2xx",
        _unknown_message,
        judge=_answered,
        why="After a 404 the platform repeats the whole bucket for 41:30 hours.",
        rule=rules.REPEATED,
        mend="Answer 2xx, and keep or log reports that you cannot match: a report can arrive"
        " before your own record of the message.",
    ),
    _semantic(
        "other-events",
        "inbound messages and clicks at the same URL cause no errors",
        _others,
        judge=_judge_others,
        why="They have no status. Code that expects one fails, and the platform repeats them.",
        rule=rules.OTHER_EVENTS,
        demand="style",
        mend=(
            "Answer 2xx to anything that is not a report (`receivedAt`, `notificationType`)"
            " and set it aside."
        ),
    ),
)
