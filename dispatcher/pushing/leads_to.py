"""Where a URL leads now, and whether a push would be let through: asked when an endpoint is added.

Nothing is decided by it. Each push has its address judged again when it connects, because what a
name leads to changes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver
from yarl import URL

from dispatcher.pushing.resolver import Resolver
from dispatcher.security.addresses import AddressPolicy, refusal

SECONDS = 2.0
"""After that nothing is said: whoever adds an endpoint does not wait for a name server."""


class LeadsTo:
    """Looks addresses up and has them judged by the policy for URLs from outside."""

    def __init__(self, policy: AddressPolicy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver

    async def warnings(self, url: str) -> Sequence[str]:
        """Why no push to this URL would be let through now; nothing when one would, or when that
        cannot be told in time."""
        place = URL(url)
        host, port = place.host or "", place.port or 0
        resolver = self._resolver or Resolver()
        try:
            found = await asyncio.wait_for(resolver.resolve(host, port, socket.AF_UNSPEC), SECONDS)
        except TimeoutError:
            return []
        except (OSError, ValueError):
            return [f"url: the host name {host} cannot be resolved, so nothing can be pushed there"]
        refused = [refusal(each["host"], port, self._policy) for each in found]
        reasons = [each for each in dict.fromkeys(refused) if each is not None]
        if not reasons or None in refused:
            return []
        return [f"url: no push will be made, because {'; '.join(reasons)}"]
