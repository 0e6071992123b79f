"""What tests of any folder may need: a PostgreSQL server for each process of a run.

They do not share one: a transaction in any of its databases is news in all of them (News.version).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests import migrated, postgres
from tests.postgres import EmptyDatabase, a_database

migrated.install()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server. Tests make databases of their own on it. Its folder is none of
    pytest's, which the next run may remove."""
    with (
        TemporaryDirectory(prefix="dlr-postgres-") as folder,
        postgres.server(Path(folder) / "data") as url,
    ):
        yield url


@pytest.fixture(scope="session")
def empty_postgres(postgres_server: str) -> Iterator[EmptyDatabase]:
    """A PostgreSQL database of this process with all tables, to be opened empty by each test."""
    with a_database(postgres_server) as url:
        yield EmptyDatabase(url, [*STORE_MIGRATIONS, *QUEUE_MIGRATIONS])


LONGEST = (
    "tests/integration/",
    "tests/contracts/test_receiver_store.py",
    "tests/end_to_end/",
    "tests/simulation/faults/",
    "tests/benchmarks/",
    "tests/docs/test_installation.py",
    "tests/docs/test_guides_of",
    "tests/web/",
    "tests/rehearsal/",
    "tests/security/",
    "tests/sdk/",
)
"""What takes longest begins first, so that at the end no worker is alone with a minute of work."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, which get files in this order (`--no-loadscope-reorder`)."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    starts = (number for number, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(starts, len(LONGEST))
