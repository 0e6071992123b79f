"""What the users of the sandbox's store need; `SandboxStore` is all of it.

Decisions are handed in as pure functions: the store reads what one needs, asks it, and writes what
it says, in one transaction. What a decision raises is raised, and then nothing is changed. It is
called on a thread of the store, and may be called again if the transaction has to be repeated.

Every method raises StoreUnavailable (receiver/store/base.py), and then nothing is changed either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct

from dispatcher.endpoints.endpoint import Target
from dispatcher.sandbox.messages.acceptance import Admission, Arrival, Known
from dispatcher.sandbox.messages.bulks import Bulk, BulkChange, WaitingBulk
from dispatcher.sandbox.messages.inbound import Inbound
from dispatcher.sandbox.messages.message import Message
from dispatcher.sandbox.messages.reports import StepTaken
from receiver.store.base import StoredReport

Admit = Callable[[Arrival, Known], Admission]
ChangeBulk = Callable[[WaitingBulk], BulkChange]
TakeStep = Callable[[Message], StepTaken]
ChangeMessage = Callable[[Message], Message]


class StepCounts(Struct, frozen=True):
    """How many steps were taken, and how many reports were stored of them."""

    steps: int
    reports: int


class ClockState(Struct, frozen=True):
    """How far the sandbox's clock is ahead of the machine's, and the latest instant that anything
    in the store has: the clock must not go back before it."""

    ahead: timedelta
    seen_at: datetime


class Counters(Struct, frozen=True):
    """How many reports and attempts there have been, including those no longer kept."""

    reports: int
    attempts: int


class AcceptedQuery(Struct, frozen=True, kw_only=True):
    """Messages after one number, in the order in which they came. `None` means: any. `to` may be
    in any form of a number (receiver/dlr/number.py)."""

    after: int = 0
    limit: int = 100
    message_id: str | None = None
    bulk_id: str | None = None
    to: str | None = None


class LogQuery(Struct, frozen=True, kw_only=True):
    """Messages that leave after `left_after`, newest first. `None` means: any. Of a range the
    beginning belongs to it, the end does not. `before` is the cursor: only smaller numbers. `to`
    and `sender` may be in any form of a number (receiver/dlr/number.py)."""

    left_after: datetime
    limit: int
    before: int | None = None
    sender: str | None = None
    to: str | None = None
    bulk_ids: Sequence[str] | None = None
    message_ids: Sequence[str] | None = None
    status_group: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    entity_id: str | None = None
    application_id: str | None = None
    campaign_reference_ids: Sequence[str] | None = None


class PullQuery(Struct, frozen=True, kw_only=True):
    """Reports made after `made_after` that wait to be pulled. `None` means: any."""

    made_after: datetime
    limit: int
    bulk_id: str | None = None
    message_id: str | None = None
    entity_id: str | None = None
    application_id: str | None = None
    campaign_reference_id: str | None = None


class Push(Struct, frozen=True):
    """An event that is no report, which message it is of, and where it is pushed to."""

    target: Target
    body: bytes
    message_id: str


class InboxQuery(Struct, frozen=True, kw_only=True):
    """Received SMS that wait to be pulled, not those from before `received_after`. `None` means:
    any."""

    received_after: datetime
    limit: int
    application_id: str | None = None
    entity_id: str | None = None
    campaign_reference_id: str | None = None


class InboxLogQuery(Struct, frozen=True, kw_only=True):
    """Received SMS, newest first, not those from before `received_after`. `None` means: any. `to`
    may be in any form of a number; a keyword in capitals or not. Of a range the beginning belongs
    to it, the end does not."""

    received_after: datetime
    limit: int
    to: str | None = None
    keyword: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class BulkStore(Protocol):
    """For the routes of bulks."""

    async def bulk(self, bulk_id: str) -> Bulk | None:
        """A bulk, if there is one that has or had messages."""

    async def change_bulk(self, bulk_id: str, now: datetime, change: ChangeBulk) -> Bulk | None:
        """Change a bulk and its messages that wait. Returns it as it stands then."""


class LogStore(Protocol):
    """For the logs."""

    async def logs(self, query: LogQuery) -> list[Message]:
        """Messages as they stand."""


class PullStore(Protocol):
    """For the pull endpoints."""

    async def pull(self, query: PullQuery) -> list[StoredReport]:
        """Hand out what waits, in the order in which it was made, and forget that it waited: two
        who ask at once get different reports. What is older than `made_after` is forgotten too."""


class SentStore(Protocol):
    """For what happens to a message that was sent."""

    async def sent(self, message_id: str) -> Message | None:
        """The first message of this id that was not refused."""


class ConversionStore(SentStore, Protocol):
    """For the end tag of a conversion."""

    async def convert(self, message: int, now: datetime) -> None:
        """Keep that a message, by its number, has led to what it was sent for. The first time
        counts."""


class ClickStore(SentStore, Protocol):
    """For the links of messages."""

    async def linked(self, code: str) -> Message | None:
        """The message that has a short link with this code, and was not refused."""

    async def click(
        self, message: int, now: datetime, push: Push | None, *, converts: bool
    ) -> None:
        """Count a click on a link of a message, by its number, and keep the duty to push it in the
        same transaction, as `receive` does. `converts`: it is a conversion too. Nothing happens if
        there is no such message any more."""


class InboxStore(Protocol):
    """For SMS that come in."""

    async def receive(self, inbound: Inbound, push: Push | None, now: datetime) -> None:
        """Keep one, and in the same transaction the duty to push it: a dispatch to `notify-url`
        that is due at `now` and has no reports. Without a `push` it waits to be pulled."""

    async def pull_inbox(self, query: InboxQuery) -> tuple[list[Inbound], int]:
        """Hand out what waits, in the order in which it came: two who ask at once get different
        ones. And how many of those that fit are left."""

    async def inbox(self, query: InboxLogQuery) -> list[Inbound]:
        """What has come in, pulled and pushed or not."""

    async def inbox_waiting(self, received_after: datetime) -> frozenset[str]:
        """The messageIds of what waits to be pulled, not of what is from before
        `received_after`."""


class SandboxStore(
    BulkStore, LogStore, PullStore, ConversionStore, ClickStore, InboxStore, Protocol
):
    """Everything that the sandbox keeps: for those above, and for the sandbox itself."""

    async def claim(self) -> bool:
        """Whether this store is now the only one on its database that a sandbox works on, until it
        is closed. The end of its process, however it ends, frees the database at once."""

    async def accept(
        self, arrivals: Sequence[Arrival], now: datetime, admit: Admit
    ) -> list[Sequence[Message]]:
        """Take these requests, in their order, in one transaction. Returns the messages of each;
        then they are on disk.

        Messages are numbered from 1 without gaps, in the order of their transactions; a number is
        not used again, unless `reset` was called meanwhile. A bulkId that is used again names one
        bulk with all messages, and opens it, with the newest `gap`.
        """

    async def next_due(self) -> datetime | None:
        """When the next step of any message is due."""

    async def take_due(self, now: datetime, most: int, take: TakeStep) -> StepCounts:
        """Take the steps that are due at `now`, at most `most` and one of each message, those first
        that were due first. A step, its report and whether that waits to be pulled are one
        transaction: each step is taken once, whoever takes it."""

    async def change_message(
        self, message_id: str, now: datetime, change: ChangeMessage
    ) -> Message | None:
        """Change what is to become of the first message of this id that was not refused: its
        `start_at`, `leaves_at`, `done`, `due_at` and `fate`. Returns it as it stands then."""

    async def rules(self) -> list[dict[str, Any]]:
        """The outcome rules that came at run time, the latest first, with the settings' keys."""

    async def add_rule(self, rule: Mapping[str, Any]) -> None:
        """Keep a rule, until it is taken back or a reset."""

    async def forget_rules(self) -> None:
        """Take back the rules that came at run time."""

    async def reset(self) -> None:
        """Forget all messages, bulks, rules, received SMS and reports that wait to be pulled, and
        cancel the dispatches that wait and have only the sandbox's reports or events. Reports and
        clock stay."""

    async def purge(self, before: datetime, most: int) -> int:
        """Remove at most `most` messages that ended before an instant, the oldest first, and bulks
        that have none left; returns how many messages. What waits or has a step left stays. So are
        received SMS from before the instant, all at once."""

    async def messages(self, query: AcceptedQuery) -> list[Message]:
        """Messages as they stand, refused ones too."""

    async def clock(self) -> ClockState:
        """How the clock stood last."""

    async def move_clock(self, ahead: timedelta, now: datetime) -> None:
        """Remember how far the clock has been moved, and that it shows `now`."""

    async def counters(self) -> Counters:
        """To be compared with those of another time."""
