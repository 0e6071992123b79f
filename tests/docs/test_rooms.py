"""The code keeps to the rooms that receiver/README.md and dispatcher/README.md list.

Beside each rule stands a test that breaks it in a small house and sees it told.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import rooms
from tests.docs.rooms import House, house

ROOT = Path(__file__).parents[2]

Rule = Callable[[House], list[str]]

RULES: list[Rule] = [
    rooms.without_a_room,
    rooms.upward,
    rooms.bad_exceptions,
    rooms.receiver_imports_dispatcher,
    rooms.circles,
    rooms.too_many_loose_files,
    rooms.sql_outside,
    rooms.adapters_used,
    rooms.bound_suites,
]


@pytest.fixture(scope="module")
def real() -> House:
    return house(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(real: House, rule: Rule) -> None:
    """No rule finds anything: the list is what is to be mended."""
    faults = rule(real)

    if faults:
        pytest.fail("\n".join([f"{len(faults)} × {rule.__doc__}", *faults]), pytrace=False)


def test_the_house_was_looked_at(real: House) -> None:
    """All files were read, with what they import from each other and from the other package."""
    assert len(real.files) > 150
    assert real.room("dispatcher/queue/sqlite/queue.py") == "queue/sqlite/"
    assert real.room("receiver/store/base.py") == "store/"
    across = {each.imported.split("/")[0] for each in real.imports if "dispatcher" in each.file}
    assert across == {"receiver", "dispatcher"}


# --- a small house -----------------------------------------------------------------------------

TABLES = {
    "receiver": "`dlr/`|`store/`|`store/sqlite/`",
    "dispatcher": "`flow/`|`queue/`|`worker.py`|`queue/sqlite/`|`storage.py`",
}

SMALL = {
    "receiver/dlr/report.py": "",
    "receiver/store/base.py": "from receiver.dlr.report import Report",
    "receiver/store/sqlite/store.py": "import sqlite3\nimport receiver.store.base\nS='SELECT 1'",
    "dispatcher/flow/gate.py": "from receiver.dlr import report",
    "dispatcher/queue/base.py": "from dispatcher.flow.gate import Gate",
    "dispatcher/queue/sqlite/queue.py": "from dispatcher.worker import Worker",
    "dispatcher/worker.py": "import dispatcher.queue.base",
    "dispatcher/storage.py": "from dispatcher.queue.sqlite.queue import Queue",
}


def small(root: Path, more: dict[str, str] | None = None, exceptions: str = "") -> House:
    """A house in order but for what is in `more`; below both tables stands `exceptions`."""
    for name, text in {**SMALL, **(more or {})}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    for package, table in TABLES.items():
        rows = "".join(f"| {room} | … |\n" for room in table.split("|"))
        section = f"## Rooms\n\n| room | holds |\n|---|---|\n{rows}\n### Exceptions\n\n"
        below = exceptions if package == "dispatcher" else ""
        text = f"# {package}\n\n{section}{below}\n\n## More\n\n| `nothing/` | of it |\n"
        (root / package / "README.md").write_text(text, "utf-8")
    return house(root)


def test_a_house_in_order_has_no_faults(tmp_path: Path) -> None:
    """So that what the tests below find is what they planted."""
    found = small(tmp_path)

    assert [rule(found) for rule in RULES] == [[] for _ in RULES]


def test_a_file_without_a_room_is_told(tmp_path: Path) -> None:
    """A folder that the table lacks; a loose file too, and one whose name only begins like it."""
    found = small(
        tmp_path,
        {"dispatcher/pushing/http.py": "", "receiver/loose.py": "", "dispatcher/worker.py.py": ""},
    )

    assert rooms.without_a_room(found) == [
        "receiver/loose.py: no row of the table has it",
        "dispatcher/pushing/http.py: no row of the table has it",
        "dispatcher/worker.py.py: no row of the table has it",
    ]


def test_a_room_without_a_file_is_told(tmp_path: Path) -> None:
    """A row whose folder has gone, or was never there."""
    found = small(tmp_path)
    (tmp_path / "dispatcher/storage.py").unlink()

    assert rooms.without_a_room(house(tmp_path)) == [
        "dispatcher/README.md: there is no file in `storage.py`"
    ]
    assert rooms.without_a_room(found) == []


def test_a_room_with_two_rows_is_told(tmp_path: Path) -> None:
    """Nobody could say which of them holds."""
    small(tmp_path)
    readme = tmp_path / "receiver/README.md"
    readme.write_text(readme.read_text().replace("| `store/` |", "| `dlr/`, `store/` |"))

    with pytest.raises(AssertionError, match="the room dlr/ has two rows"):
        house(tmp_path)


def test_a_readme_without_rooms_is_told(tmp_path: Path) -> None:
    """A heading that was renamed switches nothing off."""
    small(tmp_path)
    readme = tmp_path / "receiver/README.md"
    readme.write_text(readme.read_text().replace("## Rooms", "## Files"))

    with pytest.raises(AssertionError, match="has no section ## Rooms"):
        house(tmp_path)


UPWARD = [
    "from dispatcher.worker import Worker",
    "import dispatcher.worker",
    "from dispatcher import worker",
    "from .. import worker",
    "from ..worker import Worker",
    "def late():\n    from dispatcher.worker import Worker",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dispatcher.worker import Worker",
]


@pytest.mark.parametrize("text", UPWARD)
def test_an_upward_import_is_told(tmp_path: Path, text: str) -> None:
    """However it is written and wherever it stands."""
    (told,) = rooms.upward(small(tmp_path, {"dispatcher/flow/pace.py": text}))

    assert told.startswith("dispatcher/flow/pace.py:")
    assert told.endswith("→ dispatcher/worker.py  (flow/ may not import from worker.py)")


def test_a_room_inside_another_is_a_room_of_its_own(tmp_path: Path) -> None:
    """`queue/` may not import from `queue/sqlite/`, which is above it."""
    found = small(
        tmp_path, {"dispatcher/queue/base.py": "from dispatcher.queue.sqlite import queue"}
    )

    assert rooms.upward(found) == [
        "dispatcher/queue/base.py:1 → dispatcher/queue/sqlite/queue.py"
        "  (queue/ may not import from queue/sqlite/)"
    ]


def test_rooms_of_one_row_do_not_import_each_other(tmp_path: Path) -> None:
    """A row with several rooms is a layer."""
    small(tmp_path)
    readme = tmp_path / "dispatcher/README.md"
    text = (
        readme.read_text()
        .replace("| `flow/` | … |\n", "")
        .replace("| `queue/`", "| `flow/`, `queue/`")
    )
    readme.write_text(text)

    assert rooms.upward(house(tmp_path)) == [
        "dispatcher/queue/base.py:1 → dispatcher/flow/gate.py  (queue/ may not import from flow/)"
    ]


PACE = {"dispatcher/flow/pace.py": UPWARD[0]}
PACE_IS_ALLOWED = "- `flow/pace.py` → `worker.py`: it is so for a reason"


def test_an_exception_allows_its_import_alone(tmp_path: Path) -> None:
    """From that file to that one; in a list, or in a column of the table."""
    more = {**PACE, "dispatcher/flow/window.py": UPWARD[0]}
    found = small(tmp_path, more, PACE_IS_ALLOWED)

    assert [text.split(":")[0] for text in rooms.upward(found)] == ["dispatcher/flow/window.py"]
    assert rooms.bad_exceptions(found) == []
    in_the_table = small(tmp_path, more, f"| … | … | {PACE_IS_ALLOWED.removeprefix('- ')} |")
    assert in_the_table.exceptions == found.exceptions


def test_an_exception_that_is_not_needed_is_told(tmp_path: Path) -> None:
    """It goes when its import goes, or is not upward any more."""
    found = small(tmp_path, exceptions=PACE_IS_ALLOWED)

    assert rooms.bad_exceptions(found) == [
        "dispatcher/flow/pace.py → dispatcher/worker.py: it is not needed any more"
    ]


def test_an_exception_without_a_reason_is_told(tmp_path: Path) -> None:
    """A colon and a word are none."""
    found = small(tmp_path, PACE, "- `flow/pace.py` → `worker.py`: why")

    assert rooms.bad_exceptions(found) == [
        "dispatcher/flow/pace.py → dispatcher/worker.py: it has no reason"
    ]


def test_too_many_exceptions_are_told(tmp_path: Path) -> None:
    """Five are allowed, over both packages."""
    names = [f"flow/{letter}.py" for letter in "abcdef"]
    files = {f"dispatcher/{name}": UPWARD[0] for name in names}
    listed = [f"- `{name}` → `worker.py`: it is so for a reason\n" for name in names]

    assert rooms.bad_exceptions(small(tmp_path, files, "".join(listed[1:]))) == []
    assert rooms.bad_exceptions(small(tmp_path, files, "".join(listed))) == [
        "6 exceptions, at most 5"
    ]


def test_a_receiver_that_imports_the_dispatcher_is_told(tmp_path: Path) -> None:
    """Even below TYPE_CHECKING."""
    text = "if TYPE_CHECKING:\n    from dispatcher.flow.gate import Gate, Other"
    found = small(tmp_path, {"receiver/dlr/model.py": text})

    assert rooms.receiver_imports_dispatcher(found) == [
        "receiver/dlr/model.py:2 → dispatcher/flow/gate.py"
    ]


def test_a_circle_is_told(tmp_path: Path) -> None:
    """Within a room too, and through a function: in any number of steps."""
    found = small(
        tmp_path,
        {
            "dispatcher/flow/a.py": "from dispatcher.flow import b",
            "dispatcher/flow/b.py": "def f():\n    from dispatcher.flow.c import x",
            "dispatcher/flow/c.py": "if TYPE_CHECKING:\n    import dispatcher.flow.a",
            "dispatcher/flow/d.py": "import dispatcher.flow.a",
        },
    )

    assert rooms.circles(found) == [
        "dispatcher/flow/a.py ↔ dispatcher/flow/b.py ↔ dispatcher/flow/c.py"
    ]


def test_too_many_loose_files_are_told(tmp_path: Path) -> None:
    """Ten in the dispatcher, `__init__.py` and `__main__.py` too, and eight in the receiver."""
    eight = {f"dispatcher/{name}.py": "" for name in ("__init__", "__main__", *"abcdef")}
    assert rooms.too_many_loose_files(small(tmp_path, eight)) == []

    more = {"dispatcher/g.py": "", **{f"receiver/{name}.py": "" for name in "abcdefghi"}}
    told = rooms.too_many_loose_files(small(tmp_path, more))

    assert [text.split(":")[1] for text in told] == [
        " 9 loose files, at most 8",
        " 11 loose files, at most 10",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sqlite3", "import sqlite3"),
        ("from sqlite3 import Row", "import sqlite3"),
        ("def f():\n    import aiosqlite.core", "import aiosqlite"),
        ("X = 'SELECT 1'", "SQL text: ['SELECT', '1']"),
        ("X = '''\n  -- all\n  INSERT INTO t VALUES (1)'''", "SQL text: ['INSERT'"),
        ("X = f'UPDATE {t} SET x = 1'", "SQL text: ['UPDATE', '…', 'SET', 'x']"),
        ("X = 'UPDATE ' + t", "SQL text: ['UPDATE']"),
        ("X = 'DELETE FROM t'", "SQL text: ['DELETE'"),
        ("X = 'CREATE TABLE t (x)'", "SQL text: ['CREATE'"),
        ("X = 'PRAGMA user_version'", "SQL text: ['PRAGMA'"),
        ("X = 'WITH a AS (SELECT 1)'", "SQL text: ['WITH'"),
        ("X = 'WHERE a = ? ORDER BY b'", "SQL text: ['WHERE'"),
        ("X = 'insert into t values (1)'", "SQL text: ['insert'"),
        ("X = 'BEGIN IMMEDIATE'", "SQL text: ['BEGIN'"),
        ("connection.execute(text)", ".execute("),
        ("async def f(c):\n    await c.executemany(text, rows)", ".executemany("),
    ],
)
def test_sql_outside_its_folders_is_told(tmp_path: Path, text: str, told: str) -> None:
    """A driver, a statement or a part of one, and what runs it."""
    (found,) = rooms.sql_outside(small(tmp_path, {"dispatcher/flow/pace.py": text}))

    assert found.startswith("dispatcher/flow/pace.py:")
    assert told in found


def test_a_file_of_sql_outside_its_folders_is_told(tmp_path: Path) -> None:
    """Migrations stand beside the statements."""
    names = ("dispatcher/flow/1.sql", "dispatcher/queue/sqlite/migrations/1.sql")
    found = small(tmp_path, dict.fromkeys(names, "SELECT 1"))

    assert rooms.sql_outside(found) == ["dispatcher/flow/1.sql: a file of SQL"]


@pytest.mark.parametrize(
    "text",
    [
        "'''Selects what is due.\\n\\nWith both. Update the rest; where nothing is.'''",
        "X = ('DELETE', 'DELETE /api/endpoints/{name}', 'GET /api/reports')",
        "X = 'UPDATED'; CREATED = 'CREATED'; execute(job)",
    ],
)
def test_what_is_no_sql_is_not_told(tmp_path: Path, text: str) -> None:
    """Sentences, HTTP methods, names."""
    assert rooms.sql_outside(small(tmp_path, {"dispatcher/flow/pace.py": text})) == []


def test_sql_in_its_folders_is_not_told(tmp_path: Path) -> None:
    """`sqlite/`, later `postgres/`, the sandbox's store and the simulation."""
    text = "import sqlite3\nconnection.execute('SELECT 1')"
    places = ("queue/sqlite", "queue/postgres", "sandbox/store", "simulation")
    found = small(tmp_path, {f"dispatcher/{place}/here.py": text for place in places})

    assert rooms.sql_outside(found) == []


def test_an_adapter_that_is_used_past_the_protocols_is_told(tmp_path: Path) -> None:
    """Only storage.py may: it says which database there is."""
    text = "from receiver.store.sqlite.store import Store\nfrom receiver.store.sqlite import store"
    found = small(tmp_path, {"dispatcher/flow/pace.py": text})

    assert rooms.adapters_used(found) == [
        "dispatcher/flow/pace.py:1 → receiver/store/sqlite/store.py",
        "dispatcher/flow/pace.py:2 → receiver/store/sqlite/store.py",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sqlite3", "import sqlite3"),
        ("from receiver.store.sqlite.store import SqliteStore", "import receiver.store.sqlite"),
        ("from tests.contracts import sqlite_backend", "import tests.contracts.sqlite_backend"),
        ("from tests.contracts.postgres_backend import x", "import tests.contracts.postgres"),
        ("X = 'PRAGMA query_only = 1'", "SQL text: ['PRAGMA'"),
        ("X = 'SELECT count(*) FROM report'", "SQL text: ['SELECT'"),
        ("def count(rows):\n    return rows.execute(X)", ".execute("),
        ("async def test_x(backend):\n    await backend.database.read(f)", "database"),
        ("async def test_x(tmp_path):\n    ...", "tmp_path"),
        ("from tests.dispatcher.support import database_of", "import tests.dispatcher.support"),
        ("def f(connection):\n    ...", "connection"),
    ],
)
def test_a_suite_that_knows_its_database_is_told(tmp_path: Path, text: str, told: str) -> None:
    """Whoever writes a second implementation could not run it."""
    found = small(tmp_path, {"tests/contracts/totals.py": text})

    assert rooms.bound_suites(found)
    assert all(each.startswith("tests/contracts/totals.py:") for each in rooms.bound_suites(found))
    assert any(told in each for each in rooms.bound_suites(found))


def test_what_names_the_implementations_may_know_them(tmp_path: Path) -> None:
    """The tests, their fixtures, and what is called after a database."""
    names = ("test_totals", "conftest", "sqlite_backend", "queue_on_sqlite", "postgres_backend")
    text = "import sqlite3\ndef f(connection):\n    connection.execute('SELECT 1')"
    found = small(tmp_path, {f"tests/contracts/{name}.py": text for name in names})

    assert rooms.bound_suites(found) == []
