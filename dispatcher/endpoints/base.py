"""What the registry needs of a database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct


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
        is stored, in the same transaction, and what it raises is raised."""
