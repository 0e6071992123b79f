"""Twenty mistakes of app teams, and what the rehearsal says of each.

They were written by somebody who had not written the checks. The first run of them showed what was
missing: six were not found (batches of ten, ids in small letters, entities that are unescaped
twice, a memory of the last hundred reports, NO_ERROR taken for delivered, a worker that dies), and
some were found and called something else. Each has to fail its checks and no others, and the text
has to name the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from dispatcher.rehearsal import CHECKS, Target, select
from tests.data.webhooks import wrong_apps as wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import SMALL, a_target, listening, results, verdicts
from tests.rehearsal.test_reference_webhooks import HEAVY, IN_A_BUCKET, ONLY_ANSWERED, XML_V3

REPEATED_IN_XML = {"duplicate-other-bucket"}
"""Fails where nothing of XML is read; its report is in the app before, in JSON."""

APPS: list[tuple[type[Webhook], str, str, Mapping[str, str]]] = [
    (
        wrong.StoresBehindTheAnswer,
        "prices",
        "-prices-3 (no price and no error)",
        {"minimal-body": "failed", "prices": "failed", "bad-items": "failed"},
    ),
    (
        wrong.RollsBack,
        "bad-items",
        "answered 200, but 2 of 2 messages are not in the app",
        {"bad-items": "failed"},
    ),
    (
        wrong.ErrorsWith200,
        "new-status-group",
        '200 with {"success": false, "error": "unknown status PARKED"} in the body, which the'
        " platform does not read",
        {"new-status-group": "failed"},
    ),
    (
        wrong.LastOnly,
        "new-status-group",
        "(before the new group)",
        {
            **{name: v for name, v in IN_A_BUCKET.items() if name != "duplicate-other-bucket"},
            "bucket-100": "failed",
            "bad-items": "failed",
        },
    ),
    (wrong.TensOnly, "bucket-100", "(number 91 of 97)", {"bucket-100": "failed"}),
    (
        wrong.UpdatesOnly,
        "processed",
        "it stores nothing, or only reports of messages that it sent itself",
        {"processed": "failed", **ONLY_ANSWERED},
    ),
    (
        wrong.JsonByRegex,
        "field-order",
        "(JSON, fields backwards)",
        {
            "field-order": "failed",
            "json-v3": "failed",
            "all-fields": "failed",
            "minimal-body": "failed",
            "bad-items": "failed",
        },
    ),
    (
        wrong.Latin1,
        "charset",
        "callbackData (application/json; charset=utf-8) is 'GrÃ¼",
        {"charset": "failed", "callback-data": "failed"},
    ),
    (
        wrong.UnescapesTwice,
        "callback-data",
        "callbackData (markup and quotes in XML) is",
        {"callback-data": "failed"},
    ),
    (
        wrong.NumbersOfJson,
        "all-fields",
        "(v3 XML) is 'DELIVERED_TO_HANDSET' in the app, expected 'delivered'",
        {
            **{name: v for name, v in XML_V3.items() if name not in HEAVY | REPEATED_IN_XML},
            "xml-v2": "failed",
            "charset-other": "failed",
        },
    ),
    (
        wrong.LowerCasesIds,
        "two-messages",
        "(its id has a capital letter)",
        {"two-messages": "failed"},
    ),
    (
        wrong.TrimsTexts,
        "callback-data",
        "callbackData (markup and quotes in JSON) is '<b>bold",
        {"callback-data": "failed"},
    ),
    (
        wrong.QuotesInSql,
        "callback-data",
        "callbackData with markup and quotes; 1 report, v2 JSON, callbackData with SQL",
        {"callback-data": "failed"},
    ),
    (
        wrong.KeyIsRecipient,
        "processed",
        "the same report is accepted to a number that had no report before",
        {"processed": "failed", **ONLY_ANSWERED},
    ),
    (
        wrong.KeyIsBulk,
        "two-messages",
        "it treats two reports as the same if they share bulkId and status",
        {
            **IN_A_BUCKET,
            "bucket-100": "failed",
            "bad-items": "failed",
            "all-fields": "failed",
            "unknown-fields": "failed",
            "field-order": "failed",
            "numeric-strings": "failed",
            "charset": "failed",
            "charset-other": "failed",
            "two-messages": "failed",
        },
    ),
    (
        wrong.NoErrorIsDelivered,
        "pending-then-delivered",
        "the app shows 'delivered' for a message that is PENDING_ENROUTE",
        {
            "pending-then-delivered": "weak",
            "operator-then-undeliverable": "weak",
            "operator-then-delivered": "answered only",
            "late-intermediate": "answered only",
            "one-instant": "answered only",
            "order-across-zones": "answered only",
        },
    ),
]
"""Webhook; the check that names the cause, with the words; what the quick checks say that do not
say "passed"."""

ALONE: list[tuple[type[Webhook], str, str]] = [
    (wrong.ForgetsKeys, "growth", "others) is counted 2 times in the app, expected 1"),
    (wrong.OneLock, "fifty-at-once", "as with a single lock or worker"),
    (wrong.LimitsRate, "burst", "429 from a rate limiter"),
]
"""Those that only a check of load finds."""


def target(base: str, timeout: timedelta = SMALL.timeout) -> Target:
    return a_target(base, plan=replace(SMALL, timeout=timeout))


@pytest.mark.parametrize(
    ("webhook", "check", "words", "expected"), APPS, ids=lambda v: getattr(v, "__name__", "")
)
async def test_a_mistake_is_named(
    webhook: type[Webhook], check: str, words: str, expected: Mapping[str, str]
) -> None:
    """Its checks fail, no others do, and one says why."""
    checks = [each for each in CHECKS if each.name not in HEAVY]
    async with listening(webhook()) as base:
        found = await results(target(base), checks)

    assert verdicts(found, "not judged") == expected
    (text,) = (each.text for each in found if each.check == check)
    assert words in text


@pytest.mark.parametrize(("webhook", "check", "words"), ALONE)
async def test_under_load(webhook: type[Webhook], check: str, words: str) -> None:
    """A mistake that shows with many pushes, and what it is called."""
    async with listening(webhook()) as base:
        (found,) = await results(target(base, timedelta(seconds=1)), select([check]))

    assert found.verdict == "failed"
    assert words in found.text


@pytest.mark.parametrize(
    ("webhook", "words"),
    [
        (wrong.WorkerDies, ("a good report after", "; since then it stores no plain report")),
        (wrong.LimitsRate, ("429 from a rate limiter", "; since then it takes no plain")),
    ],
)
async def test_one_fault_and_not_sixty(webhook: type[Webhook], words: tuple[str, ...]) -> None:
    """A webhook that answers and stores no more, or lets nobody in any more, fails one check. What
    comes after it is not judged."""
    before = ["json-v3", "xml-v2", "bad-items"]
    after = [each.name for each in CHECKS if each.group == "semantics"]
    async with listening(webhook()) as base:
        found = await results(target(base), select([*before, *after]))

    assert [each.verdict for each in found].count("failed") == 1
    (text,) = (each.text for each in found if each.verdict == "failed")
    assert all(each in text for each in words), text
    assert [each.verdict for each in found].count("not judged") >= 5
