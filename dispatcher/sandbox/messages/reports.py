"""The report that tells a step of a message, and where it goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, structs

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.forming.routing import goes_to
from dispatcher.sandbox.messages.lifecycle import Step
from dispatcher.sandbox.messages.message import Message, after_next_step
from dispatcher.sandbox.messages.outcomes import price_of
from dispatcher.sandbox.messages.send import Delivery
from dispatcher.sandbox.messages.statuses import as_written, error_of, status_of
from dispatcher.settings.settings import SANDBOX
from receiver.callbacks.intake import entry_of
from receiver.dlr.model import Generation, Price, Report
from receiver.store.base import StoredReport
from receiver.store.callback import Entry, NotifyTo


class Account(Struct, frozen=True):
    """What all messages have in common."""

    price: Decimal
    currency: str
    mcc_mnc: str


class StepTaken(Struct, frozen=True):
    """What a step makes of its message. `report` tells it; `None`: it is told to nobody. A report
    that is not `pushed` waits to be pulled."""

    message: Message
    report: Entry | None = None
    pushed: bool = False


def take_step(
    message: Message, now: datetime, account: Account, endpoints: Iterable[Endpoint]
) -> StepTaken:
    """Take the step that is due at `now`. `endpoints` are those in force: a report that came with
    no URL and that none of them takes waits to be pulled."""
    step, after = after_next_step(message)
    if not step.told:
        return StepTaken(after)
    report = _entry(message, step, account)
    return StepTaken(after, report, _is_pushed(report, now, endpoints))


def report_of(message: Message, step: Step, account: Account) -> Report:
    """The report that tells a step, in the generation of the route that took the message: v1 and v2
    share one. `sentAt` is when it was to be sent (reference, part 1.2), `doneAt` when this was."""
    sms, fate = message.sms, message.life.fate
    generation: Generation = "v3" if message.api == "v3" else "v2"
    return Report(
        generation=generation,
        bulk_id=message.bulk_id,
        message_id=message.message_id,
        to=sms.to,
        sender=sms.sender,
        sent_at=message.leaves_at,
        done_at=step.done_at,
        message_count=sms.parts,
        mcc_mnc=account.mcc_mnc,
        callback_data=sms.delivery.callback_data,
        price=Price(
            per_message=price_of(fate, step.status, account.price), currency=account.currency
        ),
        status=status_of(*step.status),
        error=error_of(step.error, generation),
        entity_id=sms.entity_id,
        application_id=sms.application_id,
        campaign_reference_id=sms.campaign_reference_id,
    )


def written_as(report: Report, generation: Generation) -> Report:
    """The report for a route of another generation, which may write its error in another way."""
    if report.error is None:
        return report
    return structs.replace(report, error=as_written(report.error, generation))


def _entry(message: Message, step: Step, account: Account) -> Entry:
    """The report that tells a step, as the store takes it."""
    entry = entry_of(report_of(message, step, account))
    # The store would count the same report as repeated and push it once. A platform that repeats
    # itself is what is asked for: so the copy gets an identity of its own.
    identity = entry.identity ^ int(step.copy)
    return structs.replace(entry, identity=identity, notify_to=_notify_to(message.sms.delivery))


def _notify_to(delivery: Delivery) -> NotifyTo | None:
    return None if delivery.url is None else NotifyTo(delivery.url, delivery.format)


def _is_pushed(entry: Entry, now: datetime, endpoints: Iterable[Endpoint]) -> bool:
    """Whether it came with a URL, or an endpoint takes it (the account's subscription)."""
    if entry.notify_to is not None:
        return True
    stored = StoredReport(
        id=0,
        received_at=now,
        source=SANDBOX,
        format="json",
        generation=entry.generation,
        final=entry.final,
        status_group=entry.status_group,
        duplicates=0,
        message_key=entry.message_key,
        identity=entry.identity,
        item=entry.item,
    )
    return any(goes_to(stored, endpoint.rules) for endpoint in endpoints)
