"""A failed check names its cause: the key by which an app tells reports apart, a part of a body, a
value of a plain report."""

from __future__ import annotations

import pytest

from dispatcher.rehearsal.bodies import Maker
from dispatcher.rehearsal.sameness import KEYS, RIGHT, keys_of, probes
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Webhook
from tests.rehearsal.served import a_target, listening, result


@pytest.mark.parametrize(
    ("webhook", "check", "key"),
    [
        (wrong.KeyIsMessageId, "pending-then-delivered", "messageId"),
        (wrong.KeyIsGroup, "operator-then-delivered", "messageId and group"),
        (wrong.KeyIsDoneAt, "one-instant", "messageId and doneAt"),
        (wrong.KeyIsBody, "duplicate-other-bucket", "the hash of the body"),
        (wrong.KeyIsCallbackData, "two-messages", "callbackData and status"),
    ],
)
async def test_the_key_is_named(webhook: type[Webhook], check: str, key: str) -> None:
    """A wrong app is told by what it takes two reports for the same, and by nothing else."""
    async with listening(webhook()) as base:
        found = await result(a_target(base), check)

    assert found.text.endswith(f"; it treats two reports as the same if they share {key}")


async def test_another_fault_is_not_called_a_key() -> None:
    """An app that stores reports rightly and makes the wrong state of them has no wrong key."""
    async with listening(wrong.LastWins()) as base:
        found = await result(a_target(base), "late-intermediate")

    assert found.verdict == "failed"
    assert "for the same by" not in found.text


@pytest.mark.parametrize("name", KEYS)
def test_what_the_probes_tell_apart(name: str) -> None:
    """Whatever key of the table an app has, the probes find that one alone, or none is wrong."""
    asked = probes(Maker("7", "sameness"))
    key = KEYS[name]
    found = [(probe, key(probe.first) != key(probe.second)) for probe in asked]

    assert keys_of(found) == [name]


def test_without_counts_the_right_key_is_not_doubted() -> None:
    """An app that does not tell how many reports it has may have the right key."""
    asked = probes(Maker("7", "sameness"))
    found = [(probe, None if probe.repeated else True) for probe in asked]

    assert keys_of(found) == [RIGHT]


@pytest.mark.parametrize(
    ("webhook", "check", "part"),
    [
        (wrong.CallbackDataIsJson, "callback-data", "callbackData with markup and quotes"),
        (wrong.NaiveDates, "dates", "dates at +0100"),
        (wrong.NeedsAPrice, "prices", "a price of 0"),
        (wrong.ClosedGroups, "new-status-group", "the new group"),
        (wrong.Strict, "unknown-fields", "an unknown string in the report"),
        (wrong.KnowsTheOrder, "bad-items", "an empty item"),
    ],
)
async def test_the_part_to_blame_is_named(webhook: type[Webhook], check: str, part: str) -> None:
    """When a body with several things in it is not taken, it is told which of them is not."""
    async with listening(webhook()) as base:
        found = await result(a_target(base), check)

    assert found.verdict in ("failed", "weak")
    _, _, blamed = found.text.partition("these parts are not accepted alone either: ")
    assert part in blamed, found.text
