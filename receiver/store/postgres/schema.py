"""The migrations of the receiver's tables in PostgreSQL."""

from __future__ import annotations

from receiver.store.migrations import migrations_of

MIGRATIONS = migrations_of("receiver.store.postgres", part="receiver.store")
