"""What tests of any folder may need: a PostgreSQL server, shared by all processes of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The URL of a running server. Tests make databases of their own on it."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    with postgres.server(folder / "postgres") as url:
        yield url
