"""Values as XML can hold them: every scalar a text, a list a repeated element, nothing a null.

Both the XML writer and the identity of a report without a messageId go by this, so that the two
formats agree.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def scalar(value: Any) -> str:
    """A text as it is, a boolean as `true` or `false`, a number without an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{Decimal(repr(value)) if isinstance(value, float) else Decimal(value):f}"


def flatten(values: list[Any]) -> list[Any]:
    """The values of a list and of the lists in it, without nulls, as elements can repeat them."""
    flat: list[Any] = []
    for value in values:
        if isinstance(value, list):
            flat.extend(flatten(value))
        elif value is not None:
            flat.append(value)
    return flat
