"""Rules: which messages they are for, and the fate that they give."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from dispatcher.sandbox.messages.outcomes import MAGIC, Fate, fate_of, fits, price_of
from dispatcher.sandbox.messages.send import BinaryContent, Delivery, Sms, TextContent
from dispatcher.sandbox.messages.statuses import PENDING_ACCEPTED, UNDELIVERABLE_NOT_SENT
from dispatcher.settings.sandbox import OutcomeRule
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import SMS_STATUSES
from tests.sandbox import playing

SECOND = timedelta(seconds=1)
DELIVERED = (3, 5)


def an_sms(to: str = "41793026727", text: str = "hello", callback_data: str | None = None) -> Sms:
    return Sms(
        message_id=None,
        to=to,
        sender="InfoSMS",
        content=TextContent(text, text),
        parts=1,
        delivery=Delivery(callback_data=callback_data),
    )


def fate(*rules: OutcomeRule, to: str = "41793026727", seed: int = 1) -> Fate:
    return fate_of(an_sms(to), rules, Random(seed))


def rule(**settings: Any) -> OutcomeRule:
    return OutcomeRule(**settings)


@pytest.mark.parametrize(
    ("settings", "it_fits"),
    [
        ({}, True),
        ({"to": "41793026727"}, True),
        ({"to": "4179302672"}, False),
        ({"to": "4179*"}, True),
        ({"to": "49*"}, False),
        ({"to": "+41 79 302 67 27"}, True),
        ({"to": "tel:+4179*"}, True),
        ({"to": "0041793026727"}, True),
        ({"sender": "InfoSMS"}, True),
        ({"sender": "Info"}, False),
        ({"text": "^hel+o$"}, True),
        ({"text": "bye"}, False),
        ({"callback_data": "order"}, True),
        ({"callback_data": "^4711"}, False),
        ({"to": "4179*", "text": "bye"}, False),
    ],
)
def test_who_is_meant(settings: dict[str, str], it_fits: bool) -> None:
    """All that a rule says must be so; a number is whole or, with a star, a beginning."""
    assert fits(rule(**settings), an_sms(callback_data="order 4711")) is it_fits


def test_binary_has_no_text() -> None:
    """A rule that asks for a text is not for binary messages."""
    sms = Sms(
        message_id=None,
        to="41793026727",
        sender=None,
        content=BinaryContent(b"\x00"),
        parts=1,
        delivery=Delivery(),
    )

    assert fits(rule(), sms)
    assert not fits(rule(text="."), sms)


def test_the_first_rule_that_fits_counts() -> None:
    """Rules are asked in their order, the magic recipients after them."""
    expired, rejected = rule(status="EXPIRED_EXPIRED"), rule(status="REJECTED_DND")

    assert fate(rule(to="49*"), expired, rejected).status == (4, 15)
    assert fate(rejected, expired, to=playing.UNDELIVERABLE).status == (5, 10)
    assert fate(to=playing.UNDELIVERABLE).status == (2, 9)
    assert fate().status == (3, 5)


def test_share() -> None:
    """A rule gets its share of the messages, and the next one those that are left."""
    some = rule(status="EXPIRED_EXPIRED", share=0.25)

    expired = sum(fate(some, seed=seed).status == (4, 15) for seed in range(2000))

    assert 430 < expired < 570
    assert fate(rule(status="EXPIRED_EXPIRED", share=0.0)).status == (3, 5)


def test_the_same_seed_gives_the_same_fate() -> None:
    """Chance is handed in: nothing else decides."""
    chancy = rule(share=0.5, distribution="exponential", after=60 * SECOND)

    assert [fate(chancy, seed=n) for n in range(50)] == [fate(chancy, seed=n) for n in range(50)]


@pytest.mark.parametrize("distribution", ["fixed", "uniform", "exponential"])
def test_after_is_the_mean(distribution: str) -> None:
    """Of each distribution `after` is the mean, in whole milliseconds and never negative."""
    slow = rule(after=60 * SECOND, distribution=distribution)

    waits = [fate(slow, seed=seed).after for seed in range(2000)]

    assert 56 < sum(wait.total_seconds() for wait in waits) / 2000 < 64
    assert all(wait >= timedelta(0) and wait.microseconds % 1000 == 0 for wait in waits)
    assert (len(set(waits)) == 1) is (distribution == "fixed")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("DELIVERED_TO_HANDSET", "NO_ERROR"),
        ("REJECTED_NETWORK", "NO_ERROR"),
        ("UNDELIVERABLE_NOT_DELIVERED", "EC_ABSENT_SUBSCRIBER"),
        ("EXPIRED_EXPIRED", "EC_VALIDITY_EXPIRED"),
    ],
)
def test_the_usual_error(status: str, error: str) -> None:
    """Without an error the rule's status brings its usual one."""
    assert fate(rule(status=status)).error == error


def test_prices() -> None:
    """A rejected or cancelled message costs nothing, others what the settings or a rule say."""
    usual = Decimal("0.01")

    rejected = fate(rule(status="REJECTED_DND"))

    assert price_of(fate(), DELIVERED, usual) == usual
    assert price_of(rejected, rejected.status, usual) == 0
    assert price_of(fate(), UNDELIVERABLE_NOT_SENT, usual) == 0
    assert price_of(fate(rule(price=0.5)), DELIVERED, usual) == Decimal("0.5")


def test_a_price_foretells_nothing() -> None:
    """A message that is going to be rejected has the usual price until it is: its intermediate
    report had none, and so told what nobody could know yet."""
    rejected = fate(rule(status="REJECTED_DND"))

    assert price_of(rejected, PENDING_ACCEPTED, Decimal("0.01")) == Decimal("0.01")


def test_magic_recipients_are_those_of_the_tests() -> None:
    """The tests' words for the magic recipients name all that there are."""
    named = {value for value in vars(playing).values() if str(value).startswith("4477009")}

    assert named == set(MAGIC)


def test_statuses_and_errors_are_the_providers() -> None:
    """Every usual error is in the table of codes, and the groups are those of the strict client."""
    assert errors()["NO_ERROR"].group_name == "OK"
    assert len(errors()) == 145
    assert {error.group_id for error in errors().values()} == {0, 1, 2, 3}
    assert all(key in SMS_STATUSES for key in [fate(to=number).status for number in MAGIC])
