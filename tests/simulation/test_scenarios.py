"""The scenarios in config/scenarios: each can be read, and gives the answer its story tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.scenario import read_scenario
from tests.simulation.support import GALLERY, HOUR, MINUTE, of_the_gallery


@pytest.mark.parametrize("file", sorted(GALLERY.glob("*.toml")), ids=lambda file: file.stem)
def test_each_can_be_read_and_has_a_story(file: Path) -> None:
    """A sentence for the table, and comments for who reads the file."""
    assert read_scenario(file).story
    assert file.read_text().startswith("# ")


def test_three_hour_outage() -> None:
    """Nothing lost; who came as it began comes 213 minutes late, its tenth attempt."""
    found = of_the_gallery("three-hour-outage")

    assert (found.totals.exhausted, found.totals.waiting) == (0, 0)
    assert found.lateness.late == 270
    assert found.lateness.longest == pytest.approx(213 * MINUTE, abs=2)
    assert found.drained_at is not None
    assert found.drained_at - 12 * HOUR == pytest.approx(65 * MINUTE, abs=60)


def test_deploy_of_two_minutes() -> None:
    """Three minutes late at the most, two requests for one."""
    found = of_the_gallery("deploy-of-two-minutes")

    assert found.totals.exhausted == 0
    assert found.lateness.late == 240
    assert found.lateness.longest == pytest.approx(3 * MINUTE, abs=2)


def test_42_hours_down() -> None:
    """Lost is who came in the first half hour, one each 200 s; the last is saved at its 21st."""
    found = of_the_gallery("42-hours-down")

    assert found.totals.exhausted == 9
    assert found.lateness.longest == pytest.approx(41.5 * HOUR, abs=10)
    assert found.drained_at is not None
    assert found.drained_at - 44 * HOUR == pytest.approx(6 * HOUR, abs=5 * MINUTE)


def test_flapping_load_balancer() -> None:
    """Nothing lost, one request in seven for nothing."""
    found = of_the_gallery("flapping-load-balancer")

    assert found.totals.exhausted == 0
    assert found.totals.wasted / found.totals.attempts == pytest.approx(1 / 7, abs=0.02)


def test_rate_limited_customer() -> None:
    """Most requests are refused and most reports late; with a rate limit none."""
    without = of_the_gallery("rate-limited-customer")
    scenario = read_scenario(GALLERY / "rate-limited-customer.toml")
    limited = simulate_exact(replace(scenario, endpoint=replace(scenario.endpoint, rate_limit=1.0)))

    assert without.totals.wasted > 0.7 * without.totals.attempts
    assert without.lateness.longest > 3 * HOUR
    assert (limited.totals.wasted, limited.lateness.late) == (0, 0)
