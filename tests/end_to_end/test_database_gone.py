"""The database's file is removed or replaced under a running process.

Callbacks got 200 and were lost, and endpoints got what the file that was gone still said.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.processes import an_endpoint, configure, customer, eventually, running
from tests.end_to_end.test_serve import a_body_of
from tests.receiver.payloads import V2_JSON


def _remove(database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


@pytest.mark.parametrize("replaced", [False, True])
async def test_callbacks_get_503_until_a_restart(tmp_path: Path, replaced: bool) -> None:
    """Before the first 200 that would be lost callbacks get 503, /readyz says why, nothing is
    pushed any more; after a restart it goes on with the file that is there."""
    database = tmp_path / "dlr.db"
    async with customer(lambda _: 503) as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve", "--speed", "60") as server:
            await server.post(V2_JSON)
            await server.err.find(r" attempt=1 .* state=waiting")
            await server.stop()
        shutil.copy(database, tmp_path / "backup.db")

        async with running(tmp_path, "serve", "--speed", "60") as server:
            await server.err.find(r" attempt=")
            _remove(database)
            if replaced:
                shutil.copy(tmp_path / "backup.db", database)
            status, ready = await server.get("/readyz")
            assert status == 503
            assert "dlr.db was" in ready["error"]["message"]
            assert "restart dlr" in ready["error"]["message"]
            pushed = len(acme.pushes)

            for number in range(3):
                status, answer = await server.post(a_body_of(f"lost-{number}"))
                assert (status, answer["error"]["code"]) == (503, "store_unavailable")
            # It is due again within seconds: the dispatcher has tried to take it, and may not.
            await server.err.find(
                r"the dispatcher waits until the database can be used: .*dlr\.db was"
            )
            assert len(acme.pushes) <= pushed + 1  # one may have been under way
            await server.stop()

        acme.answer = lambda _: 200
        async with running(tmp_path, "serve", "--speed", "60") as server:
            assert (await server.post(a_body_of("after")))[0] == 200

            async def all_pushed() -> bool | None:
                return "after" in str([push.message_ids for push in acme.pushes]) or None

            await eventually(all_pushed, "the report that came after the restart is pushed")
            reports = await server.all("reports")

    assert len(reports) == (2 if replaced else 1)
