"""All checks, in the order in which they run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import get_args

from msgspec.structs import replace

from dispatcher.rehearsal.check import Check, Group
from dispatcher.rehearsal.checks import answers, formats, load, retries, security, semantics

QUICK = frozenset(
    {
        *("all-fields", "unknown-fields", "bad-items", "numeric-strings", "callback-data"),
        *("charset", "credentials-missing", "credentials-wrong"),
        *("processed", "duplicate-other-bucket", "late-intermediate", "one-instant"),
        *("operator-then-delivered", "operator-then-undeliverable", "garbage-bytes"),
    }
)
"""Fifteen that find most of the wrong webhooks of the tests. A plain push begins each run."""

CHECKS: tuple[Check, ...] = tuple(
    replace(check, quick=check.name in QUICK)
    for check in (
        *formats.CHECKS,
        *semantics.CHECKS,
        *answers.CHECKS,
        *security.CHECKS,
        *retries.CHECKS,
        *load.CHECKS,
    )
)

GROUPS: tuple[Group, ...] = get_args(Group)


def select(
    only: Sequence[str] = (), skip: Sequence[str] = (), *, quick: bool = False
) -> tuple[Check, ...]:
    """The checks of these names and groups. Raises `ValueError` for a name that there is not."""
    wanted, unwanted = _named(only), _named(skip)
    return tuple(
        check
        for check in CHECKS
        if (not only or check.name in wanted)
        and check.name not in unwanted
        and (check.quick or not quick or check.name in only)
    )


def _named(words: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for word in words:
        names = {check.name for check in CHECKS if word in (check.name, check.group)}
        if not names:
            raise ValueError(_unknown(word))
        found |= names
    return found


def _unknown(word: str) -> str:
    known = [*GROUPS, *(check.name for check in CHECKS)]
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"groups are {', '.join(GROUPS)}"
    return f"there is no check or group {word!r}: {hint} (--list shows all)"
