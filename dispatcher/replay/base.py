"""What replays need of the database: a store that keeps and feeds them, and a selector that finds
the reports that are meant.

States of a replay, and what leads from one to the other:

             made
               │
               ▼     all fed, all its dispatches ended
            running ─────────────────────────────────▶ done      (of nothing: at once)
              │ │
      by hand │ │ more attempts fail than were allowed
              │ └───────────────▶ stopped
              ▼
          cancelled

The three ends are ends. At `stopped` and `cancelled` its waiting dispatches are cancelled and what
it holds is let go; a leased one may still be brought, and is cancelled if it comes back waiting
(dispatcher/retrying/consequences.py, which also says how its counts follow its dispatches). An
ended replay is cleared away in pieces; what remains are its row and its counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from dispatcher.queue.base import Forming
from dispatcher.replay.items import Items
from dispatcher.replay.replay import Item, Replay, ReplayState, Selected
from dispatcher.replay.request import Request, Selection
from receiver.store.base import Message, StoredReport


class Portion(Struct, frozen=True):
    """Items that become dispatches, if `replay` is as far as it was when they were read.

    `formings` are what each endpoint gets of them, with nothing to read off for itself. `dropped`
    counts those that are no more, or whose endpoint is; those of them that were held (endpoint,
    report) are `gone`.
    """

    replay: int
    fed_from: int
    fed_to: int
    dropped: int
    anchor_at: datetime
    formings: Sequence[Forming]
    gone: Sequence[tuple[str, int]] = ()


class ReplayStore(Protocol):
    """Makes, shows, feeds and ends replays. Each change is one transaction."""

    async def with_key(self, key: str) -> Replay | None:
        """The replay that was made with this key."""

    async def one(self, replay: int) -> Replay:
        """Raises UnknownReplay."""

    async def all(self, before: int | None = None, limit: int = 100) -> list[Replay]:
        """Newest first; `before` is the cursor."""

    async def unfinished(self) -> list[Replay]:
        """Those that run, and those that have left something to be cleared away; oldest first."""

    async def create(
        self, request: Request, items: Items, now: datetime, *, from_outside: bool
    ) -> tuple[Replay, bool]:
        """Make a replay of these items, and its endpoint if it goes to a URL. False: there is one
        with this key already, which is returned. One of nothing is done at once, and remembered.
        """

    async def following(self, replay: Replay, limit: int) -> list[Item]:
        """At most `limit` items that are to be fed next."""

    async def freed(self, replay: Replay, limit: int) -> list[Item]:
        """At most `limit` items that were held and wait for nothing any more."""

    async def blocked(
        self, replay: int, endpoint: str, reports: Sequence[StoredReport], freed: Sequence[int]
    ) -> frozenset[Message]:
        """Those of these reports' messages that have to wait at an endpoint that keeps the
        order: something is on its way, held (other than `freed`), or still to be read by itself."""

    async def reports(self, items: Sequence[Item]) -> dict[int, StoredReport]:
        """The reports of these items that are still there, by id."""

    async def untried(self, replay: int, most: Mapping[str, int]) -> dict[str, int]:
        """How many of its dispatches wait for their first attempt at each endpoint; counted up to
        `most`."""

    async def feed(self, portion: Portion, now: datetime) -> bool:
        """Make dispatches of items and read these off, in one transaction. False, and nothing is
        done, when another was faster, the replay has ended, or a report has gone meanwhile."""

    async def end(self, replay: int, state: ReplayState, now: datetime) -> int:
        """Stop or cancel: nothing more is fed, and what waits is cancelled. Returns how many
        dispatches that were. Raises UnknownReplay, InvalidReplay."""

    async def finish(self, replay: int, now: datetime) -> bool:
        """Running to done, when all is fed and each of its dispatches has ended."""

    async def tidy(self, replay: int) -> bool:
        """Clear away a piece of what an ended replay has left. True when all of that has gone, and
        none of its dispatches is under way."""

    async def tidied(self, replay: int) -> None:
        """Nothing is left of it to be cleared away."""


class ReplaySelector(Protocol):
    """Finds what a selection means."""

    async def endpoints_ever(self) -> set[str]:
        """The endpoints that dispatches went to, those that are no more included."""

    async def resolve(
        self, selection: Selection, target: str | None, known: Collection[str]
    ) -> tuple[Items, Selected]:
        """The items, in the order of arrival. `target` None: the endpoints they went to, as far as
        these are `known`.

        Raises UnknownDispatch for a dispatch that there is not, and AmbiguousMessage when all is to
        go to one target and the selection has a messageId of several sources and names none of
        these: one customer would get another's reports.
        """
