"""Rows as the arrays that a statement takes them by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receiver.store.postgres.rows import numbers


def columns_of(rows: Sequence[Sequence[Any]], width: int) -> list[Any]:
    """A value for each column of rows of this width, for `unnest(%s::bigint[], %s::text[])`."""
    return [_array([row[at] for row in rows]) for at in range(width)]


def _array(values: list[Any]) -> Any:
    if all(value is None or type(value) is int for value in values):
        return numbers(values)
    return values
