"""What the registry needs of a database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from dispatcher.endpoints.endpoint import Endpoint, Rules


class StoredEndpoint(Struct, frozen=True):
    """What a database says of an endpoint; by default nothing. `settings` is JSON: settings by
    their names in the file. With a `name` among them they are the whole endpoint; without, they
    replace some of the file's. Null is the default."""

    settings: str | None = None
    from_outside: bool = False
    paused: bool = False
    removed: bool = False

    @property
    def said(self) -> dict[str, Any]:
        return msgspec.json.decode(self.settings, type=dict[str, Any]) if self.settings else {}


Stored = Mapping[str, StoredEndpoint]
"""What is stored of each endpoint, by name, in the order of the names."""


class Readers(Struct, frozen=True):
    """Who reads the store, as far as a process knows it. `rules` are of the endpoints in force.

    `gone` have left the settings file and nobody works for them: nothing is kept for them. Of an
    endpoint that is in neither only its name is known: all that it has not read is kept.
    """

    rules: Mapping[str, Rules] = {}
    gone: frozenset[str] = frozenset()


NOBODY_KNOWN = Readers()
"""All that any endpoint has not read is kept."""


class TakenOver(Struct, frozen=True):
    """What one endpoint has taken over from another."""

    dispatches: int
    reports: int  # that neither of them had read


class EndpointStore(Protocol):
    """Keeps what was said of endpoints at run time, for all processes on the database."""

    async def version(self) -> int:
        """A number that goes up with each change, by whatever process."""

    async def stored(self) -> Stored:
        """Every endpoint that the database knows."""

    async def put(
        self, name: str, decide: Callable[[Stored], StoredEndpoint], *, known: Collection[str]
    ) -> None:
        """Store what `decide` makes of what is stored, in one transaction. What it raises is
        raised, and nothing is changed.

        This endpoint and those of `known` are known afterwards: the first ones of a database read
        from its first report on, any other from the next report on. So does one that had been
        removed.
        """

    async def remove(
        self, name: str, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> int:
        """Take an endpoint out: nothing is stored of it but that it is removed, and what waits for
        it is cancelled. Returns how many dispatches that were. As in `put`, `check` is told what
        is stored, in the same transaction, and what it raises is raised.

        Much that waits is cancelled in several transactions; the endpoint is removed in the last.
        """

    async def work_for(self, names: Collection[str], until: datetime) -> None:
        """A process works for these endpoints until then, or until it says otherwise."""

    async def worked_for(self, now: datetime) -> frozenset[str]:
        """The endpoints that some process works for."""

    async def take_over(
        self, name: str, by: Endpoint, check: Callable[[Stored], object], *, known: Collection[str]
    ) -> TakenOver:
        """Give an endpoint `by` all that waits for another one, which is removed then.

        Dispatches that wait or are leased go to its URL, with the attempts that were made. Of the
        reports that the other had not read, those that `by` takes and has passed over, because it
        only began later, are read by it now. `check` and `known` are as in `remove`, and so are the
        transactions. One that was broken off goes on when it is asked for again.
        """
