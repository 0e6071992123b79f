"""How many files and sockets the process may have open, and who may have how many of them.

When they ran out, whoever came next was turned away: callbacks were reset because customers who
never answer held all connections, and nobody was told. So the limit is raised as far as the system
allows, and shared out before anything is opened.
"""

from __future__ import annotations

import resource

from msgspec import Struct

OWN = 192
"""Database, logs, listening sockets, look-ups of names, and what libraries open besides."""

ENOUGH = 2**20
"""No process needs more, and some systems refuse to be asked for "unlimited"."""

PUSHES_MOST = 10_000
"""Pushes under way, however many descriptors there are: memory has an end too."""


class Shares(Struct, frozen=True):
    """`connections` are served at once, `refused` more are told to come again, and `pushes` may be
    under way at once."""

    limit: int
    connections: int
    refused: int
    pushes: int


def raised_limit() -> int:
    """Raise the soft limit to the hard one; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ENOUGH
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    except (OSError, ValueError):  # a system that allows less than it says
        return soft
    return max(soft, wanted)


def shares(limit: int, connections: int, *, refused: int, pushes: bool) -> Shares:
    """Divide `limit` descriptors. Intake comes first: `connections` and the `refused` ones that are
    told so get what they need, but half at most when this process pushes too.

    A quarter of what pushes have is for the connections that they keep, and for second addresses.
    """
    free = max(limit - OWN, limit // 2)
    intake = min(connections + refused, free // 2 if pushes else free)
    served = min(connections, max(intake - refused, intake // 2, 1))
    told = max(min(refused, intake - served), 1)
    return Shares(limit, served, told, max(min((free - intake) * 3 // 4, PUSHES_MOST), 1))
