"""A window of the store as one file, and what can be done with it."""

from __future__ import annotations

import asyncio
import gzip
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec import json

from dispatcher.capsule import capture
from dispatcher.capsule.capsule import Capsule, SharedDispatch, SharedReport, read_capsule
from dispatcher.cli import cli
from dispatcher.clocks.clock import VirtualClock
from dispatcher.endpoints.from_settings import endpoint_of
from dispatcher.endpoints.registry import Registry
from dispatcher.retrying.outcome import Answer, Outcome
from dispatcher.retrying.schedule import INFOBIP
from dispatcher.settings.settings import EndpointSettings
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.recalled import scenario_of
from dispatcher.simulation.replayed import replayed
from dispatcher.storage import storage
from dispatcher.worker import Worker
from receiver.settings.configuration import ConfigurationError
from receiver.settings.reader import read_table
from tests.contracts.report_store import a_callback, an_sms

AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
DOWN_UNTIL = AT + timedelta(minutes=5)

SECRETS = (
    "41793026727",
    "41793026834",
    "InfoSMS",
    "BULK-4711",
    "message-0",
    "message-1",
    "order of Mrs Miller",
    "a text that nobody knows",
    "a description of ours",
    "acme-bank",
    "customer.example",
    "top-secret",
    "0.0123",
)
ENDPOINT = {
    "name": "acme-bank",
    "url": "https://user:top-secret@customer.example/dlr",
    "headers": {"X-Key": "top-secret"},
    "senders": ["InfoSMS"],
    "bucket_size": 1,
    "window": 100,
    "read_timeout": "5s",
}


class Customer:
    """Implements Sender: refuses connections until DOWN_UNTIL."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def send(self, *_: Any) -> Answer:
        if self._clock.now() < DOWN_UNTIL:
            failed = "connection to customer.example refused"
            return Answer(3.0, failure=Outcome.UNREACHABLE, error=failed)
        return Answer(20.0, status=200, body=b"top-secret")


def an_item(number: int) -> dict[str, Any]:
    item = an_sms(f"message-{number}", to=("41793026727", "41793026834")[number % 2])
    item |= {"bulkId": "BULK-4711", "from": "InfoSMS", "callbackData": "order of Mrs Miller"}
    item |= {"comment": "a text that nobody knows", "price": {"pricePerMessage": 0.0123}}
    item["status"]["description"] = "a description of ours"
    return item


async def happened(file: Path) -> None:
    """A report each minute from 13:58 to 14:09, to a customer who is down from 14:00 to 14:05."""
    settings = read_table(EndpointSettings, ENDPOINT)
    async with storage(str(file)) as opened:
        await Registry(opened.endpoints, []).add(ENDPOINT, from_outside=False)
        clock = VirtualClock(AT - timedelta(minutes=2))
        endpoint = endpoint_of(settings)
        await opened.queue.adopt([endpoint])
        worker = Worker(
            outbox=opened.store,
            queue=opened.queue,
            sender=Customer(clock),
            clock=clock,
            endpoints=[endpoint],
            schedule=INFOBIP,
            new_token=iter(map(str, range(10_000))).__next__,
        )
        for minute in range(12 + 30):
            if minute < 12:
                await opened.store.add([a_callback(an_item(minute), at=clock.now())])
            for _ in range(4):  # retries and new reports are claimed in turns
                await worker.tick()
            clock.advance_to(clock.now() + timedelta(minutes=1))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "dlr.db"
    asyncio.run(happened(file))
    return file


def captured(database: Path, *words: str, to: str = "14:10") -> tuple[Result, Path]:
    file = database.parent / "out.capsule"
    window = ["--since", "2026-03-02T14:00:00Z", "--until", f"2026-03-02T{to}:00Z"]
    done = CliRunner().invoke(
        cli, ["capture", *window, "-o", str(file), "--database", str(database), *words]
    )
    return done, file


@pytest.fixture(scope="module")
def capsule(database: Path) -> Capsule:
    done, file = captured(database)
    assert done.exit_code == 0, done.output
    return read_capsule(file)


def test_it_has_the_window_and_what_became_of_it(capsule: Capsule) -> None:
    """Ten of the twelve reports; the attempts of their dispatches, also those after the window."""
    lines = list(capsule.lines())
    reports = [line for line in lines if isinstance(line, SharedReport)]
    dispatches = [line for line in lines if isinstance(line, SharedDispatch)]

    assert [report.received_at for report in reports] == [
        AT + timedelta(minutes=minute) for minute in range(10)
    ]
    assert [len(each.attempts) for each in dispatches] == [4, 4, 3, 3, 2, 1, 1, 1, 1, 1]
    assert [each.outcome for each in dispatches[4].attempts] == ["unreachable", "acknowledged"]
    assert {each.state for each in dispatches} == {"acknowledged"}


def test_nothing_of_anybody_is_in_its_bytes(capsule: Capsule) -> None:
    """No number, id, sender, callbackData, text, price, name, host or secret; the key neither."""
    told = gzip.decompress(capsule.path.read_bytes()).decode()

    for secret in SECRETS:
        assert secret not in told


def test_the_same_has_the_same_name(capsule: Capsule) -> None:
    """Two numbers stay two, in the country and the length they had."""
    items = [report.report for report in capsule.reports()]

    assert len({item["to"] for item in items}) == 2
    assert [item["to"] for item in items[::2]] == [items[0]["to"]] * 5
    assert {(item["to"][:2], len(item["to"])) for item in items} == {("41", 11)}
    assert len({item["messageId"] for item in items}) == 10
    assert len({item["bulkId"] for item in items}) == 1


def test_the_settings_that_matter_are_in_it(capsule: Capsule) -> None:
    """Window, bucket, timeouts and schedule, and no others."""
    assert capsule.heading.endpoint == {"bucket_size": 1, "window": 100, "read_timeout": "5s"}
    assert capsule.heading.schedule == {}


def test_it_can_be_simulated_and_gives_whathappened(capsule: Capsule) -> None:
    """The same attempts: 21, of which 11 failed."""
    timeline = simulate_exact(scenario_of(capsule))

    assert timeline.totals.reports == 10
    assert (timeline.totals.attempts, timeline.totals.wasted) == (21, 11)
    assert timeline.totals.acknowledged == 10
    done = CliRunner().invoke(cli, ["simulate", str(capsule.path)])
    assert done.exit_code == 0, done.output
    assert "5 of 10 reports were late" in done.output


def test_a_scenario_can_have_its_reports(capsule: Capsule) -> None:
    """As arrivals, like a database or an export."""
    callbacks = replayed(str(capsule.path))

    assert len(callbacks) == 10
    assert callbacks[1].received_at - callbacks[0].received_at == timedelta(minutes=1)
    assert all(entry.final for each in callbacks for entry in each.verdict.entries)


async def posted_to(file: Path, *sources: str) -> None:
    """A report a minute; the first two are of one message."""
    async with storage(str(file)) as opened:
        for minute, source in enumerate(sources):
            at = AT + timedelta(minutes=minute)
            await opened.store.add([a_callback(an_item(minute // 2), at=at, source=source)])


def test_sources_stay_apart(tmp_path: Path) -> None:
    """What two sources reported alike is two reports wherever the capsule is played, under other
    names; a capsule that does not tell sources apart is of one source."""
    asyncio.run(posted_to(tmp_path / "dlr.db", "alpha-bank", "beta-bank", "alpha-bank"))

    done, written = captured(tmp_path / "dlr.db")
    assert done.exit_code == 0, done.output
    first, second, third = replayed(str(written))

    told = gzip.decompress(written.read_bytes())
    assert b"-bank" not in told
    assert first.source == third.source != second.source
    assert first.verdict.entries[0].identity == second.verdict.entries[0].identity
    assert simulate_exact(scenario_of(read_capsule(written))).totals.reports == 3
    older = tmp_path / "older.capsule"
    older.write_bytes(gzip.compress(re.sub(rb',"source":"[^"]*"', b"", told)))
    assert [each.source for each in replayed(str(older))] == ["default"] * 3


def test_a_file_that_was_cut_is_refused(capsule: Capsule, tmp_path: Path) -> None:
    """In its bytes, in its lines, or without its end."""
    whole = capsule.path.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    for number, cut in enumerate(
        (
            whole[:-20],
            gzip.compress(b"".join(lines[:-1])),
            gzip.compress(b"".join(lines[:3] + lines[4:])),
        )
    ):
        file = tmp_path / f"{number}.capsule"
        file.write_bytes(cut)
        with pytest.raises(ConfigurationError):
            list(read_capsule(file).lines())


def test_another_version_is_refused(tmp_path: Path) -> None:
    """With both."""
    file = tmp_path / "new.capsule"
    file.write_bytes(gzip.compress(b'{"capsule":2}\n'))

    with pytest.raises(ConfigurationError, match="expected a capsule of version 1, got version 2"):
        read_capsule(file)


def test_a_line_that_is_none_of_ours_is_told_in_our_words(tmp_path: Path) -> None:
    """With its number and, within it, the place."""
    heading = b'{"capsule":1,"from":"2026-11-21T10:00:00Z","to":"2026-11-21T11:00:00Z"}\n'
    file = tmp_path / "odd.capsule"
    file.write_bytes(gzip.compress(heading + b'{"receivedAt":"x","format":"json","report":{}}\n'))

    with pytest.raises(ConfigurationError, match="line 2: receivedAt: expected an instant such as"):
        list(read_capsule(file).lines())

    file.write_bytes(gzip.compress(b'{"capsule":1,"from":3}\n'))
    with pytest.raises(ConfigurationError, match="`dlr capture`: from: expected an instant such"):
        read_capsule(file)


def test_which_endpoint_is_asked_when_there_are_several(database: Path) -> None:
    """And one that is not there is told with those that are."""
    done, _ = captured(database, "--endpoint", "other")

    assert "There are: acme-bank" in done.output


def test_a_window_without_length_is_refused(database: Path) -> None:
    """With both ends."""
    done, _ = captured(database, to="14:00")

    assert done.exit_code == 2
    assert "--until: expected a time after the beginning" in done.output


def test_the_first_report_of_an_outage_meets_it(tmp_path: Path) -> None:
    """Three reports were refused, each some milliseconds after it had come. Played, they were
    pushed at the instant they came, before anything was refused: two were acknowledged at once."""
    lines = [{"capsule": 1, "from": AT, "to": AT + timedelta(hours=1)}]
    for number in range(3):
        at = AT + timedelta(milliseconds=18 * number)
        report = {"messageId": str(number), "to": "41793026727"}
        lines.append({"receivedAt": at, "format": "json", "report": report})
    for number in range(3):
        at = AT + timedelta(milliseconds=18 * number + 22)
        tried = {"startedAt": at, "durationMs": 1.5, "outcome": "unreachable", "status": None}
        lines.append({"createdAt": at, "reports": 1, "state": "waiting", "attempts": [tried]})
    file = tmp_path / "outage.capsule"
    ended = {"end": True, "reports": 3, "dispatches": 3}
    file.write_bytes(gzip.compress(b"".join(json.encode(each) + b"\n" for each in (*lines, ended))))

    assert simulate_exact(scenario_of(read_capsule(file))).totals.exhausted == 3


def test_memory_is_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the reports take no more than a piece of them."""
    monkeypatch.setattr(capture, "PIECE", 500)
    peaks = []
    for reports in (2_000, 8_000):
        file = tmp_path / f"{reports}.db"
        asyncio.run(_many(file, reports))
        tracemalloc.start()
        done, _ = captured(file, to="15:00")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert f"wrote {reports:,} reports" in done.output

    assert peaks[1] < 1.3 * peaks[0]


async def _many(file: Path, reports: int) -> None:
    async with storage(str(file)) as opened:
        for first in range(0, reports, 1_000):
            items = [an_item(number) for number in range(first, first + 1_000)]
            await opened.store.add([a_callback(*items, at=AT + timedelta(minutes=1))])
