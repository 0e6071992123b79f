"""What tests of any folder may need: a PostgreSQL server for each process of a run.

They cannot share one: a transaction under way in any of its databases is waited for in all of them
(receiver/store/postgres/settled.py), so that what a test has just stored might not be there yet.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server. Tests make databases of their own on it."""
    with postgres.server(tmp_path_factory.getbasetemp() / "postgres") as url:
        yield url
