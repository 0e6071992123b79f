"""How dispatches are called: the queue's name, a dispatch's number, and in a webhook-id more."""

from __future__ import annotations

import re

from msgspec import Struct

from dispatcher.queue.base import UnknownDispatch

_PLACE = re.compile("([0-9]{1,18})(?:-([^-]+))?")
"""What follows the queue's name: a dispatch's number, and what its webhook-id ends with."""


class DispatchNames(Struct, frozen=True):
    """The names of the dispatches of one queue."""

    queue: str

    def name(self, number: int) -> str:
        return f"{self.queue}-{number}"

    def number(self, name: str) -> int:
        """Raises UnknownDispatch for what is no name, and for a webhook-id."""
        found = self.read(name)
        if found is None or found[1] is not None:
            raise UnknownDispatch(name)
        return found[0]

    def read(self, name: str) -> tuple[int, str | None] | None:
        """The number in a dispatch's name; of a webhook-id also what it ends with."""
        if not name.startswith(f"{self.queue}-"):
            return None
        found = _PLACE.fullmatch(name.removeprefix(f"{self.queue}-"))
        return None if found is None else (int(found[1]), found[2])

    def webhook_id(self, number: int, end: str | None) -> str:
        return f"{self.queue}-{number}" if end is None else f"{self.queue}-{number}-{end}"
