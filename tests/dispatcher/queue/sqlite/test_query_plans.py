"""How the database finds what the queue asks for: by which index, and never through all there is.

The statements are caught as they run. Only steps through tables that grow with the traffic are
told; those of endpoints, replays and counts are small. `sorts`: what was found is sorted.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dispatcher.capsule.base import Window
from dispatcher.queue.base import DispatchSearch, OfMessage
from dispatcher.queue.sqlite.activity import SqliteActivity
from dispatcher.queue.sqlite.endpoints import SqliteEndpoints
from dispatcher.queue.sqlite.figures import SqliteFigures
from dispatcher.queue.sqlite.history import SqliteHistory
from dispatcher.queue.sqlite.queue import MIGRATIONS as QUEUE_MIGRATIONS
from dispatcher.queue.sqlite.recording import SqliteRecording
from dispatcher.queue.sqlite.replay_selection import SqliteSelector
from dispatcher.queue.sqlite.retention import NeededByEndpoints, QueueRetention
from dispatcher.queue.sqlite.unrouted import SqliteUnrouted
from dispatcher.replay.items import Items
from dispatcher.replay.replay import Item
from dispatcher.replay.request import Request, Selection
from receiver.store.sqlite.database import Database
from tests.contracts.dispatch_queue import a_record
from tests.dispatcher.queue.sqlite.story import ACME, BETA, MINUTE, NOON, Story, a_story, no_pause

SMALL = {"endpoint", "endpoint_version", "replay", "replay_count", "dispatch_count", "queue_name"}
SMALL |= {"recorded", "schema_version", "sqlite_sequence", "taken_forgotten", "followed", "total"}
SMALL |= {"activity_followed"}
ALIASES = {"mine": "held_report", "other": "held_report"}
ALIASES |= {"r": "report", "m": "dispatch_report", "d": "dispatch", "a": "attempt"}
ALIASES |= {"member": "dispatch_report", "later": "dispatch_report", "newer": "dispatch"}
ALIASES |= {"way": "message_under_way"}
ALIASES |= {"far": "dispatch_members", "its": "dispatch_report"}

Act = Callable[[Story], Awaitable[Any]]

_STEP = re.compile(
    r"(?P<how>SEARCH|SCAN) (?P<table>\w+)"
    r"(?: USING (?:(?:COVERING )?INDEX (?P<index>\w+)|(?P<id>INTEGER )?(?P<key>PRIMARY KEY)))?"
    r"(?: \((?P<by>.*)\))?(?: LEFT-JOIN)?"
)
_HEADING = re.compile(
    r"(CORRELATED )?(SCALAR|LIST) SUBQUERY \d+|(CO-ROUTINE|MATERIALIZE) .*|COMPOUND QUERY"
    r"|LEFT-MOST SUBQUERY|UNION ALL|MULTI-INDEX OR|INDEX \d+|USING INDEX \w+ FOR IN-OPERATOR"
    r"|UNION USING TEMP B-TREE|MERGE \(UNION ALL\)|LEFT|RIGHT"
    r"|(SEARCH|SCAN) (\d+ CONSTANT ROWS|CONSTANT ROW|(json_)?each VIRTUAL TABLE .*"
    r"|\(subquery-\d+\))"
)


def step(detail: str) -> str | None:
    """A line of EXPLAIN QUERY PLAN in our words; None for one that goes through nothing large.

    `dispatch by dispatch_due (endpoint=? AND due_at<?)`, `dispatch by id (=?)`, `all of dispatch`.
    """
    if _HEADING.fullmatch(detail):
        return None
    if detail.startswith("USE TEMP B-TREE FOR"):
        return "sorts"
    found = _STEP.fullmatch(detail)
    assert found is not None, detail
    table = ALIASES.get(found["table"], found["table"])
    if table in SMALL:
        return None
    by_key = found["key"] and not found["id"]
    index = found["index"] or ("key" if by_key else "id")
    index = "key" if index.startswith("sqlite_autoindex") else index
    if found["how"] == "SCAN":
        return f"all of {table}" + (f" by {found['index']}" if found["index"] else "")
    by = (found["by"] or "the first or last").replace("rowid", "")
    return f"{table} by {index} ({by})"


async def plan(database: Database, act: Awaitable[Any]) -> set[str]:
    """The steps of all statements that `act` runs."""
    ran: list[str] = []
    await database.read(lambda c: c.set_trace_callback(ran.append))
    await act
    await database.read(lambda c: c.set_trace_callback(None))

    def explained(connection: sqlite3.Connection) -> set[str]:
        asked = {
            each
            for each in ran
            if each.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
        }
        assert asked
        return {found for each in asked for found in steps(connection, each)}

    return await database.read(explained)


def steps(connection: sqlite3.Connection, statement: str) -> set[str]:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    return {found for *_, detail in rows if (found := step(detail)) is not None}


@pytest.fixture
async def story() -> AsyncIterator[Story]:
    """With dispatches in each state."""
    made = await a_story(*QUEUE_MIGRATIONS)
    await made.first_half()
    yield made
    await made.database.close()


# --- what is asked -------------------------------------------------------------------------------


async def _records(story: Story) -> Any:
    (_, leased, *_) = story.claimed
    return await story.queue.record([a_record(leased)])


async def _cancels(story: Story) -> Any:
    (waiting, *_) = await story.queue.dispatches(state="waiting", endpoint="acme")
    return await story.queue.cancel(waiting.id)


async def _reads_report(story: Story) -> Any:
    (held,) = await story.store.reports_by_id([7])
    return await story.queue.readings(held)


async def _creates(story: Story) -> Any:
    request = Request(selection=Selection(ids=(1,)), to_url="http://x.example/", key="once")
    return await story.replays.create(request, Items(), NOON, from_outside=False)


async def _feeds(story: Story) -> Any:
    return await story.feed(await story.replay([4, 5]), [4], hold=[5])


async def _blocked_of_replay(story: Story) -> Any:
    reports = await story.replays.reports([Item(1, "acme", 0), Item(2, "acme", 0)])
    return await story.replays.blocked(1, "acme", list(reports.values()), [1])


def _finds(**asked: Any) -> Act:
    return lambda story: story.queue.find(DispatchSearch(**asked))


def _selects(**asked: Any) -> Act:
    def select(story: Story) -> Awaitable[Any]:
        selector = SqliteSelector(story.database, story.store)
        return selector.resolve(Selection(**asked), None, ["acme", "beta"])

    return select


def _reads(ask: Callable[[sqlite3.Connection], Any]) -> Act:
    return lambda story: story.database.read(ask)


_PLACES = {
    "report by id (=?)",
    "dispatch_report by key (report=?)",
    "dispatch by id (=?)",
    "sorts",  # the dispatches of each report
}
_UNFED = {  # what running replays have still to bring is not exhausted
    "replay_piece by key (replay=? AND position>? AND position<?)",
    "held_report by held_report_replay (replay>?)",
}
_HELD_BEFORE = "held_report by held_report_message (endpoint=? AND source=? AND message_key=?"
_ORDER = {
    "message_under_way by key (endpoint=? AND source=? AND message_key=?)",
    "held_report by held_report_message (endpoint=? AND source=? AND message_key=?)",
}
# The reports of a dispatch: those between its first and last one, unless these are far apart.
_EVENT = "event_message by id (=?)"  # of a dispatch without reports
_MEMBERS = {
    "dispatch by id (=?)",
    "dispatch_members by id (=?)",
    "dispatch_report by key (report>? AND report<?)",
    "dispatch_report by key (report=? AND dispatch=?)",
}
_LAST_ATTEMPT = "attempt by attempt_of_dispatch (dispatch=? AND number=?)"
_SHOWN = {_EVENT, *_MEMBERS}
_COMPARED = {"dispatch by id (=?)", *_SHOWN}
_ALONG = {
    "waiting": "dispatch by dispatch_waiting (endpoint=? AND >? AND <?)",
    "ids": "dispatch by id (>? AND <?)",
    "endpoint": "dispatch by dispatch_of_endpoint (endpoint=? AND >? AND <?)",
    "state": "dispatch by dispatch_of_state (state=? AND >? AND <?)",
    "endpoint and state": (
        "dispatch by dispatch_of_endpoint_and_state (endpoint=? AND state=? AND >? AND <?)"
    ),
    "replay": "dispatch by dispatch_of_replay (replay=? AND >? AND <?)",
    "leased": "dispatch by dispatch_lease (lease_until>?)",
}
_UNRECORDED = "unrecorded_attempt by unrecorded_attempt_dispatch (dispatch=?)"

QUEUE: dict[str, tuple[Act, set[str]]] = {
    "adopt": (
        lambda s: s.queue.adopt([ACME, BETA]),
        {
            "report by id (the first or last)",
        },
    ),
    "pending": (
        lambda s: s.queue.pending(NOON),
        {
            "report by id (the first or last)",
            "dispatch by dispatch_lease (the first or last)",
            "dispatch by dispatch_due (endpoint=?)",
            "held_report by held_report_freed (replay=?)",
            "held_report by held_report_freed (replay=? AND endpoint=?)",
            f"{_HELD_BEFORE} AND report<?)",
        },
    ),
    "claim": (
        lambda s: s.claim(NOON + MINUTE, room=5),
        {
            "dispatch by dispatch_due (endpoint=? AND due_at<?)",
            "dispatch by id (=?)",
            "dispatch_body by id (=?)",
        },
    ),
    "form": (lambda s: s.form(BETA, 8, [1]), set()),
    "form in order": (
        lambda s: s.form(ACME, 8, [8], hold=[5], freed=[8]),
        {
            "held_report by key (endpoint=? AND report=? AND replay=?)",
            *_ORDER,
        },
    ),
    "record": (_records, {"dispatch by id (=?)"}),
    "release": (lambda s: s.queue.release(s.claimed), {"dispatch by id (=?)"}),
    "release_expired": (
        lambda s: s.queue.release_expired(NOON + MINUTE),
        {"dispatch by dispatch_lease (lease_until<?)"},
    ),
    "next_due": (
        lambda s: s.queue.next_due(),
        {
            "dispatch by dispatch_due (endpoint=?)",
            "dispatch by dispatch_lease (the first or last)",
        },
    ),
    "first_due": (
        lambda s: s.queue.first_due(["acme"]),
        {"dispatch by dispatch_due (endpoint=?)"},
    ),
    "freed": (
        lambda s: s.queue.freed("acme", 5),
        {
            "held_report by held_report_freed (replay=? AND endpoint=?)",
            f"{_HELD_BEFORE} AND report<?)",
        },
    ),
    "blocked": (
        lambda s: s.queue.blocked("acme", [("default", s.keys[n]) for n in (1, 3)], [7]),
        _ORDER,
    ),
    "cancel": (
        _cancels,
        {
            # Of the list that it begins with.
            "dispatch by dispatch_waiting (endpoint=? AND <?)",
            *_SHOWN,
        },
    ),
    "one dispatch": (
        lambda s: s.queue.dispatch("db-1"),
        {
            "dispatch by id (=?)",
            "attempt by attempt_of_dispatch (dispatch=?)",
            _UNRECORDED,
            *_SHOWN,
        },
    ),
    "reports of an endpoint": (
        lambda s: s.queue.reports_in("acme", None, None, 10),
        {
            "dispatch_report by key (the first or last)",
            "dispatch_report by key (report>? AND report<?)",
            "dispatch by id (=?)",
        },
    ),
    "who took reports": (
        lambda s: s.queue.takers([1, 2]),
        {"dispatch_report by key (report=?)", "dispatch by id (=?)", "sorts"},
    ),
    "reports of a state": (
        lambda s: s.queue.reports_in(None, "exhausted", 9, 10),
        {
            "dispatch_report by key (the first or last)",
            "dispatch_report by key (report>? AND report<?)",
            "dispatch_report by key (report=? AND dispatch>?)",
            "dispatch by id (=?)",
        },
    ),
    "counts": (lambda s: s.queue.counts(), set()),
    "readings": (
        _reads_report,
        {
            "report by id (=?)",
            "held_report by key (endpoint=? AND report=?)",
            "message_under_way by key (endpoint=? AND source=? AND message_key=?)",
            "attempt by id (the first or last)",
            "attempt by id (>?)",
            "dispatch by id (=?)",
        },
    ),
    # Newest first, along the ids, until the page is full.
    "a page": (lambda s: s.queue.dispatches(), {"dispatch by id (<?)", *_SHOWN}),
    "the next page": (
        lambda s: s.queue.dispatches(before="db-9"),
        {"dispatch by id (<?)", *_SHOWN},
    ),
    "a page of an endpoint": (
        lambda s: s.queue.dispatches(endpoint="acme"),
        {"dispatch by dispatch_of_endpoint (endpoint=? AND <?)", *_SHOWN},
    ),
    "a page of a state": (
        lambda s: s.queue.dispatches(state="exhausted"),
        {"dispatch by dispatch_of_state (state=? AND <?)", *_SHOWN},
    ),
    "a page of what waits for an endpoint": (
        lambda s: s.queue.dispatches(endpoint="acme", state="waiting"),
        {"dispatch by dispatch_waiting (endpoint=? AND <?)", *_SHOWN},
    ),
    # As many of each endpoint: none goes through all that waits.
    "a page of what waits": (
        lambda s: s.queue.dispatches(state="waiting"),
        {"dispatch by id (=?)", "dispatch by dispatch_waiting (endpoint=? AND <?)", *_SHOWN},
    ),
    "a page of what an endpoint has lost": (
        lambda s: s.queue.dispatches(endpoint="acme", state="exhausted"),
        {
            "dispatch by dispatch_of_endpoint_and_state (endpoint=? AND state=? AND <?)",
            *_SHOWN,
        },
    ),
    **{
        f"find {what}": (_finds(**asked), {*_COMPARED, *steps_of})
        for what, asked, steps_of in (
            ("all", {}, {_ALONG["ids"]}),
            ("of an endpoint", {"endpoint": "acme"}, {_ALONG["endpoint"]}),
            ("of a state", {"state": "exhausted"}, {_ALONG["state"]}),
            (
                "of both",
                {"endpoint": "acme", "state": "exhausted"},
                {_ALONG["endpoint and state"]},
            ),
            (
                "what waits for an endpoint",
                {"endpoint": "acme", "state": "waiting"},
                {_ALONG["waiting"]},
            ),
            ("under way", {"state": "leased"}, {_ALONG["leased"], "sorts"}),
            ("of a replay", {"replay": 1}, {_ALONG["replay"]}),
            (
                "of an outcome",
                {"outcome": "failed"},
                {_ALONG["state"], _ALONG["waiting"], _ALONG["leased"], "sorts", _LAST_ATTEMPT},
            ),
            ("acknowledged", {"outcome": "acknowledged"}, {_ALONG["ids"], _LAST_ATTEMPT}),
            ("of a class", {"status_class": "5xx"}, {_ALONG["ids"], _LAST_ATTEMPT}),
            (
                "of an hour",
                {"created_since": NOON, "created_until": NOON + MINUTE},
                {"dispatch by dispatch_formed (created_at>? AND created_at<?)"},
            ),
            (
                "of a message",
                {"message": OfMessage([1, 2], "m1")},
                {
                    "dispatch_report by key (report=?)",
                    "event_message by event_message_id (message_id=?)",
                },
            ),
        )
    },
    "dispatches of reports": (
        lambda s: s.queue.dispatches(report_ids=[1, 2]),
        {"dispatch by id (=?)", "dispatch_report by key (report=?)", *_SHOWN},
    ),
}

RETENTION: dict[str, tuple[Act, set[str]]] = {
    "purge the old": (
        lambda s: QueueRetention(s.database).purge_dispatches(
            before=NOON + MINUTE, most=0, pause=no_pause
        ),
        {
            "attempt by id (the first or last)",
            _UNRECORDED,
            _EVENT,
            "dispatch by dispatch_formed (created_at>? AND created_at<?)",
            "attempt by id (>? AND <?)",
            "dispatch by id (=?)",
            "dispatch_body by id (=?)",
            "attempt by attempt_of_dispatch (dispatch=?)",
            *_MEMBERS,
        },
    ),
    "purge what is too much": (
        lambda s: QueueRetention(s.database).purge_dispatches(before=None, most=1, pause=no_pause),
        {
            "attempt by id (the first or last)",
            _UNRECORDED,
            _EVENT,
            "attempt by id (>? AND <?)",
            "dispatch by id (=?)",
            "dispatch_body by id (=?)",
            "attempt by attempt_of_dispatch (dispatch=?)",
            *_MEMBERS,
        },
    ),
    "count what would go": (
        lambda s: QueueRetention(s.database).count_dispatches(before=NOON, most=1),
        {
            "attempt by id (the first or last)",
            "dispatch by dispatch_formed (created_at<?)",
            "attempt by id (<?)",
            "dispatch by id (=?)",
            "dispatch_body by id (=?)",
            "attempt by attempt_of_dispatch (dispatch=?)",
        },
    ),
    "who needs reports": (
        _reads(lambda c: NeededByEndpoints().holders(c, [1, 5])),
        {
            "replay_piece by key (replay=? AND position>?)",
            "report by id (=?)",
            "dispatch_report by key (report=?)",
            "dispatch by id (=?)",
            "dispatch_body by id (=?)",
            "held_report by key (endpoint=? AND report=?)",
        },
    ),
}

REPLAYS: dict[str, tuple[Act, set[str]]] = {
    "a list of replays": (lambda s: s.replays.all(), set()),
    "unfinished": (lambda s: s.replays.unfinished(), set()),
    "with_key": (lambda s: s.replays.with_key("once"), set()),
    "create": (_creates, {"report by id (the first or last)"}),
    "following": (
        lambda s: s.replays.following(s.first, 10),
        {"replay_piece by key (replay=? AND position>? AND position<?)"},
    ),
    "freed of a replay": (
        lambda s: s.replays.freed(s.first, 10),
        {
            "held_report by held_report_freed (replay=?)",
            f"{_HELD_BEFORE} AND report<?)",
        },
    ),
    "blocked at a replay": (_blocked_of_replay, {"report by id (=?)", *_ORDER}),
    "untried": (
        lambda s: s.replays.untried(1, {"acme": 4}),
        {"dispatch by dispatch_replay_untried (replay=? AND endpoint=?)"},
    ),
    "feed": (_feeds, {"report by id (=?)", *_ORDER}),
    "end": (
        lambda s: s.replays.end(s.first.id, "cancelled", NOON),
        {
            "held_report by key (endpoint=? AND report=? AND replay=?)",
            "dispatch by id (=?)",
            "held_report by held_report_replay (replay=?)",
            "dispatch by dispatch_replay_open (replay=? AND state=?)",
        },
    ),
    "finish": (
        lambda s: s.replays.finish(9, NOON),
        {
            "dispatch by dispatch_replay_open (replay=? AND state=?)",
            "held_report by held_report_replay (replay=?)",
        },
    ),
    "tidy": (
        lambda s: s.replays.tidy(s.first.id),
        {
            "held_report by held_report_replay (replay=?)",
            "held_report by key (endpoint=? AND report=? AND replay=?)",
            "dispatch by id (=?)",
            "replay_piece by key (replay=? AND position=?)",
            "replay_piece by key (replay=?)",
            "dispatch by dispatch_replay_open (replay=? AND state=?)",
        },
    ),
    "tidied": (lambda s: s.replays.tidied(1), set()),
    "select ids": (_selects(ids=(1, 2)), _PLACES),
    # Along the ids, a piece at a time.
    "select a state": (
        _selects(state="exhausted"),
        {"dispatch by dispatch_of_state (state=? AND >?)", *_MEMBERS, *_PLACES, *_UNFED},
    ),
    "select what waits for an endpoint": (
        _selects(endpoint="acme", state="waiting"),
        {
            "dispatch by dispatch_waiting (endpoint=? AND >?)",
            *_MEMBERS,
            *_PLACES,
            *_UNFED,
        },
    ),
    "select an endpoint": (
        _selects(endpoint="acme"),
        {"dispatch by dispatch_of_endpoint (endpoint=? AND >?)", *_MEMBERS, *_PLACES},
    ),
    "select what was acknowledged": (
        _selects(state="acknowledged"),
        {"dispatch by id (>?)", *_MEMBERS, *_PLACES, *_UNFED},
    ),
    "endpoints ever": (
        lambda s: SqliteSelector(s.database, s.store).endpoints_ever(),
        set(),
    ),
}

WINDOW = Window(NOON - MINUTE, NOON + MINUTE, "acme")

LOOKS: dict[str, tuple[Act, set[str]]] = {
    "depths": (
        lambda s: SqliteFigures(s.database).depths(),
        {
            "report by id (the first or last)",
            "report by id (>?)",
            "dispatch by dispatch_waiting (endpoint=?)",
        },
    ),
    "oldest waiting": (
        lambda s: SqliteFigures(s.database).oldest_waiting(["acme"], 20),
        {"dispatch by dispatch_waiting (endpoint=?)"},
    ),
    # No further than to the first that is held.
    "idle": (
        lambda s: SqliteFigures(s.database).idle(),
        {"report by id (the first or last)", "all of held_report by held_report_message"},
    ),
    "newest attempt": (lambda s: SqliteHistory(s.database).newest(), set()),
    "attempts after": (
        lambda s: SqliteHistory(s.database).after(1, 10),
        {"attempt by id (>?)", "dispatch by id (=?)"},
    ),
    "backlogs": (
        lambda s: SqliteFigures(s.database).backlogs(["acme"], NOON, 10),
        {
            "dispatch by dispatch_due (endpoint=?)",
            "dispatch by dispatch_due (endpoint=? AND due_at<?)",
        },
    ),
    "activity": (
        lambda s: SqliteActivity(s.database).activity("hour", NOON),
        {
            "attempt by id (>?)",
            "attempt by id (the first or last)",
            "attempt_tally by key (span=?)",
            "dispatch by id (=?)",
            "lateness_tally by key (span=?)",
            "report by id (=?)",
        },
    ),
    "unrouted": (
        lambda s: SqliteUnrouted(s.database).unrouted(["acme"], None, 10),
        {
            "report by id (the first or last)",
            "report by id (>? AND <?)",
            "dispatch_report by key (report=?)",
            "held_report by key (endpoint=? AND report=?)",
        },
    ),
    "span of a window": (
        lambda s: SqliteRecording(s.database).report_span(WINDOW),
        {"report by report_received (received_at>? AND received_at<?)"},
    ),
    "span of its dispatches": (
        lambda s: SqliteRecording(s.database).dispatch_span(WINDOW, 1, 9),
        {"dispatch_report by key (report>? AND report<?)", "dispatch by id (=?)"},
    ),
    "reports of a window": (
        lambda s: SqliteRecording(s.database).reports(WINDOW, 1, 9),
        {
            "report by id (>? AND <?)",
            "dispatch_report by key (report=?)",
            "dispatch by id (=?)",
        },
    ),
    "dispatches of a window": (
        lambda s: SqliteRecording(s.database).dispatches(WINDOW, 1, 9),
        {
            "dispatch by dispatch_of_endpoint (endpoint=? AND >? AND <?)",
            "attempt by attempt_of_dispatch (dispatch=?)",
            "report by id (=?)",
            "dispatch_report by key (report>? AND report<?)",
        },
    ),
    "endpoints": (lambda s: SqliteEndpoints(s.database).stored(), set()),
    "add an endpoint": (
        lambda s: s.registry.add(
            {"name": "gamma", "url": "http://new.example/"}, from_outside=False
        ),
        {"report by id (the first or last)"},
    ),
    "remove an endpoint": (
        lambda s: s.registry.remove("acme"),
        {
            "held_report by key (endpoint=? AND report=? AND replay=?)",
            "dispatch by id (=?)",
            "report by id (the first or last)",
            "dispatch by dispatch_waiting (endpoint=?)",
            "message_under_way by key (endpoint=?)",
            "held_report by held_report_message (endpoint=?)",
        },
    ),
    "hand an endpoint over": (
        lambda s: SqliteEndpoints(s.database).take_over("acme", BETA, lambda _: None, known=()),
        {
            "dispatch by dispatch_lease (lease_until>?)",
            "dispatch by dispatch_waiting (endpoint=?)",
            "dispatch by id (=?)",
            "held_report by held_report_message (endpoint=? AND source=? AND message_key=?)",
            "held_report by held_report_message (endpoint=?)",
            "message_under_way by key (endpoint=? AND source=? AND message_key=?)",
            "message_under_way by key (endpoint=?)",
            "report by id (>? AND <?)",
            "report by id (the first or last)",
        },
    ),
}

ASKED = QUEUE | RETENTION | REPLAYS | LOOKS


@pytest.mark.parametrize("name", ASKED)
async def test_how_it_is_found(story: Story, name: str) -> None:
    """Each statement takes the way that was meant for it."""
    act, expected = ASKED[name]

    assert await plan(story.database, act(story)) == expected


def test_nothing_goes_through_everything() -> None:
    """Of a table that grows, but one look that ends with the first row."""
    through_all = {
        name for name, (_, told) in ASKED.items() if any(each.startswith("all of") for each in told)
    }

    assert through_all == {"idle"}


# --- what the database does by itself ------------------------------------------------------------


def _inside(sql: str) -> list[str]:
    """The statements of a trigger, and its condition as one; what it is about are parameters."""
    head, _, body = sql.partition(" BEGIN\n")
    _, _, condition = head.partition("WHEN ")
    statements = [each.strip() for each in body.removesuffix("END").split(";") if each.strip()]
    asked = [*statements, *([f"SELECT 1 WHERE {condition}"] if condition else [])]
    return [re.sub(r"\b(new|old)\.\w+", "1", each) for each in asked]


async def test_what_follows_is_found_by_its_key(story: Story) -> None:
    """What follows from a change (consequences.py) costs the same, however much there is."""

    def all_steps(connection: sqlite3.Connection) -> set[str]:
        triggers = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger'"
            " AND tbl_name IN ('dispatch', 'held_report')"
        ).fetchall()
        return {
            found
            for (sql,) in triggers
            for each in _inside(sql)
            for found in steps(connection, each)
        }

    assert await story.database.read(all_steps) == {
        "dispatch by id (=?)",
        "message_under_way by message_under_way_dispatch (dispatch=?)",
        "held_report by held_report_message (endpoint=? AND source=? AND message_key=?)",
    }
