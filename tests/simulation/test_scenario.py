"""The format of scenarios: what may be said, and what is told when it cannot be used."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatcher.retrying.presets import PRESETS
from dispatcher.simulation.scenario import Phase, Scenario, bin_width, read_scenario, troubles
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import a_scenario, outage

HOUR = timedelta(hours=1)


def faults_of(text: str, folder: Path) -> list[str]:
    """What is told of a file with this text, without the file's name."""
    file = folder / "scenario.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_scenario(file)
    return [fault.removeprefix(f"{file}: ") for fault in raised.value.faults]


def test_the_smallest_scenario_is_a_duration(tmp_path: Path) -> None:
    """One report a second, an endpoint that is up, the schedule of the platform."""
    file = tmp_path / "scenario.toml"
    file.write_text('duration = "1h"')

    scenario = read_scenario(file)

    assert scenario.arrivals.per_second == 1
    assert scenario.retry_schedule == PRESETS["infobip"]
    assert troubles(scenario.phase) == []


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Each with its place, what was expected and what came."""
    assert faults_of(
        """
        sed = 3
        duration = "soon"
        [arrivals]
        kind = "bursts"
        burst_every = "1m"
        burst_lasts = "2m"
        [[phase]]
        behaves = "refuse"
        [[phase]]
        behaves = "answers"
        per_second = 4
        [[phase]]
        behaves = "stalls"
        latency = "3s"
        every = "1m"
        [endpoint]
        window = 0
        [schedule]
        preset = "infobib"
        """,
        tmp_path,
    ) == [
        'sed: there is no such setting; did you mean "seed"?',
        'duration: expected a duration from 1s to 366d, such as "10s", got "soon"',
        'arrivals.burst_per_second: is needed with kind = "bursts"',
        "arrivals.burst_lasts: expected no more than burst_every: bursts do not overlap",
        'phase[0].behaves: expected "up", "answers", "refuses", "drops", "stalls", "half-open",'
        ' "breaks-off", "bad-certificate", "limits" or "slows", got "refuse"',
        'phase[1].status: is needed with behaves = "answers"',
        'phase[1].per_second: is only used with behaves = "limits" or "slows"',
        "phase[2].each_time: belongs with every: give both or none",
        'phase[2].latency: is not read with behaves = "stalls": the timeouts tell',
        "endpoint.window: expected an integer from 1 to 10000, got 0",
        'schedule.preset: expected "custom" or a name of `dlr schedule --list`, got "infobib"',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'duration: is needed with arrivals.kind = "constant"'),
        (
            "duration = 60",
            'duration: expected a duration from 1s to 366d, such as "10s", got 60',
        ),
        (
            'duration = "1h"\nuntil = "2h"\n[[phase]]\nbehaves = "refuses"\nat = "3h"',
            "phase[0].at: expected a time before the scenario's end, 2h, got 3h",
        ),
        (
            'duration = "1h"\n[[phase]]\nbehaves = "refuses"\nat = "2h"',
            "phase[0].at: expected a time before the last arrival, after which nothing waits, 1h,"
            " got 2h",
        ),
        (
            'duration = "1h"\n[endpoint]\nreports = "none"',
            'endpoint.reports: expected an endpoint that takes reports, got "none"',
        ),
        (
            'duration = "1h"\n[arrivals]\nfile = "reports.csv"',
            'arrivals.file: is only used with kind = "replayed", not "constant"',
        ),
        (
            '[arrivals]\nkind = "replayed"\nfile = "reports.csv"\nper_second = 3',
            'arrivals.per_second: is not read with kind = "replayed": the file tells',
        ),
        (
            'duration = "1h"\n[arrivals]\nkind = "daily"\nhours = [1, 2]',
            "arrivals.hours: expected 24 weights that are not all 0, got 2",
        ),
        (
            'duration = "1h"\n[[phase]]\nbehaves = "up"\nlatency_p99 = "1s"',
            "phase[0].latency_p99: expected at least latency, the median, which must be above 0s",
        ),
        (
            'duration = "1h"\n[[phase]]\nbehaves = "refuses"\nevery = "1m"\neach_time = "1m"',
            "phase[0].each_time: expected less than every: it would never pause",
        ),
        (
            'duration = "1h"\n[[phase]]\nbehaves = "refuses"\nstatus = 503',
            'phase[0].status: is only used with behaves = "answers" or "limits"',
        ),
        (
            'duration = "1h"\n[schedule]\nfirst = "1s"',
            'schedule.first: is only used with preset = "custom", not "infobip"',
        ),
    ],
)
def test_a_fault_names_its_place(text: str, fault: str, tmp_path: Path) -> None:
    """What does not fit together is told where it stands."""
    assert faults_of(text, tmp_path) == [fault]


def test_a_file_of_reports_is_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    """Wherever the command is typed."""
    (fault,) = faults_of('[arrivals]\nkind = "replayed"\nfile = "reports.csv"', tmp_path)
    assert fault == f"arrivals.file: there is no file {tmp_path / 'reports.csv'}"

    (tmp_path / "reports.csv").write_text("receivedAt\n")
    found = read_scenario(tmp_path / "scenario.toml")
    assert found.arrivals.file == str(tmp_path / "reports.csv")


def test_a_phase_holds_from_its_start_up_to_its_end() -> None:
    """The start belongs to it, the end does not; without an end it goes on."""
    phase = Phase("refuses", at=HOUR, lasts=HOUR)
    tick = timedelta(microseconds=1)

    assert [phase.holds_at(at) for at in (HOUR - tick, HOUR, 2 * HOUR - tick, 2 * HOUR)] == [
        *(False, True),
        *(True, False),
    ]
    assert Phase("refuses", at=HOUR).holds_at(1000 * HOUR)


def test_a_phase_can_come_and_go() -> None:
    """For the first 20 s of each minute, counted from its own start."""
    second = timedelta(seconds=1)
    phase = Phase("refuses", at=30 * second, every=60 * second, each_time=20 * second)

    holds = [at for at in range(0, 180, 10) if phase.holds_at(at * second)]

    assert holds == [30, 40, 90, 100, 150, 160]


def test_troubles_are_what_can_be_seen_of_the_phases() -> None:
    """Later phases hide earlier ones; an endpoint that is up and prompt is no trouble."""
    scenario = a_scenario(
        phase=[
            {"behaves": "up", "latency": "50ms"},
            outage("1h", "4h"),
            outage("2h", "1h", "up"),
            outage("4h", "2h", "answers", status=503, share=0.5),
            {"at": "8h", "behaves": "slows", "per_second": 3},
        ]
    )

    assert troubles(scenario.phase) == [
        (1 * HOUR, 2 * HOUR, "refuses"),
        (3 * HOUR, 4 * HOUR, "refuses"),
        (4 * HOUR, 5 * HOUR, "answers 503 50%, otherwise refuses"),
        (5 * HOUR, 6 * HOUR, "answers 503 50%"),
        (8 * HOUR, None, "handles 3/s"),
    ]


def test_bins_are_round_and_at_most_a_thousand() -> None:
    """For the arrivals and a whole schedule after them; or as the scenario says."""
    assert bin_width(a_scenario(), HOUR) == timedelta(minutes=5)  # 42:30 h
    assert bin_width(a_scenario(until="15m"), HOUR) == timedelta(seconds=1)
    assert bin_width(a_scenario(bin="7s"), HOUR) == timedelta(seconds=7)
    assert bin_width(a_scenario(), 365 * 24 * HOUR) == timedelta(days=1)


def test_the_endpoint_can_have_a_schedule_of_its_own() -> None:
    """As in config/dlr.toml, whose words these are."""
    scenario: Scenario = a_scenario(endpoint={"schedule": "svix"})

    assert scenario.retry_schedule == PRESETS["svix"]


def test_a_phase_after_the_arrivals_is_met_by_retries() -> None:
    """Where an outage leaves something waiting, what the endpoint does later matters."""
    said = [{"behaves": "refuses"}, {"behaves": "up", "at": "2h"}]

    assert a_scenario(duration="1h", phase=said).phase[1].behaves == "up"
