"""What the worker needs of a sender: one HTTP try."""

from __future__ import annotations

from typing import Protocol

from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.queue.base import Leased
from dispatcher.retrying.outcome import Answer


class Sender(Protocol):
    """Makes one attempt."""

    async def send(self, dispatch: Leased, endpoint: Endpoint) -> Answer:
        """Push the dispatch's body and tell what came back.

        Never raises for what the endpoint or the network does: that is an answer too.
        """
