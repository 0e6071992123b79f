"""What tests of any folder may need: a PostgreSQL server for each process of a run.

They do not share one: a transaction in any of its databases is news in all of them (News.version).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from dispatcher.queue.postgres.schema import MIGRATIONS as QUEUE_MIGRATIONS
from receiver.store.postgres.schema import MIGRATIONS as STORE_MIGRATIONS
from tests import migrated, postgres
from tests.postgres import EmptyDatabase, a_database

migrated.install()

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("dlr", deadline=None)
hypothesis.settings.load_profile("dlr")


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


def pytest_collection_finish() -> None:
    """The garbage collector leaves out what stays to the end, ten thousand tests and their modules:
    to go through them takes a second each time, and some tests collect."""
    gc.collect()
    gc.freeze()


def _rank(nodeid: str) -> int:
    starts = (number for number, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(starts, len(LONGEST))
