"""The migrations of the dispatcher's tables in PostgreSQL."""

from __future__ import annotations

from receiver.store.migrations import migrations_of

MIGRATIONS = migrations_of("dispatcher.queue.postgres", part="dispatcher.queue")
