"""dlr behind pgbouncer in transaction mode, where each transaction may have another connection.

Nothing of a session lasts there: no prepared statement (pgbouncer knows them since 1.21, and
Debian's is older), no SET, no lock. The pool is smaller than what the processes open, so that they
share connections all the time.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.docs.test_deploy import tool
from tests.docs.test_deployed_on_postgres import accepts, free_ports
from tests.end_to_end.processes import (
    Push,
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
)
from tests.postgres import a_database
from tests.receiver.payloads import a_json_body, an_item

POOLED = 3
CALLBACKS = 40
"""Of each sender."""


@asynccontextmanager
async def pgbouncer(database: str) -> AsyncIterator[str]:
    """The URL of the same database behind a running pgbouncer."""
    program = tool("pgbouncer", "apt-get install pgbouncer")
    at = conninfo_to_dict(database)
    (port,) = free_ports(1)
    with TemporaryDirectory(prefix="dlr-pgbouncer-") as folder:
        ini = _ini(Path(folder), at["host"], at["user"], port)
        as_user = ("-u", "pgserver") if os.geteuid() == 0 else ()
        process = await asyncio.create_subprocess_exec(program, "-q", *as_user, ini)
        try:
            await eventually(lambda: accepts(port), "pgbouncer listens")
            yield f"postgresql://{at['user']}@127.0.0.1:{port}/{at['dbname']}"
        finally:
            process.kill()
            await process.wait()


def _ini(folder: Path, host: Any, user: Any, port: int) -> Path:
    folder.chmod(0o755)
    users, ini = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{user}" ""\n')
    ini.write_text(
        f"[databases]\n* = host={host} user={user}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\nauth_file = {users}\n"
        f"pool_mode = transaction\ndefault_pool_size = {POOLED}\n"
    )
    return ini


@pytest.fixture
async def pooled(postgres_server: str) -> AsyncIterator[str]:
    with a_database(postgres_server) as url:
        async with pgbouncer(url) as pooled_url:
            yield pooled_url


async def test_receivers_and_dispatchers_share_fewer_connections_than_they_open(
    tmp_path: Path, pooled: str
) -> None:
    """Each report comes to both receivers, each push fails once, and a list is read. Whatever was
    answered 200 is stored once and pushed. dlr says what it has found out about the pooler."""
    of = ("--database", pooled)
    async with AsyncExitStack() as stack:
        failed: set[str] = set()

        def answer(push: Push) -> int:
            if push.dispatch in failed:
                return 200
            failed.add(push.dispatch)
            return 500

        acme = await stack.enter_async_context(customer(answer))
        settings = an_endpoint(acme.url) + "bucket_size = 5\n"
        configure(tmp_path, settings + '[schedule]\npreset = "custom"\nwaits = ["100ms", "1s"]\n')
        receivers = [
            await stack.enter_async_context(running(tmp_path, command, *of))
            for command in ("serve", "receive")
        ]

        async def send(sender: int) -> list[str]:
            sent = []
            for number in range(CALLBACKS):
                body = a_json_body(an_item(messageId=f"{sender}-{number}"))
                for receiver in receivers:  # the second one gets a duplicate
                    assert (await receiver.post(body))[0] == 200
                sent.append(f"{sender}-{number}")
            return sent

        sent = [name for each in await asyncio.gather(*map(send, range(4))) for name in each]

        async def all_pushed() -> bool | None:
            got = {name for push in acme.acknowledged for name in push.message_ids}
            return got >= set(sent) or None

        await eventually(all_pushed, "all pushed")
        listed = await dlr(tmp_path, "reports", *of, "--format", "json")
        assert listed.code == 0, listed.err
        stored = [each["report"]["messageId"] for each in json.loads(listed.out)]
        assert Counter(stored) == Counter(sent)
        for receiver in receivers:
            assert "a connection pooler" in receiver.err.text
            assert " error " not in receiver.err.text
