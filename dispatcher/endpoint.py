"""An endpoint: a customer's URL with what the dispatcher must know to push to it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from receiver.dlr.model import Generation

ContentType = Literal["application/json", "application/xml"]


class Rules(Struct, frozen=True):
    """Which reports go to an endpoint. Empty means: any; all that are given must agree."""

    sources: frozenset[str] = frozenset()
    final: bool | None = None
    status_groups: frozenset[int] = frozenset()


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where and how to push. Names follow the provider's notification profile (reference, 4.3).

    `url` holds no credentials: they are in `headers`, which are never printed.
    `generation` None pushes each report in the shape in which it was received.
    """

    name: str
    url: str
    content_type: ContentType = "application/json"
    generation: Generation | None = None
    bucket_size: int = 100
    window: int = 20
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=10)
    headers: Mapping[str, str] = {}
    rules: Rules = Rules()

    @property
    def attempt_time(self) -> timedelta:
        """No attempt takes longer, in the world's time."""
        return self.connect_timeout + self.read_timeout


def credentials_to_header(url: str) -> tuple[str, dict[str, str]]:
    """Move `user:password@` out of a URL into an Authorization header; so it is never logged."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = b64encode(unquote(userinfo).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {token}"}
