"""Formats: what the platform may write into a body, all of it legal."""

from __future__ import annotations

import gzip
from typing import Any

from msgspec.structs import replace

from dispatcher.rehearsal import rules
from dispatcher.rehearsal.bodies import body
from dispatcher.rehearsal.check import Check, Evidence, Judge, Make, Stage, pushed
from dispatcher.rehearsal.checks import format_bodies as bodies
from dispatcher.rehearsal.exchange import Exchange
from dispatcher.rehearsal.judges import (
    NOTE,
    lenient,
    milliseconds,
    refused_politely,
    taken,
    told,
)
from dispatcher.rehearsal.verdict import Judgement


def _format(name: str, asks: str, make: Make, judge: Judge = taken, **texts: Any) -> Check:
    return pushed("formats", name, asks, make, judge, **texts)


def _numbers(evidence: Evidence) -> Judgement:
    """The third push goes beyond the provider's rule, so that a refusal is only weak."""
    if len(evidence.exchanges) < 3:
        return taken(evidence)
    *legal, beyond = evidence.exchanges
    lawful = tuple(each for each in evidence.expected[:2])
    judgement = taken(replace(evidence, exchanges=tuple(legal), expected=lawful))
    if judgement.verdict != "passed" or beyond.ok:
        return judgement
    return Judgement("weak", f"{bodies.NUMBERS_AS_TEXT} are not taken: {told(beyond)}")


def _other_charset(evidence: Evidence) -> Judgement:
    """The platform writes UTF-8, so that other texts need not come out right; but no report may be
    lost."""
    known = [replace(each, callback_data=None) for each in evidence.expected]
    judgement = lenient(replace(evidence, expected=tuple(known)))
    whole = taken(evidence)
    taken_all = all(each.ok for each in evidence.exchanges)
    if judgement.verdict == "passed" and taken_all and whole.verdict == "failed":
        return Judgement("passed", f"{NOTE}{whole.text}")
    return judgement


def _neighbours(evidence: Evidence) -> Judgement:
    """The platform does not send such items; but what is lost with them is more than they are."""
    judgement = taken(evidence)
    refused = not all(each.ok for each in evidence.exchanges)
    answered = all(each.answered for each in evidence.exchanges)
    return replace(judgement, verdict="weak") if refused and answered else judgement


def _bucket_of_a_profile(evidence: Evidence) -> Judgement:
    """413 is an honest answer for those who never raise maxBucketSize."""
    (exchange,) = evidence.exchanges
    if exchange.status == 413:
        text = f"2,000 reports are too much: {told(exchange)}. Keep maxBucketSize at 100"
        return Judgement("weak", text)
    return taken(evidence)


async def _gzip(stage: Stage) -> Evidence:
    report = stage.make.report()
    plain = body([report])
    packed = replace(
        plain,
        what="1 report, packed with gzip",
        data=gzip.compress(plain.data, mtime=0),
        headers={"Content-Encoding": "gzip"},
    )
    options = await stage.client.options()
    evidence = await stage.push(packed, expected=tuple(bodies.delivered(report)))
    return replace(evidence, facts={"claimed": _claims_gzip(stage.opening, options)})


def _claims_gzip(*answers: Exchange) -> bool:
    """RFC 9110, 12.5.3: `Accept-Encoding` in an answer says which codings a request may have."""
    return any("gzip" in each.headers.get("accept-encoding", "") for each in answers)


def _judge_gzip(evidence: Evidence) -> Judgement:
    (exchange,) = evidence.exchanges
    if exchange.ok or evidence.facts["claimed"]:
        return taken(evidence)
    judgement = refused_politely(evidence)
    if judgement.verdict != "passed":
        return judgement
    took = milliseconds(exchange.seconds)
    return Judgement("passed", f"not claimed, and refused with {exchange.status} in {took}")


CHECKS = (
    _format(
        "json-v2",
        "a report in JSON as v1 and v2 push it",
        bodies.bucket(1),
        why="It is the body that most callbacks have.",
        rule=rules.TYPES,
        mend="Read `results` of the JSON object and answer 200 when you have stored it.",
        gated=False,
        plain=True,
    ),
    _format(
        "json-v3",
        "a report in JSON as v3 pushes it",
        bodies.bucket(1, generation="v3"),
        why="A message that is sent with the v3 API is reported so.",
        rule=rules.GENERATIONS,
        mend="Take `sender` beside `from`, `messageCount` beside `smsCount`, ids in `platform`.",
    ),
    _format(
        "xml-v2",
        "a report in XML as v1 and v2 push it",
        bodies.bucket(1, form="xml"),
        why="One message sent with notifyContentType application/xml is enough.",
        rule=rules.TYPES,
        mend="Choose the parser by Content-Type; never ask for a certain root element.",
    ),
    _format(
        "xml-v3",
        "a report in XML as v3 pushes it",
        bodies.bucket(1, form="xml", generation="v3"),
        why="The root element and the order of elements differ from those of v2.",
        rule=rules.GENERATIONS,
        mend="Look for `results/result` below any root, and never rely on order.",
    ),
    _format(
        "bucket-100",
        "100 reports in one JSON body, and 97",
        bodies.hundred,
        why="Many webhooks read only results[0], and lose 99 reports with an answer of 200.",
        rule=rules.BUCKET,
        mend="Go through all of `results`, the rest behind the last full batch too; allow bodies of"
        " at least 1 MB.",
    ),
    _format(
        "bucket-100-xml",
        "100 reports in one XML body",
        bodies.bucket(100, form="xml", generation="v3"),
        why="Readers of XML give one object for one child and a list for several.",
        rule=rules.BUCKET,
        mend="Have your reader make a list of `result` always; go through all of it.",
    ),
    _format(
        "bucket-2000",
        "2,000 reports in one body, the most that a profile allows",
        bodies.bucket(2000),
        judge=_bucket_of_a_profile,
        why="The body is 1.2 MB: more than many frameworks take by default.",
        rule=rules.BUCKET,
        mend="Raise the size limit for this path to 10 MB, and store a bucket in one transaction.",
    ),
    _format(
        "minimal-body",
        "a report with a messageId and a group name alone",
        bodies.minimal,
        why="A field that is read as if it were always there ends in an error for the bucket.",
        rule=rules.NOTHING_REQUIRED,
        mend="Treat every field as optional, objects such as price and error included.",
    ),
    _format(
        "all-fields",
        "reports with every documented field",
        bodies.all_fields,
        why="Rare fields such as campaignReferenceId and status.action come one day.",
        rule=rules.GENERATIONS,
        mend="Pass over what you do not need.",
    ),
    _format(
        "unknown-fields",
        "fields that no document knows yet, at every level",
        bodies.unknown_fields,
        why="A strict model refuses the bucket on the day that the platform adds a field.",
        rule=rules.NEW_THINGS,
        mend="Configure your reader to ignore unknown fields (additionalProperties, extra=ignore).",
    ),
    _format(
        "field-order",
        "fields and elements in another order",
        bodies.field_order,
        why="The examples of v2 and v3 have different orders already.",
        rule=rules.NEW_THINGS,
        mend="Look fields up by name.",
    ),
    _format(
        "new-status",
        "a new status id in a known group",
        bodies.new_status,
        why="A closed list of ids fails on the next one, and its neighbours in the bucket with it.",
        rule=rules.NEW_THINGS,
        mend="Decide by the group; keep id and name as they come.",
    ),
    _format(
        "new-status-group",
        "a new status group in the middle of a bucket",
        bodies.new_group,
        why="One unknown groupName that fails a bucket has it repeated for 41:30 hours, in vain.",
        rule=rules.NEW_THINGS,
        mend="Store an unknown group as not final, log it, and continue with the next report.",
    ),
    _format(
        "bad-items",
        "items that hold no report, between good ones",
        bodies.bad_items,
        judge=_neighbours,
        demand="style",
        why="One item that fails a bucket has its neighbours repeated for 41:30 hours, in vain.",
        rule=rules.NOTHING_REQUIRED,
        mend="Read each item by itself: keep a bad one to inspect it, and store the others.",
    ),
    _format(
        "numeric-strings",
        "texts that look like numbers, and numbers written as texts",
        bodies.numeric,
        judge=_numbers,
        why="Ids of 19 digits lose their last ones in a double, and 04501 its zero.",
        rule=rules.TEXTS,
        mend="Keep ids, numbers and callbackData as texts; switch off your XML reader's guessing.",
    ),
    _format(
        "callback-data",
        "long and odd callbackData: JSON, markup, quotes, lines, emoji, 4,000 signs",
        bodies.callback_data,
        why="It comes back as your own code sent it, and is often what finds the order.",
        rule=rules.CALLBACK_DATA,
        mend="Store it as it is: column of 4,000 signs, full Unicode, parameters in SQL.",
    ),
    _format(
        "dates",
        "dates in other zones, with milliseconds, and none",
        bodies.dates,
        why="+0000 without a colon is not RFC 3339; parsers that expect `Z` have failed on it.",
        rule=rules.DATES,
        mend="Parse with %Y-%m-%dT%H:%M:%S.%f%z; treat a missing doneAt as none.",
    ),
    _format(
        "prices",
        "a price of 0, a price without currency, no price and no error",
        bodies.prices,
        why="Rejected messages cost 0, and `if price` takes that for no price.",
        rule=rules.NOTHING_REQUIRED,
        mend="Treat price and error as optional objects, 0 as a number, amounts as decimals.",
    ),
    _format(
        "charset",
        "the content type in every usual way: charset, parameters, other cases",
        bodies.charset,
        why="A comparison with the bare Content-Type fails as soon as a charset stands behind it.",
        rule=rules.UNDOCUMENTED,
        mend="Compare the media type without its parameters and in any case; take text/xml as XML.",
    ),
    _format(
        "charset-other",
        "a byte order mark, and XML in another encoding",
        bodies.charset_other,
        judge=_other_charset,
        demand="style",
        why="Proxies and gateways between the platform and you write such bodies.",
        rule=rules.UNDOCUMENTED,
        mend="Hand bytes, not text, to the XML parser; skip a byte order mark in front of JSON.",
    ),
    Check(
        name="gzip",
        group="formats",
        asks="a packed body: accepted if the webhook claims gzip, otherwise refused at once",
        perform=_gzip,
        demand="style",
        judge=_judge_gzip,
        why="A webhook that waits for more, or reads the packed bytes as text, blocks a worker.",
        rule=rules.UNDOCUMENTED,
        mend="Answer 415 to a Content-Encoding that you do not take.",
    ),
)
