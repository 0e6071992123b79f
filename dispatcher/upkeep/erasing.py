"""Which rows of the queue one recipient's erasure touches, and how: the decisions, whatever the
database. What is the recipient's goes in one transaction, in the store and in the queue.

In the queue those are bodies, members and answers of the dispatches that carry it.

A retried push is the same bytes, so a body is never rewritten. An ended dispatch loses its body,
which nobody will send again. A waiting one is cancelled, and what it carried of others becomes a
new dispatch: with a new id, because its bytes are new; due at the same time and with as many
attempts made, because the duty is the old one. A leased one is being sent just now: nothing is
touched at all, and the erasure is to be asked for again.

Answers of customers to these dispatches go as well: they may repeat what was pushed. So does any
other answer that names the recipient, and the key and the selection of a replay that do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from dispatcher.endpoints.endpoint import Target
from dispatcher.forming.carried import without
from dispatcher.forming.new_dispatch import NewDispatch
from receiver.dlr.identity import key_of_message
from receiver.faults import without_credentials
from receiver.store.base import Traces
from receiver.store.recipient import Recipient
from receiver.store.texts import unescaped


class Found(Struct, frozen=True):
    """What is the recipient's: reports and quarantine, dispatches by their bodies, and attempts and
    replays that name it. Ids, ascending."""

    traces: Traces
    bodies: Sequence[int]
    attempts: Sequence[int]
    replays: Sequence[int]


class Rest(Struct, frozen=True):
    """What a waiting dispatch carried of others: the reports, and their bytes if any are kept."""

    dispatch: int
    body: bytes | None
    reports: Sequence[int]


class ErasureSearch(ABC):
    """Finds what is a recipient's, apart from what is asked of a database."""

    async def _find(self, recipient: Recipient) -> Found:
        traces = await self._traces(recipient)
        carrying = [number async for number in self._bodies(recipient)]
        answers: Sequence[int] = [number async for number in self._attempts(recipient)]
        if recipient.source is not None:
            answers = await self._own_answers(answers, recipient)
            own = set(await self._carrying_reports(traces.reports))
            spared = set(await self._of_other_sources(set(carrying) - own, recipient))
            carrying = [number for number in carrying if number not in spared]
        replays = await self._replays(recipient)
        return Found(traces=traces, bodies=carrying, attempts=answers, replays=replays)

    @abstractmethod
    async def _traces(self, recipient: Recipient) -> Traces:
        """In the store."""

    @abstractmethod
    def _bodies(self, recipient: Recipient) -> AsyncIterator[int]:
        """The dispatches whose bytes name it. One that has ended and has no bytes is looked at for
        its URL, which may name it too."""

    @abstractmethod
    def _attempts(self, recipient: Recipient) -> AsyncIterator[int]:
        """The attempts whose answer or error names it."""

    @abstractmethod
    async def _own_answers(self, attempts: Sequence[int], recipient: Recipient) -> Sequence[int]:
        """Those whose dispatch carries no report of another source."""

    @abstractmethod
    async def _carrying_reports(self, reports: Sequence[int]) -> Sequence[int]:
        """The dispatches of these reports."""

    @abstractmethod
    async def _of_other_sources(
        self, dispatches: Collection[int], recipient: Recipient
    ) -> Sequence[int]:
        """Those that carry another source's message. (Where the reports are gone, nobody knows
        whose message it was: better one body too many.)"""

    @abstractmethod
    async def _replays(self, recipient: Recipient) -> Sequence[int]:
        """Those whose key or selection names it."""


def message_of(recipient: Recipient) -> tuple[int, str | None]:
    """The key of the recipient's message, and its source. What has the one and not the other is
    another source's."""
    return key_of_message(recipient.message_id or ""), recipient.source


def rest_of(
    row: tuple[int, str, bytes | None],
    members: Sequence[int],
    gone: Collection[int],
    of_others: Collection[int],
    recipient: Recipient,
) -> Rest | None:
    """What is left of a waiting dispatch (id, content type, body) with these reports when `gone`
    go; None when nothing is. `of_others`: those of its reports that are other sources'."""
    dispatch, content_type, body = row
    left = [report for report in members if report not in gone]
    spared = {place for place, report in enumerate(members) if report in of_others}
    rest = None if body is None else without(body, content_type, recipient, spared)
    return Rest(dispatch, rest, left) if left and (body is None or rest is not None) else None


def formed_anew(rest: Rest, row: Sequence[Any], webhook_id_end: str) -> NewDispatch:
    """The dispatch of what is left. The row is the old one's: endpoint, url, content_type,
    authorization, generation, attempts, created_at, due_at, replay."""
    endpoint, *to, generation, attempts, created_at, due_at, replay = row
    return NewDispatch(
        endpoint=endpoint,
        to=Target(*to),
        generation=generation,
        body=rest.body,
        report_ids=rest.reports,
        webhook_id_end=webhook_id_end,
        created_at=created_at,
        due_at=due_at,
        attempts=attempts,
        replay=replay,
    )


def cut_urls(recipient: Recipient, rows: Iterable[tuple[int, str]]) -> list[tuple[str, int]]:
    """What the URLs of dispatches become, as far as they name the recipient: they lose their query.
    Nobody calls them any more. `rows`: id and url."""
    return [
        (without_credentials(url), number)
        for number, url in rows
        if recipient.is_named_in(unescaped(url))
    ]
