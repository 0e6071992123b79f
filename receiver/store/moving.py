"""A database moved to another one, while it is used: what is done when, without SQL.

    copy      each table in pieces by its key, beside whoever works on the source
    follow    what was changed since: the source notes the keys of all rows that change
    compare   the rows of both, in one state of the source that has been followed
    follow    what goes on changing, until nobody but the move has the source open
    finish    the tables of few rows, the next ids; then the source is closed and the target opened

Each step can be repeated: whenever the move is killed, it goes on from what it has committed. The
target's cursor of a table is written with its piece. A change is forgotten by the source after the
target has it on disk, and taking one over twice is the same as once.

A row is compared by its values as both databases give them. The checksum of a table is the sum of
its rows' digests, so that it does not depend on their order, and goes along with each change that
is taken over: what is taken over after the comparison is read back from the target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, Literal, Protocol

from msgspec import Struct, field, msgpack

from receiver.store.copies import CopyBrokenOff, Watch

Row = tuple[Any, ...]
Key = tuple[Any, ...]
Columns = Mapping[str, str]
"""The columns of a target's table, in their order, and the type of each."""

State = Literal["copying", "compared", "done"]

Look = Callable[[int], None]
"""Is told of how many rows were read."""

FEW = 1_000
"""With so many changes behind, the move looks whether the source stands still."""


class Table(Struct, frozen=True):
    """A table of the target, and where its rows come from.

    `key` are columns that no two rows have in common; without one the table has few rows, which are
    taken over as a whole at the end. `values`: the source's expressions for columns that it has not
    under the same name. `rows`: what they are read from, if it is no table of that name. `sequence`
    gives the next ids.
    """

    name: str
    key: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""
    sequence: str = ""


class Sum(Struct, frozen=True):
    """How many rows there are, and their checksum."""

    rows: int = 0
    digests: int = 0

    def plus(self, rows: Iterable[Row]) -> Sum:
        return self._changed(rows, 1)

    def minus(self, rows: Iterable[Row]) -> Sum:
        return self._changed(rows, -1)

    def _changed(self, rows: Iterable[Row], sign: int) -> Sum:
        number, total = 0, 0
        for row in rows:
            number += 1
            total += int.from_bytes(blake2b(msgpack.encode(row), digest_size=16).digest())
        return Sum(self.rows + sign * number, (self.digests + sign * total) % 2**128)


class Compared(Struct, frozen=True):
    """A table on both sides."""

    table: str
    source: Sum
    target: Sum

    @property
    def is_equal(self) -> bool:
        return self.source == self.target


class Changes(Struct, frozen=True):
    """Some rows that have changed: their keys, those of them that are there now, and up to which
    note of the source that is."""

    keys: Sequence[Key]
    rows: Sequence[Row]
    noted: int


class View(Protocol):
    """One state of the source."""

    def changes(self, table: Table, columns: Columns) -> Iterator[Changes]:
        """What has changed and was not forgotten, in pieces."""

    def all(self, table: Table, columns: Columns) -> Iterator[Row]:
        """Every row of a table."""

    def last_id(self, table: Table) -> int:
        """The last id that was given; 0 when none was."""


class Source(Protocol):
    """The database that is moved."""

    @property
    def move(self) -> str | None:
        """Under which name it is being moved, or was."""

    def begin(self, tables: Collection[Table]) -> str:
        """Note all changes from now on, and nothing of before. Returns the name of the move."""

    def view(self) -> AbstractContextManager[View]: ...

    def count(self, table: Table) -> int: ...

    def days_of_keys(self) -> Sequence[int]: ...

    def pieces(
        self, table: Table, columns: Columns, after: Key | None
    ) -> Iterator[tuple[Key, Sequence[Row]]]:
        """The rows after a key, in pieces, each with the key of its last row. Rows that came after
        the beginning may be among them or not."""

    def forget(self, table: Table, noted: int) -> None: ...

    def stands_still(self) -> bool:
        """Whether nobody else has it open. Then nobody can open it until this process ends."""

    def wait(self) -> None:
        """For a moment, until the source is worth another look."""

    def close(self) -> None:
        """It was moved: nobody takes it for the installation any more."""


class Target(Protocol):
    """The database that it is moved to."""

    def state(self, move: str | None) -> State | None:
        """How far this move has come. None: the database is empty. Raises CopyRefused when it is
        not, and not of this move."""

    def begin(self, move: str, ids: Mapping[str, int], days: Iterable[int]) -> None:
        """Make room: for ids up to these of some tables, and for the keys of these days."""

    def columns(self, table: Table) -> Columns: ...

    def copied(self, table: Table) -> tuple[Key | None, bool]:
        """Up to which key, and whether that is all."""

    def copy(self, table: Table, rows: Sequence[Row], last: Key) -> None: ...

    def end_copy(self, table: Table) -> None: ...

    def take_over(self, table: Table, changes: Changes) -> None: ...

    def compare(
        self, table: Table, rows: Iterable[Row], look: Callable[[int], None]
    ) -> Compared: ...

    def keep(self, sums: Collection[Compared]) -> None:
        """All were found equal: from now on their sums go along with what is taken over."""

    def finish(self, few: Iterable[tuple[Table, Iterable[Row]]], ids: Mapping[str, int]) -> None:
        """Take over the tables of few rows, and the last ids by sequence."""

    def sums(self) -> Sequence[Compared]: ...

    def open(self) -> None:
        """Let it be used."""


def unequal(sums: Iterable[Compared]) -> list[str]:
    """The tables that differ."""
    return [each.table for each in sums if not each.is_equal]


Step = Literal["copy", "compare", "follow"]
Tell = Callable[[Step, int], None]
"""Is told what is done next, and to how many rows."""


def move(
    source: Source, target: Target, tables: Sequence[Table], watch: Watch, tell: Tell
) -> Sequence[Compared]:
    """Move the source, or go on with it. Returns what was compared, by table. If all is equal, the
    source is closed and the target can be used; otherwise the source stays what it was.

    Returns when nobody else has the source open any more, or at the first difference. Raises
    CopyRefused, CopyBrokenOff when the watch says so, and what source and target raise.
    """
    return _Move(source, target, tables, watch, tell).run()


class _Move:
    def __init__(
        self, source: Source, target: Target, tables: Sequence[Table], watch: Watch, tell: Tell
    ) -> None:
        self._source = source
        self._target = target
        self._tables = tables
        self._large = [table for table in tables if table.key]
        self._few = [table for table in tables if not table.key]
        self._watch = watch
        self._tell = tell
        self._rows = 0  # to read or to write, and how many of them are done
        self._done = 0

    def run(self) -> Sequence[Compared]:
        state = self._target.state(self._source.move)
        if state is None:
            self._begin()
            state = "copying"
        if state == "done":
            self._source.close()
            return self._target.sums()
        if state == "copying":
            sums = self._copy()
            if unequal(sums):
                return sums
            self._target.keep(sums)
        self._follow_until_it_stands_still()
        sums = self._finish()
        if not unequal(sums):
            self._source.close()  # before the other is open: never are both
            self._target.open()
        return sums

    def _begin(self) -> None:
        move = self._source.begin(self._large)
        with self._source.view() as view:
            ids = {table.name: view.last_id(table) for table in self._tables if table.sequence}
        self._target.begin(move, ids, self._source.days_of_keys())

    def _copy(self) -> Sequence[Compared]:
        counts = [self._source.count(table) for table in self._large]
        rows = sum(counts)
        self._rows = 3 * rows  # copied, and read of both sides
        self._tell("copy", rows)
        for table, count in zip(self._large, counts, strict=True):
            self._copy_table(table, count)
        with self._source.view() as view:
            self._take_over(view)
            self._tell("compare", rows)
            return [self._compare(view, table) for table in self._large]

    def _copy_table(self, table: Table, rows: int) -> None:
        after, is_all = self._target.copied(table)
        if is_all:
            self._look(rows)
            return
        columns = self._target.columns(table)
        for last, piece in self._source.pieces(table, columns, after):
            self._target.copy(table, piece, last)
            self._look(len(piece))
        self._target.end_copy(table)

    def _compare(self, view: View, table: Table) -> Compared:
        rows = view.all(table, self._target.columns(table))
        return self._target.compare(table, rows, self._look)

    def _take_over(self, view: View) -> int:
        """All that has changed up to this view. Returns how many rows."""
        number = 0
        for table in self._large:
            for changes in view.changes(table, self._target.columns(table)):
                self._target.take_over(table, changes)
                self._source.forget(table, changes.noted)
                number += len(changes.keys)
                self._look(0)
        return number

    def _follow_until_it_stands_still(self) -> None:
        while True:
            with self._source.view() as view:
                changed = self._take_over(view)
            self._tell("follow", changed)
            self._look(0)
            if changed <= FEW:
                if self._source.stands_still():
                    return
                self._source.wait()

    def _finish(self) -> Sequence[Compared]:
        with self._source.view() as view:
            self._take_over(view)
            few = [(table, view.all(table, self._target.columns(table))) for table in self._few]
            ids = {table.sequence: view.last_id(table) for table in self._tables if table.sequence}
            self._target.finish(few, ids)
        return self._target.sums()

    def _look(self, rows: int) -> None:
        self._done += rows
        share = self._done / self._rows if self._rows else 1.0
        if not self._watch(min(share, 1.0)):
            raise CopyBrokenOff
