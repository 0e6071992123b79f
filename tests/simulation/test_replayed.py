"""Reports that really arrived, to arrive again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dispatcher.cli import cli
from dispatcher.simulation.arrivals import Arrivals
from dispatcher.simulation.cohort import simulate_cohort
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.replayed import replayed
from dispatcher.simulation.scenario import START, Scenario, read_scenario
from dispatcher.simulation.timeline import Timeline
from dispatcher.storage import storage
from receiver.settings.configuration import ConfigurationError
from tests.contracts.report_store import a_callback, an_sms

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
OFFSETS = [timedelta(0), timedelta(seconds=2.5), timedelta(minutes=90)]
"""When the reports of `a_database` arrived, after the first."""


async def a_database(file: Path) -> None:
    """With three reports: final, intermediate, final; they are not stored in order."""
    statuses = ["DELIVERED_TO_HANDSET", "PENDING_ENROUTE", "EXPIRED_EXPIRED"]
    async with storage(str(file)) as opened:
        for number in (1, 0, 2):
            sms = an_sms(f"m{number}", statuses[number], to="41793026727")
            await opened.store.add([a_callback(sms, at=AT + OFFSETS[number], source="platform")])


def a_scenario_of(file: Path, more: str = "") -> Scenario:
    scenario = file.parent / "scenario.toml"
    scenario.write_text(f'[arrivals]\nkind = "replayed"\nfile = "{file.name}"\n{more}')
    return read_scenario(scenario)


def test_reports_of_a_database_arrive_again(tmp_path: Path) -> None:
    """With the gaps between them, in the order of arrival, as they lie there."""
    asyncio.run(a_database(tmp_path / "dlr.db"))

    found = replayed(str(tmp_path / "dlr.db"))

    assert [callback.received_at - START for callback in found] == OFFSETS
    assert [callback.verdict.entries[0].final for callback in found] == [True, False, True]
    assert {callback.source for callback in found} == {"platform"}


async def two_tenants(file: Path) -> None:
    """A report of alpha's, the same of beta's, and nothing else."""
    async with storage(str(file)) as opened:
        for seconds, source in enumerate(("alpha", "beta")):
            at = AT + timedelta(seconds=seconds)
            await opened.store.add([a_callback(an_sms("m1"), at=at, source=source)])


@pytest.mark.parametrize("engine", [simulate_exact, simulate_cohort])
def test_the_same_report_of_two_sources_arrives_twice(
    engine: Callable[[Scenario], Timeline], tmp_path: Path
) -> None:
    """What two sources have reported alike is two reports in either engine, and in what
    `dlr reports` writes of it."""
    asyncio.run(two_tenants(tmp_path / "dlr.db"))
    words = ["reports", "--format", "ndjson", "--output", str(tmp_path / "reports.ndjson")]
    assert CliRunner().invoke(cli, [*words, "--database", str(tmp_path / "dlr.db")]).exit_code == 0

    for name in ("dlr.db", "reports.ndjson"):
        assert engine(a_scenario_of(tmp_path / name)).totals.reports == 2


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_dlr_reports_writes_can_be_replayed(form: str, tmp_path: Path) -> None:
    """The same reports as from the database: when, which, and what they say."""
    asyncio.run(a_database(tmp_path / "dlr.db"))
    words = ["reports", "--format", form, "--output", str(tmp_path / f"reports.{form}")]
    written = CliRunner().invoke(cli, [*words, "--database", str(tmp_path / "dlr.db")])
    assert written.exit_code == 0

    from_file = replayed(str(tmp_path / f"reports.{form}"))
    from_database = replayed(str(tmp_path / "dlr.db"))

    assert [each.received_at for each in from_file] == [each.received_at for each in from_database]
    assert [each.source for each in from_file] == [each.source for each in from_database]
    for one, other in zip(from_file, from_database, strict=True):
        assert one.verdict.entries[0].final == other.verdict.entries[0].final
        assert one.verdict.entries[0].message_key == other.verdict.entries[0].message_key
        assert one.verdict.entries[0].status_group == other.verdict.entries[0].status_group


def test_of_csv_a_column_is_enough(tmp_path: Path) -> None:
    """Any log that says when reports arrived can be played; blanks and the order do not matter."""
    file = tmp_path / "log.csv"
    file.write_text("receivedAt\n" + "2026-03-02T12:00:07Z\n2026-03-02 12:00:00\n" * 2)

    timeline = simulate_exact(a_scenario_of(file))

    assert timeline.totals.reports == 4
    assert Arrivals(a_scenario_of(file)).duration == timedelta(seconds=8)


def test_the_duration_cuts_what_is_replayed(tmp_path: Path) -> None:
    """The first hour of a file."""
    asyncio.run(a_database(tmp_path / "dlr.db"))

    scenario = a_scenario_of(tmp_path / "dlr.db", "")
    file = tmp_path / "scenario.toml"
    file.write_text('duration = "1h"\n' + file.read_text())

    assert simulate_exact(scenario).totals.reports == 3
    assert simulate_exact(read_scenario(file)).totals.reports == 2


def test_a_repeat_is_told_by_the_days_between(tmp_path: Path) -> None:
    """The exact engine stores ahead what comes later. A report that comes again the next day is a
    repeat all the same, and one that comes again after a week is a new one."""
    times = [AT, AT + timedelta(days=1), AT + timedelta(days=8), AT + timedelta(days=8, hours=1)]
    rows = ["receivedAt,messageId,status", *(f"{at.isoformat()},m1,DELIVERED" for at in times)]
    (tmp_path / "reports.csv").write_text("\n".join(rows))

    timeline = simulate_exact(a_scenario_of(tmp_path / "reports.csv"))

    assert (timeline.totals.reports, timeline.totals.acknowledged) == (2, 2)


def test_rules_of_the_endpoint_see_what_is_replayed(tmp_path: Path) -> None:
    """Two of the three are final."""
    asyncio.run(a_database(tmp_path / "dlr.db"))

    timeline = simulate_exact(a_scenario_of(tmp_path / "dlr.db", '[endpoint]\nreports = "final"'))

    assert timeline.totals.reports == timeline.totals.acknowledged == 2


def test_an_empty_file_is_a_quiet_day(tmp_path: Path) -> None:
    """No report, no attempt, and no error."""
    file = tmp_path / "reports.ndjson"
    file.write_text("")

    timeline = simulate_exact(a_scenario_of(file))

    assert (timeline.totals.reports, timeline.totals.attempts) == (0, 0)


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("r.csv", "id,messageId\n1,m1\n", ["line 1: expected a column receivedAt, got none"]),
        (
            "r.csv",
            "receivedAt\nyesterday\n2026-03-02T12:00:00Z\n\n7\n",
            [
                'line 2: receivedAt: expected an instant, got "yesterday"',
                'line 5: receivedAt: expected an instant, got "7"',
            ],
        ),
        (
            "r.ndjson",
            '{"receivedAt":"2026-03-02T12:00:00Z"}\nnothing\n'
            '{"receivedAt":"2026-03-02T12:00:00Z","report":{"smsCount":"many"}}\n',
            [
                "line 1: expected an object with receivedAt and report",
                "line 2: expected a JSON object: JSON is malformed: invalid character (byte 4)",
                'line 3: report.smsCount: expected an integer, got "many"',
            ],
        ),
        (
            "r.txt",
            "",
            ["expected a database or a capsule of dlr, or a file ending with .csv or .ndjson"],
        ),
        (
            "r.db",
            "SQLite format 3\0 and no more",
            ["expected a database of dlr: file is not a database"],
        ),
    ],
)
def test_what_cannot_be_replayed_is_told(
    name: str, text: str, faults: list[str], tmp_path: Path
) -> None:
    """By line, all of them."""
    file = tmp_path / name
    file.write_text(text)

    with pytest.raises(ConfigurationError) as raised:
        simulate_exact(a_scenario_of(file))

    assert [each.removeprefix(f"{file}: ") for each in raised.value.faults] == faults


def test_a_file_of_another_kind_is_not_told_line_by_line(tmp_path: Path) -> None:
    """After twenty faults their number is enough."""
    file = tmp_path / "r.ndjson"
    file.write_text("nothing\n" * 100)

    with pytest.raises(ConfigurationError) as raised:
        replayed(str(file))

    assert len(raised.value.faults) == 21
    assert raised.value.faults[-1] == f"{file}: and 80 more lines"
