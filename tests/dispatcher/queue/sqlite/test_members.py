"""The reports of a dispatch are written in one of two ways, by how many there are."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.queue.sqlite.members import write_members

sizes = st.lists(st.sampled_from([1, 2, 31, 32, 33, 100]), max_size=5)


@given(sizes, st.integers(1, 9))
def test_each_report_is_written(of_each: list[int], gap: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE dispatch_report (report INTEGER, dispatch INTEGER) STRICT")
    connection.execute("CREATE TABLE dispatch_members (dispatch INTEGER, reports TEXT) STRICT")
    new, after = [], 0
    for dispatch, size in enumerate(of_each):
        new.append((dispatch, range(after, after + size * gap, gap)))
        after += size * gap

    write_members(connection, [(dispatch, list(ids)) for dispatch, ids in new])

    found = connection.execute("SELECT * FROM dispatch_report ORDER BY report").fetchall()
    assert found == [(report, dispatch) for dispatch, ids in new for report in ids]
