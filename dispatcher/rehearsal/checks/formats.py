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
    return Judgement("weak", f"{bodies.NUMBERS_AS_TEXT} are not accepted: {told(beyond)}")


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
        text = f"2,000 reports are too many: {told(exchange)}. Keep maxBucketSize at 100"
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
    return Judgement("passed", f"not supported, and refused with {exchange.status} in {took}")


CHECKS = (
    _format(
        "json-v2",
        "a report in JSON, in the format of v1 and v2",
        bodies.bucket(1),
        why="Most callbacks have this body.",
        rule=rules.TYPES,
        mend=(
            "Read `results` in the JSON object, and answer 200 after you have stored the reports."
        ),
        gated=False,
        plain=True,
    ),
    _format(
        "json-v3",
        "a report in JSON, in the format of v3",
        bodies.bucket(1, generation="v3"),
        why="Messages that are sent with the v3 API are reported in this format.",
        rule=rules.GENERATIONS,
        mend=(
            "Accept `sender` as well as `from`, `messageCount` as well as `smsCount`, and ids"
            " in `platform`."
        ),
    ),
    _format(
        "xml-v2",
        "a report in XML, in the format of v1 and v2",
        bodies.bucket(1, form="xml"),
        why="A single message sent with notifyContentType application/xml causes such a push.",
        rule=rules.TYPES,
        mend="Choose the parser by Content-Type, and do not require a certain root element.",
    ),
    _format(
        "xml-v3",
        "a report in XML, in the format of v3",
        bodies.bucket(1, form="xml", generation="v3"),
        why="The root element and the order of elements differ from v2.",
        rule=rules.GENERATIONS,
        mend="Look for `results/result` below any root element, and never rely on the order.",
    ),
    _format(
        "bucket-100",
        "100 reports in one JSON body, and 97",
        bodies.hundred,
        why="Many webhooks read only results[0] and answer 200, so they lose 99 reports.",
        rule=rules.BUCKET,
        mend="Process all of `results`, including the rest after the last full batch. Allow"
        " bodies of at least 1 MB.",
    ),
    _format(
        "bucket-100-xml",
        "100 reports in one XML body",
        bodies.bucket(100, form="xml", generation="v3"),
        why="Many XML readers return an object for one child and a list for several.",
        rule=rules.BUCKET,
        mend=("Configure your reader to always return a list for `result`, and process all of it."),
    ),
    _format(
        "bucket-2000",
        "2,000 reports in one body, the most that a profile allows",
        bodies.bucket(2000),
        judge=_bucket_of_a_profile,
        why="The body has 1.2 MB, which is more than many frameworks accept by default.",
        rule=rules.BUCKET,
        mend="Raise the size limit for this path to 10 MB, and store a bucket in one transaction.",
    ),
    _format(
        "minimal-body",
        "a report with only a messageId and a group name",
        bodies.minimal,
        why="Code that expects every field fails, and the whole bucket with it.",
        rule=rules.NOTHING_REQUIRED,
        mend="Treat every field as optional, including objects such as price and error.",
    ),
    _format(
        "all-fields",
        "reports with every documented field",
        bodies.all_fields,
        why="Rare fields such as campaignReferenceId and status.action will appear one day.",
        rule=rules.GENERATIONS,
        mend="Ignore what you do not need.",
    ),
    _format(
        "unknown-fields",
        "undocumented fields at every level",
        bodies.unknown_fields,
        why="A strict model refuses every bucket as soon as the platform adds a field.",
        rule=rules.NEW_THINGS,
        mend="Configure your reader to ignore unknown fields (additionalProperties, extra=ignore).",
    ),
    _format(
        "field-order",
        "fields and elements in a different order",
        bodies.field_order,
        why="The documented examples of v2 and v3 already differ in their order.",
        rule=rules.NEW_THINGS,
        mend="Look fields up by name.",
    ),
    _format(
        "new-status",
        "a new status id in a known group",
        bodies.new_status,
        why=(
            "A closed list of ids fails on a new one, and the other reports in the bucket fail"
            " with it."
        ),
        rule=rules.NEW_THINGS,
        mend="Decide by the group, and keep id and name as you received them.",
    ),
    _format(
        "new-status-group",
        "a new status group in the middle of a bucket",
        bodies.new_group,
        why=(
            "If one unknown groupName makes a bucket fail, the platform repeats it for 41:30"
            " hours in vain."
        ),
        rule=rules.NEW_THINGS,
        mend="Store an unknown group as not final, log it, and continue with the next report.",
    ),
    _format(
        "bad-items",
        "items without a report, between good ones",
        bodies.bad_items,
        judge=_neighbours,
        demand="style",
        why=(
            "If one item makes a bucket fail, the platform repeats the good ones for 41:30"
            " hours in vain."
        ),
        rule=rules.NOTHING_REQUIRED,
        mend="Read each item separately: set a bad one aside, and store the others.",
    ),
    _format(
        "numeric-strings",
        "strings that look like numbers, and numbers written as strings",
        bodies.numeric,
        judge=_numbers,
        why=(
            "As floating-point numbers, ids of 19 digits lose their last digits; as integers,"
            " 04501 loses its zero."
        ),
        rule=rules.TEXTS,
        mend=(
            "Keep ids, phone numbers and callbackData as strings, and switch off type"
            " guessing in your XML reader."
        ),
    ),
    _format(
        "callback-data",
        (
            "long and unusual callbackData: JSON, markup, quotes, line breaks, emoji, 4,000"
            " characters"
        ),
        bodies.callback_data,
        why="It comes back exactly as your own code sent it, and is often the key to an order.",
        rule=rules.CALLBACK_DATA,
        mend="Store it unchanged: a column for 4,000 characters, full Unicode, SQL parameters.",
    ),
    _format(
        "dates",
        "dates in other time zones, with milliseconds, and no date",
        bodies.dates,
        why="+0000 without a colon is not RFC 3339, and parsers that expect `Z` fail on it.",
        rule=rules.DATES,
        mend="Parse with %Y-%m-%dT%H:%M:%S.%f%z, and allow doneAt to be missing.",
    ),
    _format(
        "prices",
        "a price of 0, a price without currency, no price and no error",
        bodies.prices,
        why="Rejected messages cost 0, and `if price` treats that as no price.",
        rule=rules.NOTHING_REQUIRED,
        mend="Treat price and error as optional objects, 0 as a number, amounts as decimals.",
    ),
    _format(
        "charset",
        "the content type in all usual forms: charset, parameters, upper and lower case",
        bodies.charset,
        why="A comparison with the plain media type fails as soon as the header has a charset.",
        rule=rules.UNDOCUMENTED,
        mend=("Compare the media type without parameters and ignore case; treat text/xml as XML."),
    ),
    _format(
        "charset-other",
        "a byte order mark, and XML in another encoding",
        bodies.charset_other,
        judge=_other_charset,
        demand="style",
        why="Proxies and gateways between the platform and you can produce such bodies.",
        rule=rules.UNDOCUMENTED,
        mend="Give the XML parser bytes, not text, and skip a byte order mark before JSON.",
    ),
    Check(
        name="gzip",
        group="formats",
        asks="a gzip body: accepted if the webhook supports gzip, otherwise refused at once",
        perform=_gzip,
        demand="style",
        judge=_judge_gzip,
        why=(
            "A webhook that waits for more data, or reads the compressed bytes as text, blocks"
            " a worker."
        ),
        rule=rules.UNDOCUMENTED,
        mend="Answer 415 to a Content-Encoding that you do not support.",
    ),
)
