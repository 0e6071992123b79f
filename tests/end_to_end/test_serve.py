"""`dlr serve` and its kin as an operator runs them: real processes, a file, sockets."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from receiver.dlr import json_format, xml_format
from receiver.dlr.model import Generation
from tests.docs.typed_lines import fault_of_dlr
from tests.end_to_end.processes import an_endpoint, configure, customer, dlr, eventually, running
from tests.receiver.payloads import BODIES, V2_JSON, a_json_body, an_item

MESSAGE = b"2033247207850523791"
ONE_STORED = {"stored": 1, "duplicates": 0, "quarantined": 0}


def a_body_of(message_id: str, body: bytes = V2_JSON) -> bytes:
    return body.replace(MESSAGE, message_id.encode())


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def the_dispatch(folder: Path) -> dict[str, Any]:
    """The only dispatch of the database in `folder`, read when no process has it open."""
    listed = await dlr(folder, "dispatches", "--format", "json")
    (view,) = json.loads(listed.out)
    found: dict[str, Any] = view
    return found


# --- in ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/notify", "/notify/sms"])
async def test_each_shape_is_stored_and_shown(tmp_path: Path, path: str) -> None:
    """JSON and XML, v2 and v3, are answered with their counts, and the API shows each report."""
    configure(tmp_path, '[[source]]\nname = "default"\n[[source]]\nname = "sms"\n')
    async with running(tmp_path, "serve") as server:
        for generation, form, body in BODIES:
            message_id = f"{generation}-{form}"

            answer = await server.post(a_body_of(message_id, body), form, path)

            assert answer == (200, ONE_STORED)
            _, message = await server.get(f"/api/messages/{message_id}")
            assert message["final"] is True
            assert message["status"]["name"] == "DELIVERED_TO_HANDSET"
            (report,) = message["reports"]
            assert (report["generation"], report["format"]) == (generation, form)
            assert report["source"] == ("sms" if path.endswith("sms") else "default")
            assert report["report"]["messageId"] == message_id
            assert report["report"]["doneAt"] == "2019-11-09T16:00:01.500+0100"
        assert len(await server.all("reports")) == len(BODIES)


async def test_one_report_in_four_shapes_is_stored_once(tmp_path: Path) -> None:
    """The same report in another format or generation is counted as a duplicate."""
    async with running(tmp_path, "serve") as server:
        answers = [await server.post(body, form) for _, form, body in BODIES]

        assert answers[0] == (200, ONE_STORED)
        assert answers[1:] == [(200, {"stored": 0, "duplicates": 1, "quarantined": 0})] * 3
        (report,) = await server.all("reports")
        assert report["duplicates"] == 3


async def test_an_unreadable_body_is_kept(tmp_path: Path) -> None:
    """A body that cannot be read is answered 400, and `dlr quarantine ID` gives its very bytes."""
    async with running(tmp_path, "serve") as server:
        status, answer = await server.post(V2_JSON[:90])

        assert (status, answer["error"]["code"]) == (400, "unreadable")
        (entry,) = json.loads((await dlr(tmp_path, "quarantine", "--format", "json")).out)
        kept = await dlr(tmp_path, "quarantine", str(entry["id"]))
        assert kept.out.encode() == V2_JSON[:90]


async def test_an_unknown_source_is_answered_404(tmp_path: Path) -> None:
    """A callback to a source that is not configured is refused, not stored under another name."""
    async with running(tmp_path, "serve") as server:
        status, answer = await server.post(V2_JSON, path="/notify/nobody")

        assert (status, answer["error"]["code"]) == (404, "unknown_source")
        assert await server.all("reports") == []


# --- reading back ------------------------------------------------------------------------------


async def test_the_lists_show_what_the_api_shows(tmp_path: Path) -> None:
    """`dlr reports` prints the reports of GET /api/reports in each format, while `serve` runs."""
    async with running(tmp_path, "serve") as server:
        for generation, form, body in BODIES:
            await server.post(a_body_of(f"{generation}-{form}", body), form)
        shown = await server.all("reports")

        as_json = json.loads((await dlr(tmp_path, "reports", "--format", "json")).out)
        lines = (await dlr(tmp_path, "reports", "--format", "ndjson")).out.splitlines()
        table = (await dlr(tmp_path, "reports")).out.splitlines()
        as_csv = (await dlr(tmp_path, "reports", "--format", "csv")).out

    ids = ["v3-xml", "v3-json", "v2-xml", "v2-json"]  # newest first
    assert [view["report"]["messageId"] for view in shown] == ids
    assert as_json == shown
    assert [json.loads(line) for line in lines] == shown
    rows = list(csv.DictReader(io.StringIO(as_csv, newline="")))
    assert [row["messageId"] for row in rows] == ids
    assert {row["status"] for row in rows} == {"DELIVERED_TO_HANDSET"}
    assert table[0].split()[:3] == ["id", "receivedAt", "messageId"]
    assert [line.split()[2] for line in table[1:]] == ids


async def test_the_lists_filter(tmp_path: Path) -> None:
    """`dlr reports` shows only what its filters ask for, and at most --limit rows."""
    pending = {"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE"}
    items = [an_item(messageId="sent", status=pending), an_item(messageId="done"), an_item()]
    async with running(tmp_path, "serve") as server:
        await server.post(a_json_body(*items))

    for words, expected in (
        (("--intermediate",), ["sent"]),
        (("--status-group", "pending"), ["sent"]),
        (("--final", "--limit", "1"), [MESSAGE.decode()]),
        (("--message-id", "done"), ["done"]),
    ):
        listed = await dlr(tmp_path, "reports", "--format", "json", *words)
        assert [view["report"]["messageId"] for view in json.loads(listed.out)] == expected


async def test_a_message_is_shown_with_its_history(tmp_path: Path) -> None:
    """`dlr messages` lists each message once, `dlr messages ID` its reports and dispatches."""
    pending = {"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE"}
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await server.post(a_json_body(an_item(messageId="m-1", status=pending)))
            await acme.came.reach(1)  # or both may go in one bucket
            await server.post(a_json_body(an_item(messageId="m-1")))
            await acme.came.reach(2)
            assert await server.stop() == 0

    (message,) = json.loads((await dlr(tmp_path, "messages", "--format", "json")).out)
    assert (message["messageId"], message["final"], len(message["reports"])) == ("m-1", True, 2)
    assert [each["state"] for each in message["dispatches"]] == ["acknowledged"] * 2
    shown = (await dlr(tmp_path, "messages", "m-1")).out
    for word in ("m-1 DELIVERED_TO_HANDSET (final)", "PENDING_ENROUTE", "acknowledged"):
        assert word in shown
    nothing = await dlr(tmp_path, "messages", "m-2")
    assert (nothing.code, nothing.err) == (1, "dlr: there is no report of a message 'm-2'\n")


# --- out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["v2", "v3"])
@pytest.mark.parametrize("form", ["json", "xml"])
async def test_a_report_is_pushed(tmp_path: Path, form: str, generation: Generation) -> None:
    """A stored report reaches the endpoint of the configuration file in the format asked for."""
    content_type = f"application/{form}"
    async with customer() as acme:
        configure(
            tmp_path,
            an_endpoint(f"{acme.url}/in", content_type=content_type, generation=generation),
        )
        async with running(tmp_path, "serve") as server:
            await server.post(V2_JSON)
            await acme.came.reach(1)

    (push,) = acme.pushes
    decode = xml_format.decode_body if form == "xml" else json_format.decode_body
    (pushed,) = decode(push.body)
    (received,) = json_format.decode_body(V2_JSON)
    assert (push.path, push.content_type, push.attempt) == ("/in", content_type, 1)
    assert getattr(pushed, "generation", None) == generation
    for name in ("message_id", "bulk_id", "to", "done_at", "status", "error", "callback_data"):
        assert getattr(pushed, name) == getattr(received, name)


async def test_retries_follow_the_schedule(tmp_path: Path) -> None:
    """An endpoint that is down is tried again after 1, 2, 5 and 10 minutes of the clock; the first
    try after it has come back acknowledges."""
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url))
        await acme.stop()
        async with running(tmp_path, "serve", "--speed", "300") as server:
            await server.post(V2_JSON)
            due = {}
            for number in range(1, 5):
                line = await server.err.find(rf" attempt={number} .* state=waiting due=(\S+)$")
                due[number] = instant(line[1])
            await acme.start()
            await server.err.find(r" attempt=5 .* state=acknowledged$")
            (view,) = await server.all("dispatches")
            history = (await server.history(view["id"]))["history"]

    started = {each["number"]: instant(each["startedAt"]) for each in history}
    waits = {number: due[number] - started[number] for number in due}
    assert waits == {
        number: timedelta(minutes=n) for number, n in {1: 1, 2: 2, 3: 5, 4: 10}.items()
    }
    for number in range(2, 6):
        assert started[number] >= due[number - 1]
    assert [each["outcome"] for each in history] == ["unreachable"] * 4 + ["acknowledged"]
    assert [(push.dispatch, push.attempt) for push in acme.pushes] == [(view["webhookId"], 5)]


async def test_a_kill_between_attempts_loses_nothing(tmp_path: Path) -> None:
    """After SIGKILL and a restart the retries go on where they were, with the same id and bytes."""
    async with customer(lambda _: 503) as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve", "--speed", "300") as server:
            await server.post(V2_JSON)
            await server.err.find(r" attempt=2 .* state=waiting")
            await server.kill()
        acme.answer = lambda _: 200
        async with running(tmp_path, "serve", "--speed", "300") as server:
            await server.err.find(r" state=acknowledged$")
            (view,) = await server.all("dispatches")
            history = (await server.history(view["id"]))["history"]
            (report,) = await server.all("reports")

    assert report["duplicates"] == 0
    assert [each["number"] for each in history] == list(range(1, len(history) + 1))
    assert [each["status"] for each in history] == [503] * (len(history) - 1) + [200]
    assert {(push.dispatch, push.body) for push in acme.pushes} == {
        (view["webhookId"], acme.pushes[0].body)
    }


# --- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_a_stop_lets_a_running_attempt_end(tmp_path: Path, by: signal.Signals) -> None:
    """Told to stop, it is not ready, records the running attempt, exits 0. Callbacks that come
    meanwhile are taken: they were refused for as long as a slow customer took, up to stop_timeout,
    though the listener still accepted connections and the store could be written."""
    async with customer() as acme:
        acme.may_answer.clear()
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            assert await server.get("/readyz") == (200, {"ready": True})
            await server.post(V2_JSON)
            await acme.came.reach(1)

            server.signal(by)
            await server.out.find("^stopping")
            ready = await server.get("/readyz")
            alive = await server.get("/healthz")
            taken = await server.post(a_body_of("late"))
            acme.may_answer.set()

            assert await server.ended() == 0
            assert (ready[0], ready[1]["error"]["code"]) == (503, "not_ready")
            assert "stopping" in ready[1]["error"]["message"]
            assert alive == (200, {"alive": True})
            assert taken == (200, {"stored": 1, "duplicates": 0, "quarantined": 0})
            assert "Traceback" not in server.err.text

    view = await the_dispatch(tmp_path)
    assert (view["state"], view["attempts"], view["reports"]) == ("acknowledged", 1, 1)
    async with running(tmp_path, "receive") as server:
        kept = {each["report"]["messageId"] for each in await server.all("reports")}
    assert kept == {MESSAGE.decode(), "late"}


@pytest.mark.parametrize("by", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
async def test_other_signals_do_not_kill(tmp_path: Path, by: signal.Signals) -> None:
    """`systemctl reload`, logrotate and others send SIGHUP or SIGUSR1. dlr was killed by it in the
    middle of its attempts: it says that it does not do what was meant, and goes on."""
    async with customer() as acme:
        acme.may_answer.clear()
        configure(tmp_path, an_endpoint(acme.url))
        async with running(tmp_path, "serve") as server:
            await server.post(V2_JSON)
            await acme.came.reach(1)

            server.signal(by)
            said = await server.err.find(f"{by.name} is ignored")
            acme.may_answer.set()

            assert "warning" in said.string
            assert await server.post(a_body_of("after")) == (200, ONE_STORED)
            await acme.came.reach(2)
            assert await server.stop() == 0
            assert "Traceback" not in server.err.text


async def test_a_terminal_that_is_closed_stops_in_order(tmp_path: Path) -> None:
    """Its SIGHUP wants the process to end, not to read anything again."""
    terminal, end = os.openpty()
    try:
        async with running(tmp_path, "serve", stdin=end) as server:
            server.signal(signal.SIGHUP)
            await server.out.find("^stopping")

            assert await server.ended() == 0
    finally:
        os.close(terminal)
        os.close(end)


async def test_a_stop_breaks_off_what_never_ends(tmp_path: Path) -> None:
    """An endpoint that never answers holds a stop up for stop_timeout, not for its own timeout;
    the lease is given back and the attempt does not count."""
    async with customer() as acme:
        acme.may_answer.clear()
        configure(
            tmp_path,
            '[server]\nstop_timeout = "500ms"\n' + an_endpoint(acme.url, read_timeout="90s"),
        )
        async with running(tmp_path, "serve") as server:
            await server.post(V2_JSON)
            await acme.came.reach(1)

            assert await server.stop(limit=20) == 0
            assert "Traceback" not in server.err.text

        view = await the_dispatch(tmp_path)
        assert (view["state"], view["attempts"]) == ("waiting", 0)
        assert instant(view["dueAt"]) <= datetime.now(UTC)
        acme.may_answer.set()
        async with running(tmp_path, "serve") as server:
            await server.err.find(r" attempt=1 .* state=acknowledged")
    assert [push.attempt for push in acme.pushes] == [1, 1]


# --- two processes -----------------------------------------------------------------------------


async def test_receive_and_dispatch_share_a_file(tmp_path: Path) -> None:
    """What `dlr receive` takes in, `dlr dispatch` pushes; each does only its own part."""
    async with customer() as acme:
        configure(tmp_path, an_endpoint(acme.url))
        async with (
            running(tmp_path, "receive", "--database", "both.db") as receiver,
            running(tmp_path, "dispatch", "--database", "both.db") as dispatcher,
        ):
            assert await receiver.post(V2_JSON) == (200, ONE_STORED)
            await dispatcher.err.find(" state=acknowledged$")
            assert (await dispatcher.post(V2_JSON))[0] == 404
            assert await dispatcher.all("reports") == await receiver.all("reports")
            (view,) = await receiver.all("dispatches")
            assert (view["state"], view["messageIds"]) == ("acknowledged", [MESSAGE.decode()])
            assert await receiver.stop() == 0
            assert await dispatcher.stop() == 0
    assert len(acme.pushes) == 1


# --- refusals ----------------------------------------------------------------------------------

BAD = """
[server]
port = "x"
bindd = "1"
[[endpoint]]
name = "a b"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("serve --bind 0.0.0.0", "server.bind: 0.0.0.0 can be reached by other machines"),
        ("serve --port 99999", "--port"),
        ("serve --port abc", "--port"),
        ("serve --speed nan", "--speed"),
        ("serve --speed 0", "--speed"),
        ("serve --database no/such/folder/dlr.db", "no/such/folder/dlr.db"),
        ("serve --config none.toml", "none.toml: there is no such file"),
        ("reports --database none.db", "there is no database at none.db"),
        ("reports --status-group LOST", "--status-group: expected ACCEPTED"),
        ("reports --nonsense", "--nonsense"),
        ("nonsense", "nonsense"),
        ("schedule nonsense", "nonsense"),
        ("endpoint --down-between 9s..1s", "expected a span such as"),
        ("endpoint --port 99999", "--port"),
    ],
)
async def test_wrong_usage_is_one_line(tmp_path: Path, words: str, expected: str) -> None:
    """Wrong usage or configuration ends with code 2 and one line that says what; no traceback."""
    ended = await dlr(tmp_path, *words.split(), limit=20)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("dlr: ")
    assert ended.err.count("\n") == 1
    assert expected in ended.err


async def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    """Each fault of the configuration has its line."""
    configure(tmp_path, BAD)

    for command in ("serve", "check", "reports", "migrate"):
        ended = await dlr(tmp_path, command)

        assert (ended.code, ended.out) == (2, "")
        places = [line.split(": ")[2] for line in ended.err.splitlines()]
        assert places == ["server.bindd", "server.port", "endpoint[0].name", "endpoint[0].url"]


async def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    """A port that is taken ends with code 2 and a line that names address and port."""
    async with running(tmp_path, "serve") as server:
        port = server.url.rpartition(":")[2]
        for command in ("serve", "listen"):
            ended = await dlr(tmp_path, command, "--port", port)

            assert (ended.code, ended.out) == (2, "")
            assert ended.err.startswith("dlr: ")
            assert ended.err.count("\n") == 1
            assert f"127.0.0.1:{port}" in ended.err
            assert "in use" in ended.err


@pytest.mark.parametrize("words", [["check", "--debug"], ["--debug", "check"]])
async def test_debug_shows_the_traceback(tmp_path: Path, words: list[str]) -> None:
    """With --debug, wherever it stands, an error is shown with its traceback."""
    ended = await dlr(tmp_path, *words, DLR_CONFIG="none.toml")

    assert ended.code != 0
    assert "Traceback" in ended.err
    assert "none.toml: there is no such file" in ended.err


# --- the other commands ------------------------------------------------------------------------


async def test_check_prints_what_is_in_effect(tmp_path: Path) -> None:
    """`dlr check` prints every effective value, with secrets only as set."""
    configure(
        tmp_path, an_endpoint("http://u:pass@acme.example/") + 'headers = { X-Key = "hidden" }\n'
    )

    ended = await dlr(tmp_path, "check", DLR_SERVER_PORT="9123")

    assert (ended.code, ended.err) == (0, "")
    assert "settings from dlr.toml: no fault" in ended.out
    assert "server.port = 9123" in ended.out
    assert "hidden" not in ended.out
    assert "pass" not in ended.out


async def test_erase_says_what_it_did(tmp_path: Path) -> None:
    """That there was nothing; what went, in whatever form the number is; what is left, and why."""
    configure(tmp_path, an_endpoint("http://127.0.0.1:9/"))
    async with running(tmp_path, "receive") as receiver:
        assert (await receiver.post(a_json_body(an_item(to="+41790000727"))))[0] == 200
        await receiver.stop()
    pulled = tmp_path / "dlr.db-pulled" / "default" / "0.json"

    nothing = await dlr(tmp_path, "erase", "--to", "+41 79 000 07 28")
    erased = await dlr(tmp_path, "erase", "--to", "0041 79 000 07 27")
    again = await dlr(tmp_path, "erase", "--to", "41790000727")
    pulled.parent.mkdir(parents=True)
    pulled.write_bytes(a_json_body(an_item(to="41790000727")))
    left = await dlr(tmp_path, "erase", "--to", "41790000727")

    assert (nothing.code, nothing.out) == (1, "nothing is stored of +41 79 000 07 28\n")
    assert (erased.code, erased.err) == (0, "")
    assert re.search(r"erased +1 report\n", erased.out)
    assert (again.code, again.out) == (1, "nothing is stored of 41790000727\n")
    assert left.code == 1
    assert left.err == (
        "dlr: left in dlr.db-pulled/default/0.json: not stored yet;"
        " `dlr reconcile --apply` stores it, then erase again\n"
    )


async def test_check_names_what_can_never_match(tmp_path: Path) -> None:
    """A rule that no report can match was "no fault" and nothing else. It is named, and stops
    nobody: a service whose start begins with `dlr check` still starts after an upgrade."""
    configure(tmp_path, an_endpoint("http://acme.example/") + 'to_prefixes = ["+4179", "079"]\n')

    ended = await dlr(tmp_path, "check")

    assert ended.code == 0
    assert "settings from dlr.toml: no fault" in ended.out
    assert ended.err == (
        "dlr: endpoint[0].to_prefixes[1]: can never match: numbers start with a country code,"
        " and no country code starts with 0, got 079\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("reports", "--to", "\udcff"),
        ("reports", "--bulk-id", "\udcff"),
        ("messages", "--source", "\udcff"),
        ("dispatches", "--endpoint", "\udcff"),
        ("erase", "--to", "\udcff"),
    ],
)
async def test_bytes_that_are_no_text(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A shell passes on bytes that are no UTF-8, in which no database can be asked."""
    await dlr(tmp_path, "migrate")

    ended = await dlr(tmp_path, *words)

    assert ended.code == 2
    assert re.search(r"expected text in UTF-8, got '.*udcff'", ended.err), ended.err
    assert "Unicode" not in ended.err


async def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    """`dlr migrate` names each step that it applies, and at a second run that there is none."""
    first = await dlr(tmp_path, "migrate", "--database", "m.db")
    second = await dlr(tmp_path, "migrate", "--database", "m.db")

    assert (first.code, second.code) == (0, 0)
    assert "m.db: applied receiver.store 0001" in first.out
    assert "m.db: applied dispatcher.queue 0001" in first.out
    assert second.out == "m.db: nothing to do\n"


async def test_the_schedule_ends_at_41_30(tmp_path: Path) -> None:
    """`dlr schedule` lists retries 0 to 19; the last one is 41:30 hours after the first attempt."""
    ended = await dlr(tmp_path, "schedule")

    rows = [line.split() for line in ended.out.splitlines()]
    retries = [row for row in rows if len(row) > 1 and row[0].isdigit() and ":" in row[-1]]
    assert [int(row[0]) for row in retries] == list(range(20))
    assert retries[0][-1] == "00:01"
    assert retries[-1][-1] == "41:30"


async def test_the_endpoint_fails_first(tmp_path: Path) -> None:
    """`dlr listen --fail-first 2` answers two pushes with 503 and prints what it gets."""
    async with running(tmp_path, "listen", "--fail-first", "2") as endpoint:
        statuses = [await endpoint.push(V2_JSON) for _ in range(3)]

        assert statuses == [503, 503, 200]
        await endpoint.out.find("push 3: .*answered 200")
        assert '"messageId":"2033247207850523791"' in endpoint.out.text.replace(" ", "")
        assert await endpoint.stop() == 0


async def test_the_endpoint_answers_a_status(tmp_path: Path) -> None:
    """`dlr listen --status 404 --delay 200ms` answers each push so, after that time."""
    async with running(tmp_path, "listen", "--status", "404", "--delay", "200ms") as endpoint:
        before = datetime.now(UTC)

        assert await endpoint.push(V2_JSON) == 404
        assert datetime.now(UTC) - before >= timedelta(milliseconds=200)


async def test_the_endpoint_is_down_for_a_while(tmp_path: Path) -> None:
    """`dlr listen --down-between` cuts connections in that span, and then recovers."""
    async with running(tmp_path, "listen", "--down-between", "0s..2s") as endpoint:
        assert await endpoint.push(V2_JSON) is None

        async def recovered() -> bool:
            return await endpoint.push(V2_JSON) == 200

        await eventually(recovered, "the endpoint answers 200")
        await endpoint.out.find(r"push 1: no dlr headers: cut the connection")


async def test_the_demo_tells_its_story(tmp_path: Path) -> None:
    """`dlr demo` ends by itself within a minute, with the counts of its story, and leaves nothing
    behind."""
    ended = await dlr(tmp_path, "demo", limit=60)

    assert (ended.code, ended.err) == (0, "")
    for text in (
        "stored 3 reports, recognised 1 duplicate, kept 1 unreadable body in quarantine",
        '200 {"stored":1,"duplicates":0,"quarantined":0}',
        '200 {"stored":0,"duplicates":1,"quarantined":0}',
    ):
        assert text in ended.out
    assert ended.out.count("\nacknowledged ") == 3
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - at once, in a test


# --- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_help_has_an_example_that_parses(name: str) -> None:
    """The help of each command ends in an example, and the command takes what it shows."""
    ended = CliRunner().invoke(cli, [name, "--help"], prog_name="dlr")

    assert ended.exit_code == 0
    # To the end of the paragraph: a long example is folded.
    example = re.search(rf"Example: dlr {name}\b((?:.+\n)*?.*)\n\n", ended.output)
    assert example is not None, ended.output
    words = shlex.split(example[1].partition(" > ")[0])
    assert fault_of_dlr([name, *words]) is None


def test_the_overview_names_every_command() -> None:
    """`dlr --help` lists each command with what it does, and says where to start."""
    ended = CliRunner().invoke(cli, ["--help"], prog_name="dlr")

    for name, command in cli.commands.items():
        assert re.search(rf"^  {name} +\S", ended.output, re.MULTILINE)
        assert command.get_short_help_str()
    assert "Start with `dlr demo`" in ended.output
