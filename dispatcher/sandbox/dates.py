"""Instants in requests: all forms of the provider and its clients (reference, part 1.4), also in a
query string, where a + may have become a blank."""

from __future__ import annotations

from datetime import datetime

from receiver.api.parameters import with_plus
from receiver.dlr.instants import parse_instant


def read_instant(text: str) -> datetime:
    """The instant, aware; without a zone it is UTC. Raises ValueError."""
    return parse_instant(with_plus(text.strip()))
