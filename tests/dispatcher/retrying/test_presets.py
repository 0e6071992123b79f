"""The presets, against the numbers that their sources give."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from dispatcher.retrying.outcome import Answer, Outcome, judge
from dispatcher.retrying.presets import PRESETS
from dispatcher.retrying.schedule import INFOBIP

SOURCES = [
    # preset, retries, first wait, last wait, span: retry-policies.md, worked out where it rounds
    ("infobip", 20, {"minutes": 1}, {"minutes": 362}, {"hours": 41, "minutes": 30}),
    ("sinch-sms", 15, {"seconds": 5}, {"seconds": 40_960}, {"seconds": 81_920}),
    ("vonage-sms", 102, {"seconds": 5}, {"minutes": 15}, {"seconds": 1275, "minutes": 94 * 15}),
    ("vonage-legacy", 4320, {"minutes": 1}, {"minutes": 1}, {"hours": 72}),
    ("twilio-status", 1, {}, {}, {}),
    ("plivo-sms", 3, {"seconds": 60}, {"seconds": 240}, {"minutes": 7}),
    ("8x8-sms", 4, {"seconds": 1}, {"seconds": 90}, {"seconds": 131}),
    ("dialpad-sms", 10, {"seconds": 30}, {"hours": 1}, {"hours": 4, "minutes": 3.5}),
    ("govuk-notify", 5, {"minutes": 5}, {"minutes": 5}, {"minutes": 25}),
    ("didww-ps", 9, {"seconds": 1}, {"minutes": 5}, {"minutes": 13, "seconds": 48}),
    ("jasmin-default", 3, {"seconds": 30}, {"seconds": 30}, {"seconds": 90}),
    ("aws-sns-sms-push", 50, {"seconds": 10}, {"seconds": 600}, {"seconds": 24_445}),
    ("aws-sns-http", 3, {"seconds": 20}, {"seconds": 20}, {"seconds": 60}),
    ("mailgun", 6, {"minutes": 5}, {"hours": 4}, {"hours": 7.5}),
    ("brevo", 4, {"minutes": 10}, {"hours": 8}, {"hours": 11, "minutes": 10}),
    (
        "azure-event-grid",
        10,
        {"seconds": 10},
        {"hours": 12},
        {"minutes": 1366, "seconds": 40},
    ),
    ("adyen", 99, {"seconds": 9}, {"hours": 8}, {"hours": 712, "minutes": 2, "seconds": 27}),
    ("google-pubsub-push", 1012, {"seconds": 10}, {"minutes": 10}, {"minutes": 10_070.5}),
    ("shopify", 8, {"seconds": 57}, {"seconds": 7161}, {"hours": 4}),
    ("stripe", 13, {"minutes": 1}, {"minutes": 225}, {"days": 3}),
    ("bandwidth", 11, {"minutes": 1}, {"minutes": 417}, {"hours": 24}),
    ("bird", 9, {"minutes": 1}, {"minutes": 225}, {"hours": 8}),
    ("telnyx", 2, {"minutes": 1}, {"minutes": 2}, {"minutes": 3}),
    ("paypal", 25, {"hours": 2.88}, {"hours": 2.88}, {"days": 3}),
    ("sendgrid", 11, {"minutes": 1}, {"minutes": 417}, {"hours": 24}),
    ("meta-whatsapp", 14, {"minutes": 1}, {"minutes": 1889}, {"days": 7}),
    ("kit", 7, {"seconds": 30}, {"hours": 24}, {"hours": 41, "minutes": 17.5}),
    ("strike", 12, {"seconds": 3}, {"seconds": 3**12}, {"seconds": 797_160}),
    ("svix", 7, {"seconds": 5}, {"hours": 10}, {"hours": 27, "minutes": 35, "seconds": 5}),
    (
        *("standard-webhooks", 9, {"seconds": 5}, {"hours": 24}),
        {"hours": 75, "minutes": 35, "seconds": 5},
    ),
    ("convoy-default", 9, {"seconds": 100}, {"seconds": 100}, {"minutes": 15}),
    ("outpost-default", 10, {"seconds": 30}, {"seconds": 15_360}, {"hours": 8, "minutes": 31.5}),
    ("hook0-default", 24, {"seconds": 3}, {"hours": 10}, {"hours": 179.5, "seconds": 193}),
]

WITHOUT_RETRIES = {"github", "kannel-smsbox"}


@pytest.mark.parametrize(("name", "retries", "first", "last", "span"), SOURCES)
def test_numbers_of_the_source(
    name: str, retries: int, first: dict[str, Any], last: dict[str, Any], span: dict[str, Any]
) -> None:
    """Retries, first and last wait and span are those that the source gives."""
    preset = PRESETS[name]

    assert len(preset.waits) == retries
    assert (preset.waits[0], preset.waits[-1]) == (timedelta(**first), timedelta(**last))
    assert preset.span == timedelta(**span)


def test_every_preset_is_compared() -> None:
    """No preset is shipped whose numbers nothing compares."""
    assert {name for name, *_ in SOURCES} | WITHOUT_RETRIES == set(PRESETS)
    assert all(not PRESETS[name].waits for name in WITHOUT_RETRIES)


def test_infobip_comes_first() -> None:
    """Infobip's is the default, and is not changed by what other platforms need."""
    assert next(iter(PRESETS.values())) is INFOBIP
    assert (INFOBIP.jitter, INFOBIP.counted_from) == (0.0, "start")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=str)
def test_says_where_it_is_from(preset: Any) -> None:
    """Each preset has a source, the month when it was read, and a confidence; what is less than A
    is experimental and says what is unknown."""
    assert preset.source
    assert preset.read == "2026-11"
    assert preset.experimental == (preset.confidence != "A")
    assert preset.unknown or not preset.experimental


def test_what_is_experimental() -> None:
    """These presets rest on less than the platform's own numbers."""
    assert {p.name for p in PRESETS.values() if p.experimental} == {
        *("vonage-legacy", "telnyx", "bandwidth", "bird", "shopify", "stripe"),
        *("paypal", "adyen", "sendgrid", "meta-whatsapp", "google-pubsub-push"),
    }


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("svix", 0.8, 1.2), ("didww-ps", 0.5, 1.0)]
)
def test_jitter_of_the_source(name: str, lowest: float, highest: float) -> None:
    """Svix varies a wait by 20 % both ways; DIDWW takes 50 to 100 % of it."""
    preset = PRESETS[name]
    rng = Random(4)
    shares = [
        wait / preset.waits[2]
        for _ in range(2000)
        if (wait := preset.wait_after(3, rng)) is not None
    ]

    assert lowest <= min(shares) < lowest + 0.01
    assert highest - 0.01 < max(shares) <= highest


def test_without_a_generator_there_is_no_jitter() -> None:
    """Asked without a random generator, a schedule gives the wait of its table."""
    assert PRESETS["svix"].wait_after(1) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("name", "status", "outcome"),
    [
        ("infobip", 204, Outcome.ACKNOWLEDGED),
        ("infobip", 410, Outcome.REFUSED),
        ("sinch-sms", 404, Outcome.STOPPED),
        ("sinch-sms", 429, Outcome.REFUSED),
        ("vonage-sms", 204, Outcome.WRONG_ANSWER),
        ("vonage-sms", 302, Outcome.STOPPED),
        ("vonage-sms", 404, Outcome.STOPPED),
        ("vonage-sms", 429, Outcome.REFUSED),
        ("vonage-sms", 500, Outcome.FAILED),
        ("twilio-status", 500, Outcome.STOPPED),
        ("plivo-sms", 410, Outcome.REFUSED),
        ("8x8-sms", 302, Outcome.ACKNOWLEDGED),
        ("dialpad-sms", 429, Outcome.STOPPED),
        ("govuk-notify", 404, Outcome.STOPPED),
        ("govuk-notify", 429, Outcome.REFUSED),
        ("govuk-notify", 500, Outcome.FAILED),
        ("aws-sns-http", 302, Outcome.ACKNOWLEDGED),
        ("aws-sns-http", 404, Outcome.STOPPED),
        ("aws-sns-http", 503, Outcome.FAILED),
        ("mailgun", 406, Outcome.STOPPED),
        ("mailgun", 404, Outcome.REFUSED),
        ("brevo", 404, Outcome.STOPPED),
        ("brevo", 429, Outcome.REFUSED),
        ("brevo", 500, Outcome.STOPPED),
        ("azure-event-grid", 413, Outcome.STOPPED),
        ("azure-event-grid", 404, Outcome.REFUSED),
        ("azure-event-grid", 206, Outcome.WRONG_ANSWER),
        ("google-pubsub-push", 203, Outcome.WRONG_ANSWER),
        ("meta-whatsapp", 202, Outcome.WRONG_ANSWER),
        ("kit", 410, Outcome.STOPPED),
        ("kit", 404, Outcome.REFUSED),
        ("strike", 501, Outcome.STOPPED),
        ("strike", 500, Outcome.FAILED),
        ("outpost-default", 304, Outcome.ACKNOWLEDGED),
        ("jasmin-default", 404, Outcome.REFUSED),
        ("kannel-smsbox", 202, Outcome.ACKNOWLEDGED),
        ("kannel-smsbox", 204, Outcome.WRONG_ANSWER),
    ],
)
def test_statuses_of_the_source(name: str, status: int, outcome: Outcome) -> None:
    """What a status means is what the platform says of it."""
    assert judge(Answer(1.0, status=status), PRESETS[name].rules) is outcome


@pytest.mark.parametrize(
    "name",
    ["vonage-legacy", "govuk-notify", "aws-sns-http", "strike", "svix", "hook0-default"],
)
def test_waits_after_the_end_where_the_source_says_so(name: str) -> None:
    """A source that counts from the failure, and not from the attempt, is played like that."""
    assert PRESETS[name].counted_from == "end"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"ACK/Jasmin", Outcome.ACKNOWLEDGED),
        (b" ACK/Jasmin\r\n", Outcome.ACKNOWLEDGED),
        (b"OK", Outcome.WRONG_ANSWER),
        (b"not ACK/Jasmin", Outcome.WRONG_ANSWER),
    ],
)
def test_jasmin_wants_its_word(body: bytes, outcome: Outcome) -> None:
    """Jasmin takes 200 for nothing unless the body is ACK/Jasmin."""
    assert judge(Answer(1.0, status=200, body=body), PRESETS["jasmin-default"].rules) is outcome


def test_svix_reads_the_header_of_every_failure() -> None:
    """Svix asks no status before it reads a Retry-After; the other two name theirs."""
    read = {
        name: rule.statuses
        for name in ("svix", "kit", "hook0-default")
        if (rule := PRESETS[name].rules.retry_after) is not None
    }

    assert {302, 404, 429, 500, 503} <= read["svix"]
    assert read["kit"] == {429, 503}
    assert read["hook0-default"] == {429}


SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "asked", "wait", "obeyed"),
    [
        ("svix", SECOND, HOUR, HOUR),
        ("svix", 1.5 * HOUR, HOUR, 1.5 * HOUR),
        ("svix", DAY, HOUR, 2 * HOUR),
        ("kit", timedelta(0), HOUR, SECOND),
        ("kit", 10 * SECOND, HOUR, 10 * SECOND),
        ("kit", 2 * DAY, HOUR, DAY),
        ("hook0-default", SECOND, HOUR, HOUR),
        ("hook0-default", DAY, HOUR, 10 * HOUR),
    ],
)
def test_retry_after_of_the_source(
    name: str, asked: timedelta, wait: timedelta, obeyed: timedelta
) -> None:
    """Svix obeys within once and twice the wait, Kit within 1 s and 24 h, Hook0 up to 10 h."""
    rule = PRESETS[name].rules.retry_after

    assert rule is not None
    assert rule.bounded(asked, wait) == obeyed
