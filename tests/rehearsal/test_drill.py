"""The outage drill: real pushes through an outage, on a clock that runs 1,200 times as fast."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from aiohttp import web

from dispatcher.commands.drill_options import DOWN as NAMES
from dispatcher.rehearsal.bodies import Values
from dispatcher.rehearsal.drill.plan import (
    CannotDrill,
    Down,
    Drill,
    drill_of,
    eased,
    outage_scenario,
)
from dispatcher.rehearsal.drill.webhook import drill_webhook
from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.settings.settings import DispatchSettings
from tests.data.webhooks import wrong
from tests.data.webhooks.right_aiohttp import Item, Webhook
from tests.rehearsal.served import SMALL, a_target, listening

SPEED = 1_200.0
EACH_MINUTE = DispatchSettings(preset="custom", waits=(timedelta(minutes=1),) * 600)


def a_drill(down: Down = "refuse", **changes: Any) -> Drill:
    """Ten minutes down, a report a second: half a second of the world."""
    scenario = outage_scenario(timedelta(minutes=10), 1, down, SPEED)
    scenario = replace(scenario, schedule=changes.pop("schedule", EACH_MINUTE))
    return drill_of(scenario, SPEED, timedelta(milliseconds=200), **changes)


async def drilled(webhook: Webhook, drill: Drill, **options: Any) -> Rehearsed:
    async with listening(webhook) as base:
        return await drill_webhook(drill, a_target(base), **options)


def verdicts(run: Rehearsed) -> tuple[str, ...]:
    return tuple(result.verdict for result in run.results)


@pytest.mark.parametrize("down", get_args(Down))
async def test_nothing_is_lost_on_a_right_webhook(down: Down) -> None:
    """However it is down: all is acknowledged, once, as the simulator says."""
    run = await drilled(Webhook(), a_drill(down))

    assert verdicts(run) == ("passed", "passed"), [str(each) for each in run.results]
    assert run.drill is not None
    assert run.drill.simulated is not None
    simulated, rehearsed = run.drill.simulated.totals, run.drill.rehearsed.totals
    assert (rehearsed.reports, rehearsed.acknowledged) == (660, 660)
    assert (simulated.reports, simulated.acknowledged) == (660, 660)
    assert rehearsed.wasted > 0
    if down in ("slow", "half-open"):
        assert run.drill.seen_again > 0


async def test_a_seed_that_was_used_before() -> None:
    """A second drill with the same seed has reports of its own, in the app's own kind of values;
    those of the first would be counted twice."""
    values = Values(ids="numeric", callback_data="id={messageId}")
    async with listening(Webhook()) as base:
        target = a_target(base, seed=7, values=values)
        runs = [await drill_webhook(a_drill("refuse"), target) for _ in range(2)]

    assert [verdicts(run) for run in runs] == [("passed", "passed")] * 2, runs
    assert runs[0].note is None
    assert runs[1].note is not None
    assert "has seen seed 7 before" in runs[1].note


async def test_as_late_as_simulated() -> None:
    """Lateness is that of the simulator, to one retry and a second of the world."""
    speed, tolerance = 200.0, 60.0 + 200.0
    scenario = outage_scenario(timedelta(minutes=10), 1, "5xx", speed)
    scenario = replace(scenario, schedule=EACH_MINUTE)

    run = await drilled(Webhook(), drill_of(scenario, speed, timedelta(seconds=1)))

    assert run.drill is not None
    assert run.drill.simulated is not None
    simulated = run.drill.simulated.lateness.percentiles()
    rehearsed = run.drill.rehearsed.lateness.percentiles()
    assert simulated[99] > 2 * tolerance
    for percent, seconds in simulated.items():
        assert abs(rehearsed[percent] - seconds) <= tolerance, (simulated, rehearsed)


class CountsAgain(Webhook):
    """Counts a report each time it comes."""

    def take_one(self, item: Item) -> None:
        super().take_one(item)
        message = self.messages.get(item.get("messageId", ""))
        if message is not None:
            message["times"] = message.get("times", 0) + 1

    def told(self, message: Item) -> Item:
        return {**super().told(message), "reports": message["times"]}


class LosesOnRepeat(Webhook):
    """Takes back what it has when it comes once more."""

    def take_one(self, item: Item) -> None:
        known = self.messages.get(item.get("messageId", ""))
        if known is not None and self.key(item) in known["keys"]:
            del self.messages[item["messageId"]]
            return
        super().take_one(item)


@pytest.mark.parametrize(
    ("webhook", "down", "schedule", "said"),
    [
        (CountsAgain, "half-open", EACH_MINUTE, "times in the app, expected 1"),
        (LosesOnRepeat, "half-open", EACH_MINUTE, "messages are not in the app"),
        # Waits that grow, so that what came first comes last.
        (wrong.LastWins, "refuse", DispatchSettings(), "'PENDING_ENROUTE' in the app, expected"),
    ],
)
async def test_the_state_of_a_wrong_webhook(
    webhook: Callable[[], Webhook], down: Down, schedule: DispatchSettings, said: str
) -> None:
    """All is acknowledged, and the app holds something else: that fails."""
    run = await drilled(webhook(), a_drill(down, schedule=schedule))

    assert verdicts(run) == ("passed", "failed")
    assert said in run.results[1].text
    assert run.verdict == "failed"


async def test_an_app_that_refuses_repeats_loses_reports() -> None:
    """What got no second answer is exhausted, and named."""
    few = DispatchSettings(preset="custom", waits=(timedelta(minutes=1),) * 3)
    run = await drilled(wrong.ConflictOnDuplicate(), a_drill("half-open", schedule=few))

    assert run.results[0].verdict == "failed"
    assert run.drill is not None
    assert len(run.drill.exhausted) > 0
    assert run.drill.exhausted[0] in run.results[0].text
    assert run.drill.exhausted[0].startswith(f"rehearsal-{run.seed}-drill-")


class Dies(Webhook):
    """Closes its port when it has got a number of reports, and is never seen again."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    async def callback(self, request: web.Request) -> web.StreamResponse:
        if self._left <= 0:
            assert request.transport is not None
            request.transport.abort()
        self._left -= 1
        return await super().callback(request)


async def test_an_app_that_never_comes_back() -> None:
    """Everything after its end is exhausted, in the drill as the schedule has it."""
    few = DispatchSettings(preset="custom", waits=(timedelta(minutes=1),) * 3)
    run = await drilled(Dies(after=8), a_drill(schedule=few))

    assert run.results[0].verdict == "failed"
    assert run.drill is not None
    totals = run.drill.rehearsed.totals
    assert totals.exhausted > 0
    assert totals.acknowledged + totals.exhausted == totals.reports
    assert totals.waiting == 0


async def test_the_app_is_paused_by_commands(tmp_path: Path) -> None:
    """--pause-cmd and --resume-cmd stop the app itself, once each and in this order."""
    log = tmp_path / "log"
    webhook = Paused(log)
    drill = a_drill(pause=f"echo pause >> {log}", resume=f"echo resume >> {log}")

    run = await drilled(webhook, drill)

    assert log.read_text().split() == ["pause", "resume"]
    assert verdicts(run) == ("passed", "passed")
    assert run.drill is not None
    assert run.drill.rehearsed.totals.wasted > 0


class Paused(Webhook):
    """Answers 503 from the line `pause` in a file to the line `resume`."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def refused(self, request: web.Request) -> web.Response | None:
        said = self._log.read_text().split() if self._log.exists() else []
        return web.Response(status=503) if said[-1:] == ["pause"] else super().refused(request)


async def test_a_pause_that_fails(tmp_path: Path) -> None:
    """The text says what it printed, and the app is resumed all the same."""
    drill = a_drill(pause="echo no such app >&2; exit 3", resume=f"touch {tmp_path / 'resumed'}")

    with pytest.raises(CannotDrill, match="--pause-cmd: expected exit code 0, got 3: no such app"):
        await drilled(Webhook(), drill)

    assert (tmp_path / "resumed").exists()


async def test_broken_off_in_the_outage(tmp_path: Path) -> None:
    """Ctrl-C leaves what there is so far, and resumes the app."""
    down = asyncio.Event()
    drill = a_drill(pause="true", resume=f"touch {tmp_path / 'resumed'}")

    run = await drilled(
        Webhook(), drill, watch=lambda _: not down.is_set(), tell=lambda _: down.set()
    )

    assert verdicts(run) == ("not judged", "not judged")
    assert run.drill is not None
    assert run.drill.rehearsed.partial
    assert (tmp_path / "resumed").exists()


async def test_a_webhook_that_takes_nothing() -> None:
    """A webhook that takes no plain report has failed, and there is no drill."""
    run = await drilled(wrong.XmlOnly(), a_drill())

    assert (run.verdict, run.drill, run.results) == ("failed", None, ())


async def test_without_verify() -> None:
    """Nobody looked at the app, and the report says so."""
    async with listening(Webhook()) as base:
        run = await drill_webhook(a_drill(), a_target(base, verified=False))

    assert verdicts(run) == ("passed", "answered only")


@pytest.mark.parametrize(
    ("outage", "rate", "speed", "told"),
    [
        (timedelta(hours=30), 20, 600, "expected at most 500,000 reports, got 2,376,000 in 1d9h"),
        (timedelta(hours=3), 20, 6000, "at speed 6000 this means 120,202 reports per real second"),
        (timedelta(hours=3), 1, 1, "3h18m at speed 1 take longer than 2h: use --speed 2 or more"),
    ],
)
def test_more_than_is_possible(outage: timedelta, rate: float, speed: float, told: str) -> None:
    """Before anything is sent, with what would do."""
    with pytest.raises(CannotDrill) as refused:
        drill_of(outage_scenario(outage, rate, "refuse", speed), speed, SMALL.timeout)

    assert str(refused.value).startswith(told)


def test_the_suggested_speed_does() -> None:
    """A refusal names a speed that is possible."""
    outage = timedelta(hours=3)
    with pytest.raises(CannotDrill, match="--speed 990 or a lower rate"):
        drill_of(outage_scenario(outage, 20, "refuse", 6000), 6000, SMALL.timeout)

    drill_of(outage_scenario(outage, 20, "refuse", 990), 990, SMALL.timeout)


def test_a_slow_webhook_is_given_less() -> None:
    """What waits for its turn would time out, and a backlog would grow: the notes say so."""
    drill = drill_of(
        outage_scenario(timedelta(hours=3), 20, "stall", 600), 600, timedelta(seconds=10)
    )

    slow = eased(drill, 0.5)

    assert (drill.window, slow.window) == (300, 20)
    assert "--speed 200 or a lower rate" in slow.notes[-1]
    assert eased(drill, 0.005) == drill


def test_the_options_name_every_way() -> None:
    """The command's list, which is there without loading a drill, is that of the drill."""
    assert get_args(Down) == NAMES
