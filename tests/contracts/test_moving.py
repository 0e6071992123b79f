"""A SQLite file that is moved to PostgreSQL (receiver/store/moving.py), without processes.

The file is filled by use with something of every kind (lived_in.py). After the move, each protocol
says the same of both. The same on real processes: tests/end_to_end/test_moving.py.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatcher import storage
from dispatcher.endpoints.endpoint import Target
from dispatcher.queue.sqlite.insert_dispatch import insert_event
from dispatcher.storage import MIGRATIONS, MOVED, Storage, new_id
from receiver.store.base import StoreUnavailable
from receiver.store.copies import CopyBrokenOff, CopyFailed, CopyRefused
from receiver.store.instants import micros
from receiver.store.moving import Compared, move, unequal
from receiver.store.postgres import moving as postgres
from receiver.store.sqlite import moving as sqlite
from tests.contracts.lived_in import ENDPOINTS, UNTIL, answers, live
from tests.contracts.report_store import an_sms
from tests.dispatcher.support import Bench, a_bench, database_of
from tests.postgres import EmptyDatabase, a_database, in_autocommit


@pytest.fixture
async def target(empty_postgres: EmptyDatabase) -> str:
    """The URL of an empty database."""
    await emptied(empty_postgres)
    return empty_postgres.url


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in which something of every kind lies."""
    path = tmp_path_factory.mktemp("lived-in") / "dlr.db"

    async def fill() -> None:
        async with a_bench(*ENDPOINTS, path=path) as made:
            await live(made)
            to = Target("http://acme.example/dlr", "application/json", "Basic eDp5")
            at = micros(made.clock.now())
            await made.database.write(
                lambda c: insert_event(new_id, c, "acme", to, b'{"text":"hi"}', "m\0", at)
            )

    asyncio.run(fill())
    return path


@pytest.fixture
def path(lived_in: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(lived_in, tmp_path / "dlr.db"))


@pytest.fixture
async def bench(path: Path) -> AsyncIterator[Bench]:
    """One that works on it."""
    async with a_bench(*ENDPOINTS, path=path) as made:
        made.clock.advance_to(UNTIL)
        yield made


@contextmanager
def ends_of(path: Path, target: str) -> Iterator[tuple[Any, Any]]:
    """The source and the target of a move."""
    with (
        sqlite.opened(path, "PostgreSQL", MIGRATIONS) as source,
        postgres.opened(target, MOVED) as there,
    ):
        yield source, there


def told(source: Any, target: Any) -> list[Compared]:
    return [*move(source, target, MOVED, lambda _: True, lambda *_: None)]


def moved(path: Path, target: str, dies_after: int | None = None) -> list[Compared]:
    """What the move says when it has come to its end. `dies_after`: it ends before, after so many
    changes that it has committed."""
    with ends_of(path, target) as (source, there):
        if dies_after is None:
            return told(source, there)
        left = iter(range(dies_after))
        return told(Mortal(source, left), Mortal(there, left))


CHANGES = frozenset(
    {"begin", "copy", "end_copy", "take_over", "keep", "finish", "open", "forget", "close"}
)


class Died(Exception):
    """As a process that is killed."""


class Mortal:
    """A source or a target whose process ends after one of its changes has been committed."""

    def __init__(self, of: Any, left: Iterator[int], changes: frozenset[str] = CHANGES) -> None:
        self._of = of
        self._left = left
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return self._counted(found) if name in self._changes else found

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any) -> Any:
            result = change(*given)
            if next(self._left, None) is None:
                raise Died
            return result

        return changed


@asynccontextmanager
async def opened(target: str) -> AsyncIterator[Storage]:
    """What the target holds, with the endpoints of the file."""
    async with storage.storage(target) as held:
        await held.queue.adopt(ENDPOINTS)
        yield held


async def test_every_protocol_says_the_same(bench: Bench, target: str, path: Path) -> None:
    """Of both databases."""
    sums = moved(path, target)

    assert unequal(sums) == []
    assert [each.table for each in sums if not each.source.rows] == []
    assert [each.table for each in sums] == [table.name for table in MOVED]
    before = await answers(bench.storage)
    async with opened(target) as held:
        after = await answers(held)
    for name, said in before.items():
        assert after[name] == said, name


async def test_it_goes_on_where_it_was_killed(bench: Bench, target: str, path: Path) -> None:
    """After changes that it has committed, at the source or at the target. Meanwhile the file is
    used: rows come, change and go."""
    for number in range(6):
        with pytest.raises(Died):
            moved(path, target, dies_after=5 * number)
        await go_on(bench, number)
    for change in ("keep", "finish", "close", "open"):
        with pytest.raises(Died), ends_of(path, target) as ends:
            told(*(Mortal(end, iter(()), frozenset({change})) for end in ends))
        if change in ("keep", "finish"):
            await go_on(bench, len(change))

    sums = moved(path, target)

    assert unequal(sums) == []
    before = await answers(bench.storage)
    async with opened(target) as held:
        after = await answers(held)
    for name, said in before.items():
        assert after[name] == said, name


async def go_on(bench: Bench, number: int) -> None:
    """Use the file: what waits is tried, reports come and go, quarantine is read again."""
    await bench.receive(an_sms(f"on {number}", error={"id": number % 3}))
    await bench.work()
    entries = await bench.store.quarantine(None, 10)
    if number % 2:
        await bench.receive(b'{"smsCount":"many"}')  # type: ignore[arg-type]
    elif entries:
        await bench.store.dismiss(entries[0].id)
    await bench.storage.read_model.catch_up()
    await bench.storage.activity.catch_up()
    reports = await bench.store.reports_after(0, 1)
    if number == 3:
        await database_of(bench.storage).write(
            lambda c: c.execute("DELETE FROM report WHERE id = ?", (reports[0].id,)).close()
        )


async def test_ids_go_on(bench: Bench, target: str, path: Path) -> None:
    """New rows get ids that the file has never given, so that a cursor of before passes over
    nothing. A push that is repeated is the same one, to the letter."""
    last = await bench.store.newest_report()
    waiting = (await bench.dispatches("down"))[-1]
    request = await bench.queue.request(waiting.id)
    moved(path, target)

    async with opened(target) as held:
        there = Bench(held, bench.clock, *ENDPOINTS)
        await there.receive(an_sms("new"))
        (new,) = await held.store.reports_after(last, 10)
        assert new.read().message_id == "new"
        await there.work()
        (again,) = [push for push in there.sender.pushes if push.name == waiting.id]
        assert (again.webhook_id, again.number) == (waiting.webhook_id, waiting.attempts + 1)
        assert request is not None
        assert again.body == request.body
        await there.receive(an_sms("lost lease"))
        assert await held.store.newest_report() == new.id  # a repeat is known


async def test_what_differs_is_named(path: Path, target: str) -> None:
    """Then nothing is moved: the file is used on, and the target cannot be."""
    with pytest.raises(Died):
        moved(path, target, dies_after=12)
    with in_autocommit(target) as connection:
        connection.execute("UPDATE report SET item = item || ' ' WHERE id = 3")

    assert unequal(moved(path, target)) == ["report"]
    assert unequal(moved(path, target)) == ["report"]
    with pytest.raises(StoreUnavailable, match="is being moved to this database"):
        async with storage.storage(target):
            pass
    async with storage.storage(str(path)) as held:
        assert await held.store.newest_report() > 0


PLANTED = """
    CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN new.duplicates := 99; RETURN new; END $$;
    CREATE TRIGGER planted BEFORE INSERT ON report FOR EACH ROW EXECUTE FUNCTION planted()
"""


async def test_what_differs_after_the_comparison_is_named(
    bench: Bench, target: str, path: Path
) -> None:
    """A change is read back from the target after it was taken over."""
    with pytest.raises(Died), ends_of(path, target) as (source, there):
        told(source, Mortal(there, iter(()), frozenset({"keep"})))
    await bench.receive(an_sms("lost lease"))

    with in_autocommit(target) as connection:
        connection.execute(PLANTED)
        try:
            assert unequal(moved(path, target)) == ["report"]
        finally:
            connection.execute("DROP FUNCTION planted CASCADE")


async def test_a_file_that_was_moved_is_not_used_by_mistake(path: Path, target: str) -> None:
    """Until somebody says so. The move tells the same again when it is asked again."""
    sums = moved(path, target)

    assert moved(path, target) == sums
    with pytest.raises(StoreUnavailable, match="was moved to PostgreSQL: use that one"):
        async with storage.storage(str(path)):
            pass
    assert storage.give_up_move(path)
    async with storage.storage(str(path)) as held:
        assert await held.store.newest_report() > 0
    assert not storage.give_up_move(path)


async def test_given_up_it_leaves_nothing_in_the_file(path: Path, target: str) -> None:
    """Its schema is what it was, and nothing is noted any more."""
    before = schema(path)
    with pytest.raises(Died):
        moved(path, target, dies_after=5)
    assert schema(path) != before

    assert storage.give_up_move(path)
    assert schema(path) == before
    with pytest.raises(CopyRefused, match="another database is being moved to the target"):
        moved(path, target)


def schema(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()


def test_it_is_broken_off_while_it_waits(empty: Path, target: str) -> None:
    """For the file to stand still, though nothing changes in it."""
    steps: list[str] = []
    with ends_of(empty, target) as (source, there):
        source.stands_still = lambda: False
        source.wait = lambda: None
        watch = lambda _: "follow" not in steps  # noqa: E731
        with pytest.raises(CopyBrokenOff):
            move(source, there, MOVED, watch, lambda step, _: steps.append(step))


# --- refused ------------------------------------------------------------------------------------


def refused(path: Path, target: str) -> str:
    with pytest.raises(CopyRefused) as told:
        asyncio.run(storage.move(path, target, watch=lambda _: True, tell=lambda *_: None))
    return str(told.value)


@pytest.fixture(scope="session")
def never_used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the current schema."""
    path = tmp_path_factory.mktemp("never-used") / "dlr.db"

    async def make() -> None:
        async with storage.storage(str(path)):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
def empty(never_used: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(never_used, tmp_path / "empty.db"))


def test_what_is_no_file_of_dlr_is_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("no database " * 100)
    with closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE t (x)")

    assert "there is no file" in refused(tmp_path / "none.db", "postgresql://x")
    assert "is no database" in refused(text, "postgresql://x")
    assert "is no database of dlr" in refused(other, "postgresql://x")


def test_both_of_one_kind_are_refused(empty: Path) -> None:
    assert "from a SQLite file to PostgreSQL" in refused(empty, "other.db")
    assert "from a SQLite file to PostgreSQL" in refused(Path("postgresql://x"), "postgresql://x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE schema_version SET number = number - 1", "has an older schema"),
        ("UPDATE schema_version SET number = number + 1", "upgrade dlr"),
        ("UPDATE sandbox SET ahead = 1", "is the database of a sandbox"),
        ("UPDATE parts_followed SET last = report + 1", "still adding up its older reports"),
        ("UPDATE cost_followed SET last = report + 1", "still adding up its older reports"),
    ],
)
def test_a_file_that_cannot_be_moved_is_refused(empty: Path, change: str, said: str) -> None:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute(change)
        connection.commit()

    assert said in refused(empty, "postgresql://x")


def test_a_target_that_is_used_is_refused(empty: Path, tmp_path: Path, target: str) -> None:
    """By an installation, or by another move. Its rows stay."""
    other = Path(shutil.copy(empty, tmp_path / "other.db"))
    with in_autocommit(target) as connection:
        connection.execute("INSERT INTO endpoint (name, read_to) VALUES ('acme', 7)")
    assert "it has rows in endpoint" in refused(empty, target)
    with in_autocommit(target) as connection:
        connection.execute("DELETE FROM endpoint")

    moved(empty, target)
    assert "another database is being moved to the target, or was" in refused(other, target)


def test_a_target_of_another_program_is_refused(empty: Path, postgres_server: str) -> None:
    """dlr has never used it, and its tables could have names of dlr's. Nothing is made there."""
    with a_database(postgres_server) as target, in_autocommit(target) as connection:
        for table in ("report (x text)", "schema_version (version text)", "a (x text)", "b ()"):
            connection.execute(f"CREATE TABLE {table}")

        said = refused(empty, target)

        assert "tables of another program (a, b, report and 1 more)" in said
        made = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert made.fetchone() == (4,)


def test_the_triggers_of_others_stay_on(empty: Path, target: str) -> None:
    """Tables that came beside those of dlr are left alone. While a move goes on, its own triggers
    are off, and once all others were too."""
    own = "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    with in_autocommit(target) as connection:
        connection.execute(
            "CREATE TABLE theirs (x int); CREATE TRIGGER their_trigger BEFORE UPDATE ON theirs"
            " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        try:
            with pytest.raises(Died):
                moved(empty, target, dies_after=2)
            on = connection.execute(f"{own} WHERE NOT tgisinternal AND tgenabled <> 'D'").fetchall()
        finally:
            connection.execute("DROP TABLE theirs")

    assert on == [("theirs",)]


def test_a_move_that_was_begun_goes_nowhere_else(
    empty: Path, target: str, empty_postgres: EmptyDatabase
) -> None:
    """Once a slip of the hand began anew, and left the first target half full for ever. The same
    database under another name is no other one."""
    with pytest.raises(Died):
        moved(empty, target, dies_after=3)
    with (
        sqlite.opened(empty, "the same one", MIGRATIONS) as source,
        postgres.opened(target, MOVED) as there,
        pytest.raises(Died),
    ):
        told(source, Mortal(there, iter(range(1))))
    asyncio.run(emptied(empty_postgres))  # it is another one now

    assert "a move to PostgreSQL was begun: continue it" in refused(empty, target)
    with in_autocommit(target) as connection:
        assert connection.execute("SELECT FROM moving").fetchall() == []

    assert storage.give_up_move(empty)
    with (
        sqlite.opened(empty, "the other one", MIGRATIONS) as source,
        postgres.opened(target, MOVED) as there,
    ):
        assert not unequal(told(source, there))


async def emptied(database: EmptyDatabase) -> None:
    await (await database.open()).close()


def test_two_moves_of_one_file_are_refused(empty: Path, target: str) -> None:
    with sqlite.opened(empty, "x", MIGRATIONS):
        assert "another `dlr migrate` is moving" in refused(empty, target)


def test_a_target_that_cannot_be_reached_is_told() -> None:
    with (
        pytest.raises(CopyFailed, match="the target cannot be used"),
        postgres.opened("postgresql://127.0.0.1:1/none", MOVED),
    ):
        pass


# --- the schemas --------------------------------------------------------------------------------

LEFT = {
    "bodies_kept_after": "is in the column `body` of report",
    "live_dispatcher": "says who works on the file just now",
    "cost_followed": "must be at its end",
    "parts_followed": "must be at its end",
    "room": "is only written to see whether the disk is full",
    "schema_version": "the target has its own",
}


def test_every_table_of_the_file_is_moved(empty: Path) -> None:
    """But those of the sandbox, and a few that say nothing there."""
    with closing(sqlite3.connect(empty)) as file:
        names = file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    tables = {name for (name,) in names if not name.startswith(("sqlite_", "sandbox"))}

    assert tables - LEFT.keys() == {table.name for table in MOVED}


def test_every_table_of_the_target_is_filled(target: str) -> None:
    """But for what begins when somebody works on it, and what the move knows of itself."""
    with in_autocommit(target) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
    tables = {name for (name,) in names}

    own = {"live_dispatcher", "moving", "moving_table", "partition_begun", "room", "schema_version"}
    assert tables - own == {table.name for table in MOVED}
