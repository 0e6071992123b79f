"""Webhooks that are wrong fail the check that is there for them, and what follows from it.

The right ones pass all. So there is no check that cannot fail, and none that fails by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from dispatcher.rehearsal import CHECKS, Verdict, select
from tests.data.webhooks import simple, wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import NOT_HERE, SMALL, a_target, listening, results, verdicts

XML_V3 = {
    "xml-v3": "failed",
    "bucket-100-xml": "failed",
    "all-fields": "failed",
    "unknown-fields": "failed",
    "field-order": "failed",
    "numeric-strings": "failed",
    "callback-data": "failed",
    "dates": "failed",
    "charset": "failed",
    "duplicate-other-bucket": "failed",
}
"""The checks with a body in XML as v3 has it."""

IN_A_BUCKET = {
    "new-status": "failed",
    "new-status-group": "failed",
    "callback-data": "failed",
    "dates": "failed",
    "prices": "failed",
    "duplicate-same-bucket": "failed",
    "duplicate-other-bucket": "failed",
    "cut-in-body": "failed",
    "answer-lost": "failed",
}
"""The checks with several reports in a body, beside those that are about nothing else."""

ONLY_ANSWERED = {
    "duplicate-same-bucket": "answered only",
    "duplicate-other-bucket": "answered only",
    "duplicate-at-once": "answered only",
    "late-intermediate": "answered only",
    "operator-then-undeliverable": "answered only",
    "final-without-intermediate": "answered only",
    "pending-then-delivered": "answered only",
    "operator-then-delivered": "answered only",
    "one-instant": "answered only",
    "two-messages": "answered only",
    "order-across-zones": "answered only",
    "cut-in-body": "answered only",
    "answer-lost": "answered only",
}

QUICK: list[tuple[type[Webhook], Mapping[str, str]]] = [
    (
        wrong.NoXml,
        {
            **XML_V3,
            "charset-other": "weak",
            "xml-v2": "failed",
            "garbage-xml": "failed",
            "garbage-bytes": "failed",
            "wrong-shape": "failed",
            "entity-bomb": "failed",
        },
    ),
    (wrong.V2NamesOnly, {"json-v3": "failed", "all-fields": "failed"}),
    (wrong.V3RootOnly, {"xml-v2": "failed"}),
    (wrong.V2RootOnly, XML_V3),
    (
        wrong.FirstOnly,
        {
            "bucket-100": "failed",
            "bucket-100-xml": "failed",
            "bucket-2000": "failed",
            "bad-items": "failed",
            **IN_A_BUCKET,
        },
    ),
    (wrong.OneElement, {"bucket-100-xml": "failed", "callback-data": "failed"}),
    (wrong.FirstThousand, {"bucket-2000": "failed"}),
    (wrong.MegabyteLimit, {"bucket-2000": "weak"}),
    (wrong.NeedsMccMnc, {"minimal-body": "failed", "bad-items": "weak"}),
    (wrong.NoCampaign, {"all-fields": "failed"}),
    (wrong.Strict, {"unknown-fields": "failed"}),
    (wrong.KnowsTheOrder, {"field-order": "failed", "bad-items": "weak"}),
    (
        wrong.ClosedIds,
        {"new-status": "failed", "new-status-group": "failed", "bad-items": "weak"},
    ),
    (wrong.ClosedGroups, {"new-status-group": "failed", "bad-items": "weak"}),
    (wrong.GuessesNumbers, {"numeric-strings": "failed"}),
    (wrong.NoNumbersAsText, {"numeric-strings": "weak"}),
    (wrong.ShortColumn, {"callback-data": "failed"}),
    (wrong.CallbackDataIsJson, {"callback-data": "failed"}),
    (
        wrong.NaiveDates,
        {"dates": "failed", "order-across-zones": "failed", "bad-items": "weak"},
    ),
    (wrong.NeedsAPrice, {"prices": "failed", "bad-items": "weak"}),
    (wrong.BareTypes, {"charset": "failed"}),
    (wrong.LosesWithAMark, {"charset-other": "failed"}),
    (wrong.HangsOnGzip, {"gzip": "failed"}),
    (wrong.ClaimsGzip, {"gzip": "failed"}),
    (wrong.Forgets, {"processed": "failed", **ONLY_ANSWERED}),
    (wrong.CountsWithinBucket, {"duplicate-same-bucket": "failed", "bad-items": "weak"}),
    (
        wrong.ConflictOnDuplicate,
        {
            "duplicate-other-bucket": "failed",
            "duplicate-at-once": "failed",
            "answer-lost": "failed",
        },
    ),
    (wrong.LosesOnDuplicate, {"duplicate-other-bucket": "failed"}),
    (wrong.LooksThenInserts, {"duplicate-at-once": "failed", "bad-items": "weak"}),
    (
        wrong.KeyIsMessageId,
        {
            "pending-then-delivered": "failed",
            "operator-then-delivered": "failed",
            "operator-then-undeliverable": "failed",
            "one-instant": "failed",
            "order-across-zones": "failed",
        },
    ),
    (wrong.KeyIsGroup, {"operator-then-delivered": "failed"}),
    (wrong.KeyIsDoneAt, {"one-instant": "failed"}),
    (wrong.KeyIsBody, {"duplicate-other-bucket": "failed"}),
    (wrong.KeyIsCallbackData, {"two-messages": "failed", "charset": "failed"}),
    (wrong.ComparesTexts, {"order-across-zones": "failed"}),
    (wrong.LastWins, {"late-intermediate": "failed"}),
    (
        wrong.GroupIsFinal,
        {"operator-then-undeliverable": "failed", "operator-then-delivered": "failed"},
    ),
    (
        wrong.TellsDeliveredEarly,
        {"operator-then-undeliverable": "weak", "operator-then-delivered": "answered only"},
    ),
    (
        wrong.WaitsForPending,
        {
            "final-without-intermediate": "failed",
            "prices": "failed",
            "new-status": "failed",
            "operator-then-undeliverable": "answered only",
        },
    ),
    (wrong.KnowsItsRecipients, {"unknown-message": "failed"}),
    (wrong.NeedsAStatus, {"other-events": "failed", "bad-items": "weak"}),
    (wrong.JsonErrors, {"garbage-json": "failed", "garbage-bytes": "failed"}),
    (wrong.XmlErrors, {"garbage-xml": "failed", "garbage-bytes": "failed"}),
    (wrong.BytesErrors, {"garbage-bytes": "failed"}),
    (wrong.ShapeErrors, {"wrong-shape": "failed"}),
    (
        wrong.SwallowsAll,
        {
            "garbage-json": "weak",
            "garbage-xml": "weak",
            "garbage-bytes": "weak",
            "wrong-shape": "weak",
        },
    ),
    (wrong.Talks, {"small-answer": "failed"}),
    (wrong.TalksABit, {"small-answer": "weak"}),
    (wrong.OnlyContentLength, {"chunked": "failed", "garbage-bytes": "weak"}),
    (wrong.DiesOfDepth, {"deep-nesting": "failed"}),
    (wrong.RefusesExpect, {"expect-continue": "failed"}),
    (wrong.ReadsThrice, {"slow-body": "failed"}),
    (
        wrong.AnswersFirst,
        {
            "answer-after-body": "failed",
            "garbage-json": "weak",
            "garbage-xml": "weak",
            "garbage-bytes": "weak",
            "wrong-shape": "weak",
        },
    ),
    (wrong.Expands, {"entity-bomb": "failed"}),
    (wrong.LeaksTraceback, {"no-stack-trace": "failed"}),
    (wrong.TakesHalves, {"cut-in-body": "failed"}),
    (wrong.SameBodyIsAnError, {"answer-lost": "failed", "duplicate-at-once": "failed"}),
    (wrong.SmallPool, {"burst": "failed", "fifty-at-once": "failed"}),
]
"""Webhook to what the quick checks say of it, where they do not say "passed"."""

ALONE: list[tuple[type[Webhook], str, Verdict]] = [
    (wrong.Slow, "quick-answer", "weak"),
    (wrong.TooSlow, "quick-answer", "failed"),
    (wrong.HangsUp, "keep-alive", "failed"),
    (wrong.NoLimit, "body-limit", "failed"),
    (wrong.DropsUnderLoad, "sustained", "failed"),
    (wrong.NoIndex, "growth", "weak"),
    (wrong.Leaks, "growth", "weak"),
]
"""Those that only one check is asked about: the others would take minutes, or, with a connection
that is closed behind their backs, fail at random. That is what is wrong with it."""

ELSEWHERE = {
    "json-v2",
    "no-redirect",
    "tls-certificate",
    "tls-version",
    "credentials-missing",
    "credentials-wrong",
    "signature-other-body",
}
"""Checks that fail in tests of their own: below, and in test_security_checks.py."""

ONLY_WEAK = {"growth", "signature-old"}
"""Checks whose findings do harm one day and not today."""


HEAVY = {
    "answer-after-body",
    "body-limit",
    "bucket-100-xml",
    "bucket-2000",
    "burst",
    "fifty-at-once",
    "growth",
    "slow-body",
    "sustained",
}
"""Checks that take most of the time: of a webhook that should pass them they are asked in the
long form of the test alone."""

each_wrong_webhook = pytest.mark.parametrize(
    ("webhook", "expected"), QUICK, ids=lambda value: getattr(value, "__name__", "")
)


@each_wrong_webhook
async def test_a_wrong_webhook(webhook: type[Webhook], expected: Mapping[str, Verdict]) -> None:
    """Each wrong webhook fails its check and what follows from it, and nothing else."""
    checks = [c for c in CHECKS if c.name in expected or c.name not in HEAVY]
    timeout = timedelta(seconds=1) if webhook is wrong.HangsOnGzip else SMALL.timeout
    async with listening(webhook()) as base:
        found = await results(a_target(base, plan=replace(SMALL, timeout=timeout)), checks)

    assert verdicts(found, "not judged") == expected


@pytest.mark.long
@each_wrong_webhook
async def test_of_all_quick_checks(webhook: type[Webhook], expected: Mapping[str, Verdict]) -> None:
    """As above, with the checks that take most of the time."""
    async with listening(webhook()) as base:
        found = await results(a_target(base), select(skip=["body-limit", "growth", "sustained"]))

    assert verdicts(found, "not judged") == expected


@pytest.mark.parametrize(("webhook", "check", "verdict"), ALONE)
async def test_one_check_alone(webhook: type[Webhook], check: str, verdict: Verdict) -> None:
    """A wrong webhook whose other checks are not asked about."""
    async with listening(webhook()) as base:
        plan = replace(SMALL, timeout=timedelta(seconds=2))
        target = a_target(base, plan=plan, verified=webhook is wrong.DropsUnderLoad)
        (found,) = await results(target, select([check]))

    assert found.verdict == verdict, found


@pytest.mark.parametrize("webhook", [Webhook, *simple.ALL])
async def test_the_right_one_passes_all(webhook: type[Webhook]) -> None:
    """The right webhook passes every check; what it has not is not judged. So does one that is
    strict, or simple, where no document of the provider says anything."""
    async with listening(webhook()) as base:
        found = await results(a_target(base))

    assert verdicts(found) == NOT_HERE


@pytest.mark.parametrize(
    ("webhook", "expected"),
    [
        (wrong.XmlOnly, {"json-v2": "failed"}),
        (wrong.Redirects, {"json-v2": "failed", "no-redirect": "failed"}),
    ],
)
async def test_not_even_a_plain_report(
    webhook: type[Webhook], expected: Mapping[str, Verdict]
) -> None:
    """A webhook that takes no plain report fails for that, and the rest is not judged."""
    async with listening(webhook()) as base:
        found = await results(a_target(base))

    assert verdicts(found, "not judged") == expected
    assert sum(each.verdict == "not judged" for each in found) >= len(CHECKS) - 3


def test_every_check_can_fail() -> None:
    """For each check there is a webhook that fails it."""
    table = [*(expected for _, expected in QUICK), *({name: v} for _, name, v in ALONE)]
    failed = {name for row in table for name, verdict in row.items() if verdict == "failed"}

    assert {check.name for check in CHECKS} == failed | ELSEWHERE | ONLY_WEAK


def test_the_quick_ones_find_most() -> None:
    """The fifteen checks of `--quick` find more than half of the wrong webhooks."""
    quick = {check.name for check in select(quick=True)}
    table = [*(expected for _, expected in QUICK), *({name: v} for _, name, v in ALONE)]
    found = [row for row in table if any(row.get(name) in ("failed", "weak") for name in quick)]

    assert len(quick) == 15
    assert len(found) / len(table) > 0.55
