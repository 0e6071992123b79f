"""A database that dlr 0.1.0 itself has written, upgraded as config/UPGRADE.md says.

Everything in it is there afterwards, and in its place: what waited is pushed, what was exhausted is
replayed, what comes again is recognised, and searches and totals know the reports of before.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dispatcher.storage import MIGRATIONS
from receiver.dlr import json_format
from receiver.store.sqlite.database import Database
from tests.benchmarks import upgrade
from tests.benchmarks.upgrade import FIRST
from tests.docs.test_installation import a_free_port
from tests.end_to_end.processes import (
    LIMIT,
    Running,
    configure,
    customer,
    dlr,
    eventually,
    running,
    started,
)
from tests.receiver.payloads import V2_JSON

WRITTEN = Path(__file__).parents[1] / "data" / "databases" / "written_by_0_1_0.sql"
DAY = 20_785  # since 1970: that on which it was written
SETTINGS = """
[[source]]
name = "default"
[[source]]
name = "sms"
[[endpoint]]
name = "acme"
url = "{0}/acme"
[[endpoint]]
name = "beta"
url = "{0}/beta"
"""


def written(path: Path) -> None:
    """Makes the database, as if it had been written today: repeats are recognised for days."""
    days = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days - DAY
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(WRITTEN.read_text("utf-8"))
        connection.execute("UPDATE report_key SET day = day + ?", (days,))
        for table, column in (
            ("report", "received_at"),
            ("quarantine", "received_at"),
            ("dispatch", "created_at"),
            ("dispatch", "due_at"),
            ("attempt", "started_at"),
        ):
            shift = days * 86_400_000_000
            connection.execute(f"UPDATE {table} SET {column} = {column} + ?", (shift,))
        connection.commit()


async def test_a_database_of_0_1_0_is_brought_up_to_date(tmp_path: Path) -> None:
    """`dlr migrate` tells each step; doing it again does nothing."""
    written(tmp_path / "dlr.db")

    first = await dlr(tmp_path, "migrate")
    again = await dlr(tmp_path, "migrate")

    assert first.out.splitlines() == [
        f"dlr.db: applied {step.part} {step.number:04} {step.name}"
        for step in MIGRATIONS
        if step not in FIRST
    ]
    assert (first.code, again.code, again.out) == (0, 0, "dlr.db: nothing to do\n")


async def test_what_0_1_0_left_goes_on(tmp_path: Path) -> None:
    """Served after the upgrade, lists, totals and searches have all nine reports, and a repeat is
    known. Beta, which is back, gets the five buckets that waited with what they held, and by a
    replay the exhausted one too. Acme, which has all, gets nothing."""
    written(tmp_path / "dlr.db")
    async with customer() as taker:
        configure(tmp_path, SETTINGS.format(taker.url))
        async with running(tmp_path, "serve") as server:
            await taker.came.reach(5)
            assert await server.post(V2_JSON.replace(b"2033247207850523791", b"v2-json")) == (
                200,
                {"stored": 0, "duplicates": 1, "quarantined": 0},
            )
            assert len(await server.all("reports")) == 9
            await eventually(lambda: all_followed(server), "totals of all reports")
            _, found = await server.get("/api/reports?toPrefix=4179&source=sms")
            assert {each["report"]["messageId"] for each in found["reports"]} == {
                "v2-xml",
                "v3-xml",
            }
            _, kept = await server.get("/api/quarantine")
            assert [each["place"] for each in kept["items"]] == ["results[0].status", "byte 36"]

            ended = await dlr(tmp_path, "replay", "--state", "exhausted")
            assert ended.code == 0, ended.err
            await taker.came.reach(6)
            states = await server.all("dispatches")

    assert {push.path for push in taker.pushes} == {"/beta"}
    assert sorted(each for push in taker.pushes for each in push.message_ids) == sorted(
        ["lost-1", "v2-json", "v2-xml", "v3-json", "v3-xml", "many-1", "many-2", "many-3", "whole"]
    )
    lost = [each["messageIds"] for each in states if each["state"] == "exhausted"]
    assert lost == [["lost-1"]]
    (bucket,) = [push.body for push in taker.pushes if b"many-2" in push.body]
    assert len(json_format.decode_body(bucket)) == 3


async def all_followed(server: Running) -> bool:
    """Whether searches and totals have caught up with the reports of before."""
    since, until = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-5, 5))
    status, totals = await server.get(f"/api/totals?since={since}&until={until}&bucket=day")
    assert status == 200, totals
    return bool(totals["total"]["reports"] == 9)


async def test_an_interrupted_upgrade_goes_on(tmp_path: Path) -> None:
    """Each step is one transaction, so an upgrade may end after any of them: the next start does
    the rest. An older program refuses the file and changes nothing."""
    path = tmp_path / "dlr.db"
    written(path)
    begun = [*FIRST, *MIGRATIONS[: len(MIGRATIONS) // 2]]
    database = await Database.open(path)
    done = await database.migrate(begun)
    await database.close()

    rest = await dlr(tmp_path, "migrate")

    assert 0 < len(done) < len(MIGRATIONS) - len(FIRST)
    assert len(rest.out.splitlines()) == len(MIGRATIONS) - len(FIRST) - len(done)
    listed = await dlr(tmp_path, "reports", "--format", "json")
    assert len(json.loads(listed.out)) == 9


GUIDE = Path(__file__).parents[2] / "config" / "UPGRADE.md"


OTHERS = ("Several processes on PostgreSQL", "Move from SQLite to PostgreSQL")
"""Sections with lines of their own: the second one is followed by test_moving.py."""


def typed_lines() -> list[str]:
    """What the guide's reader types, in its order."""
    sections = re.split("^## ", GUIDE.read_text(), flags=re.MULTILINE)
    text = "".join(each for each in sections if not each.startswith(OTHERS))
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


async def test_the_guide_can_be_followed(tmp_path: Path) -> None:
    """Each line of the guide is typed, in folders that stand for those of the system. Only what
    installs is left out, which tests/docs/test_installation.py does, and the test starts and stops
    the service. After the way back, the old file is in its place and the new one is kept."""
    for folder in ("opt/dlr/bin", "tmp/dlr-new/bin", "etc/dlr", "var/lib/dlr", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    stand_in = f'#!/bin/sh\nexec {sys.executable} -m dispatcher "$@"\n'
    for name, text in (
        ("opt/dlr/bin/dlr", stand_in),
        ("tmp/dlr-new/bin/dlr", stand_in),
        ("bin/sudo", '#!/bin/sh\nexec "$@"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    database, port = tmp_path / "var/lib/dlr/dlr.db", a_free_port()
    (tmp_path / "etc/dlr/dlr.toml").write_text(f"[server]\nport = {port}\n")
    written(database)
    before, typed = database.read_bytes(), typed_lines()

    async with AsyncExitStack() as stack:
        for line in typed:
            if "pip install" in line or "-m venv" in line:
                continue
            if line == "sudo systemctl start dlr":
                if not (tmp_path / "var/lib/dlr-after").exists():  # afterwards it is the old one
                    words = ("serve", "--config", "etc/dlr/dlr.toml", "--database", str(database))
                    service = await stack.enter_async_context(started(tmp_path, *words))
                    await service.listening()
            elif line == "sudo systemctl stop dlr":
                await stack.aclose()
            else:
                here = re.sub(r"(?<![\w.])/(opt|tmp|etc|var)/", rf"{tmp_path}/\1/", line)
                await typed_in_a_shell(here, tmp_path)

    assert database.read_bytes() == before
    assert (tmp_path / "var/lib/dlr-after/dlr.db").read_bytes() != before


async def typed_in_a_shell(line: str, folder: Path) -> None:
    shell = await asyncio.create_subprocess_shell(
        line,
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        printed, _ = await shell.communicate()
    assert shell.returncode == 0, f"{line}\n{printed.decode()}"


def test_the_measured_upgrade_in_small(tmp_path: Path) -> None:
    """tests/benchmarks/upgrade.py, whose figures are in config/UPGRADE.md, applies every step to a
    database with reports, dispatches in three states and attempts, and counts right."""
    path = tmp_path / "dlr.db"

    said = list(upgrade.rows(path, 1_000))

    with closing(sqlite3.connect(path)) as connection:
        counted = dict(connection.execute("SELECT state, count FROM dispatch_count"))
        (total,) = connection.execute(
            "SELECT sum(reports) FROM total WHERE span = 86400"
        ).fetchone()
        (attempts,) = connection.execute("SELECT count(*) FROM attempt").fetchone()
    assert counted == {"acknowledged": 989, "exhausted": 10, "waiting": 1}
    assert (total, attempts) == (1_000, 990 + 10 * 21)
    assert f"all {len(MIGRATIONS) - len(FIRST)} steps" in [what for what, _, _ in said]
