"""OAuth tokens that the sandbox gave out: each is valid for an hour of its clock, so that an app
can be seen to get a new one. They are kept in memory: after a restart they are unknown.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

VALID_FOR: Final = timedelta(hours=1)

MOST: Final = 10_000
"""The newest that are remembered, expired or not."""


class Token(Struct, frozen=True):
    """`scopes` empty: all."""

    expires_at: datetime
    scopes: frozenset[str]


class Tokens:
    """Those of one process."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._issued: dict[bytes, Token] = {}  # by what stands in the header; the oldest first

    def issue(self, scopes: frozenset[str]) -> str:
        """A new token with these scopes."""
        text = secrets.token_urlsafe(32)
        self._issued[f"Bearer {text}".encode()] = Token(self._now() + VALID_FOR, scopes)
        if len(self._issued) > MOST:
            del self._issued[next(iter(self._issued))]
        return text

    def find(self, credentials: bytes) -> Token | None:
        """The token that this is, with `Bearer` before it, if it was given out here."""
        return self._issued.get(credentials)

    def is_valid(self, token: Token) -> bool:
        return self._now() < token.expires_at
