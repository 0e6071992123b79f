"""The states that few dispatches are in, by which they can be found (0012_indexes.sql)."""

from __future__ import annotations

from dispatcher.retrying.dispatch import DispatchState

OF_FEW: tuple[DispatchState, ...] = ("waiting", "exhausted", "cancelled")

FEW = "state IN ('waiting', 'exhausted', 'cancelled')"
"""The condition of two indexes: a statement that is to use one says it too."""
