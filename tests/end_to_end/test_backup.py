"""A backup beside load, and its way back, by real processes.

The sqlite3 shell's `.backup` never ended beside ten callbacks a second, and a restore by hand could
lose reports in three ways: a log of the old database beside the new file, a file copied without its
log, a process that went on with the file that was there.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import sqlite3
import stat
from pathlib import Path

from tests.end_to_end.processes import (
    an_endpoint,
    configure,
    customer,
    dlr,
    eventually,
    running,
    started,
)
from tests.end_to_end.test_serve import a_body_of


def reports_in(file: Path) -> set[str]:
    """The messages whose reports a database holds, read without a log."""
    connection = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)
    rows = connection.execute("SELECT item ->> 'messageId' FROM report").fetchall()
    connection.close()
    return {message for (message,) in rows}


def named(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def has_begun(folder: Path) -> bool:
    partial = folder / "copy.db.partial"
    return partial.exists() and partial.stat().st_size > 0


def fill(database: Path, megabytes: int) -> None:
    """Make the file so large that a copy takes a while."""
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE ballast (bytes BLOB)")
    for _ in range(megabytes):
        connection.execute("INSERT INTO ballast VALUES (randomblob(1000000))")
    connection.commit()
    connection.close()


async def test_beside_load(tmp_path: Path) -> None:
    """While callbacks come in without a pause a backup ends; all that was answered 200 before it
    began is in it, and what it holds was sent. One line tells what it is; only its owner may read
    it."""
    answered: list[str] = []
    sent: set[str] = set()
    is_over = asyncio.Event()
    async with running(tmp_path, "receive") as server:

        async def load(worker: int) -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                message = f"{worker}-{number}"
                sent.add(message)
                assert (await server.post(a_body_of(message)))[0] == 200
                answered.append(message)

        loads = [asyncio.create_task(load(worker)) for worker in range(8)]
        await eventually(lambda: _is_true(len(answered) > 300), "load")
        before = set(answered)
        ended = await dlr(tmp_path, "backup", "copy.db")
        is_over.set()
        await asyncio.gather(*loads)

    copy = tmp_path / "copy.db"
    assert ended.code == 0, ended.err
    held = reports_in(copy)
    assert before <= held <= sent
    assert ended.out.startswith(f"copy.db: {len(held):,} reports, the newest of 20")
    assert f"{copy.stat().st_size / 1e6:,.1f} MB; made and checked in " in ended.out
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert named(tmp_path, "copy*") == ["copy.db"]


async def _is_true(what: bool) -> bool | None:
    return what or None


async def test_killed_in_between(tmp_path: Path) -> None:
    """After a SIGKILL there is no file of the name, or the one of before; the next backup writes
    over what was left."""
    async with running(tmp_path, "receive") as server:
        await server.post(a_body_of("m1"))
        await server.stop()
    fill(tmp_path / "dlr.db", 200)
    (tmp_path / "copy.db").write_bytes(b"the backup of yesterday")

    async with started(tmp_path, "backup", "copy.db", "--replace") as command:
        await eventually(lambda: _is_true(has_begun(tmp_path)), "it has begun")
        await command.kill()

    assert (tmp_path / "copy.db").read_bytes() == b"the backup of yesterday"
    assert named(tmp_path, "copy*")[:2] == ["copy.db", "copy.db.partial"]  # perhaps a journal too
    ended = await dlr(tmp_path, "backup", "copy.db", "--replace")
    assert ended.code == 0, ended.err
    assert reports_in(tmp_path / "copy.db") == {"m1"}
    assert named(tmp_path, "copy*") == ["copy.db"]


async def test_stopped_by_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing."""
    async with running(tmp_path, "receive") as server:
        await server.stop()
    fill(tmp_path / "dlr.db", 200)

    async with started(tmp_path, "backup", "copy.db") as command:
        await eventually(lambda: _is_true(has_begun(tmp_path)), "it has begun")
        command.signal(signal.SIGINT)
        assert await command.ended() == 130

    assert named(tmp_path, "copy*") == []


async def test_a_disk_that_fills_meanwhile(tmp_path: Path) -> None:
    """It is told in one line, exit code 1, and nothing is left."""
    async with running(tmp_path, "receive") as server:
        await server.stop()
    fill(tmp_path / "dlr.db", 20)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, limit[1]))
    try:
        ended = await dlr(tmp_path, "backup", "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert ended.code == 1
    assert ended.err.startswith("dlr: the copy could not be written (")
    assert named(tmp_path, "copy*") == []


async def test_a_restore(tmp_path: Path) -> None:
    """It is refused while dlr runs. Afterwards what the backup holds is there and goes on: what was
    waiting is pushed under its old webhook-id, and what had come later is only in the former
    database, which is kept."""
    async with customer(lambda _: 503) as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await server.post(a_body_of("old"))
            await server.err.find(r" attempt=1 .* state=waiting")
            assert (await dlr(tmp_path, "backup", "copy.db")).code == 0
            await server.post(a_body_of("new"))
            await server.err.find(r" attempt=1 .* state=waiting")
            ended = await dlr(tmp_path, "restore", "copy.db", "--replace")
            assert ended.code == 2
            assert ended.err.startswith("dlr: dlr.db is in use by ")
            assert ended.err.endswith("stop dlr, and whatever else reads it, then restore\n")
            await server.kill()  # its log is not in the file

        ended = await dlr(tmp_path, "restore", "copy.db")
        assert ended.code == 2
        assert "dlr.db is there already: add --replace" in ended.err
        ended = await dlr(tmp_path, "restore", "copy.db", "--replace")
        assert ended.code == 0, ended.err
        assert ended.out.startswith("dlr.db: 1 report, the newest of 20")
        (former,) = named(tmp_path, "dlr.db.until-*")
        assert f"the former database is kept as {former}" in ended.out
        assert reports_in(tmp_path / former) == {"old", "new"}

        acme.answer = lambda _: 200
        async with running(tmp_path, "serve") as server:
            (report,) = await server.all("reports")
            assert report["report"]["messageId"] == "old"
            assert (await dlr(tmp_path, "endpoints", "retry", "acme")).code == 0
            await server.err.find(r" attempt=2 .* state=acknowledged")
            await server.stop()

    of_old = {push.dispatch for push in acme.pushes if push.message_ids == ["old"]}
    assert len(of_old) == 1


async def test_the_log_of_another_database(tmp_path: Path) -> None:
    """A backup that is copied over dlr.db, beside the log of the former one, is not opened: SQLite
    would mix the two. Every command says what to remove; restoring puts all of it aside."""
    async with running(tmp_path, "receive") as server:
        await server.post(a_body_of("old"))
        assert (await dlr(tmp_path, "backup", "copy.db")).code == 0
        await server.post(a_body_of("new"))
        await server.kill()
    assert (tmp_path / "dlr.db-wal").stat().st_size
    shutil.copy(tmp_path / "copy.db", tmp_path / "dlr.db")

    for words in (("reports",), ("serve", "--port", "0"), ("backup", "x.db"), ("migrate",)):
        ended = await dlr(tmp_path, *words)
        assert ended.code == 2, words
        assert "dlr.db-wal is the log of another database than dlr.db" in ended.err
        assert "remove dlr.db-wal and dlr.db-shm" in ended.err

    ended = await dlr(tmp_path, "restore", "copy.db", "--replace")
    assert ended.code == 0, ended.err
    assert reports_in(tmp_path / "dlr.db") == {"old"}
    (log,) = named(tmp_path, "dlr.db.until-*-wal")
    assert (tmp_path / log).stat().st_size
    async with running(tmp_path, "serve") as server:
        assert len(await server.all("reports")) == 1


async def test_a_plain_copy_without_its_log(tmp_path: Path) -> None:
    """A copy by `cp` lacks what was in the log. With the log beside it, it is whole; without one it
    is restored only if whoever restores says that nothing is missing."""
    async with running(tmp_path, "receive") as server:
        await server.post(a_body_of("m1"))
        shutil.copy(tmp_path / "dlr.db", tmp_path / "plain.db")
        shutil.copy(tmp_path / "dlr.db-wal", tmp_path / "log")
        await server.stop()

    ended = await dlr(tmp_path, "restore", "plain.db", "--database", "there.db")
    assert ended.code == 2
    assert "plain.db was not made by `dlr backup`" in ended.err
    assert not (tmp_path / "there.db").exists()

    (tmp_path / "log").rename(tmp_path / "plain.db-wal")
    ended = await dlr(tmp_path, "restore", "plain.db", "--database", "there.db")
    assert ended.code == 0, ended.err
    assert reports_in(tmp_path / "there.db") == {"m1"}

    shutil.copy(tmp_path / "dlr.db", tmp_path / "stopped.db")
    words = ("restore", "stopped.db", "--database", "other.db")
    assert (await dlr(tmp_path, *words)).code == 2
    ended = await dlr(tmp_path, *words, "--whole-without-log")
    assert ended.code == 0, ended.err
    assert reports_in(tmp_path / "other.db") == {"m1"}
