"""Pictures of simulations."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from matplotlib.image import imread
from rich.console import Console

from dispatcher.cli import cli
from dispatcher.simulation.comparison import Run
from dispatcher.simulation.exact import simulate_exact
from dispatcher.simulation.plots import (
    figure,
    file,
    of_comparison,
    of_sweep,
    of_timeline,
    palette,
    terminal,
)
from dispatcher.simulation.plots.file import Told
from dispatcher.simulation.sweep import read_sweep
from dispatcher.simulation.timeline import BACKLOG_GONE, Timeline
from receiver.settings.configuration import ConfigurationError
from tests.simulation.support import a_scenario, outage

HOSTILE = "<script>alert(1)</script> $x^2$ & \x07 \"quoted\" 'too'"

SCENARIO = """
story = "Ten minutes"
duration = "1h"
arrivals.per_second = 0.05
endpoint.bucket_size = 1
phase = [{at = "10m", lasts = "10m", behaves = "refuses"}]
"""


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return simulate_exact(a_scenario(arrivals={"per_second": 0.05}, phase=[outage("10m", "10m")]))


def svg(title: str, timeline: Timeline) -> bytes:
    with figure.style():
        return figure.saved(of_timeline.draw(title, timeline), "svg")


def texts(drawn: bytes) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(drawn).iter() if each.text]


def printed(timeline: Timeline, width: int = 100) -> list[str]:
    console = Console(width=width, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal.timeline_plot(timeline, width))
    return capture.get().splitlines()


def test_the_same_simulation_is_drawn_in_the_same_bytes(timeline: Timeline) -> None:
    """No date, no random ids."""
    assert svg("A story", timeline) == svg("A story", timeline)
    with figure.style():
        pngs = [figure.saved(of_timeline.draw("A", timeline), "png") for _ in range(2)]
    assert pngs[0] == pngs[1]


def test_the_picture_says_what_happened(timeline: Timeline) -> None:
    """Story, answer, what is drawn and what was the matter."""
    shown = " ".join(texts(svg("A story", timeline)))

    for text in ("A story", "30 of 180 reports were late", "arrived", "failed", "refuses"):
        assert text in shown
    assert "backlog gone" in shown
    assert BACKLOG_GONE in shown


def test_a_hostile_story_is_a_text_and_nothing_else(timeline: Timeline) -> None:
    """Neither markup nor formula, in the picture and in the page around it."""
    drawn = svg(HOSTILE, timeline)
    page = file.page(Told(HOSTILE, [HOSTILE], [(HOSTILE, HOSTILE)]), drawn).decode()

    assert any("<script>alert(1)</script> $x^2$ &" in text for text in texts(drawn))
    assert "<script" not in page
    seen = _Seen()
    seen.feed(page)
    assert "script" not in seen.tags
    assert not {name for name in seen.attributes if name.startswith("on")}


def test_a_page_needs_nothing_beside_itself(timeline: Timeline) -> None:
    """No address but those of the picture inside it."""
    page = file.page(Told("A story", [], []), svg("A story", timeline)).decode()

    assert re.findall(r'(?:src|href)="([^"]{0,20})', page) == ["data:image/svg+xml;b"]
    assert "default-src 'none'" in page


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("asked", [(), ("--compare", "svix,github"), ("--sweep", "outage=1m,9m")])
def test_each_kind_of_simulation_has_a_plot(asked: tuple[str, ...], tmp_path: Path) -> None:
    """Written where it is asked for, as what its name says."""
    (tmp_path / "s.toml").write_text(SCENARIO)

    for form, starts in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("html", b"<!DOCTYPE html>")):
        path = tmp_path / f"plot.{form}"
        words = ["simulate", str(tmp_path / "s.toml"), *asked, "--plot", str(path)]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        assert path.read_bytes().startswith(starts)


def test_what_is_drawn_over_each_other_differs_without_colour(timeline: Timeline) -> None:
    """Each line of a comparison has a dash of its own, failed requests and loss have a hatch."""
    dashes = [look.dash for look in palette.ONE_BY_ONE]
    assert len(set(dashes)) == len(dashes)
    assert palette.FAILED.hatch
    assert palette.LOST.hatch
    assert len({palette.ARRIVALS.dash, palette.ACKNOWLEDGED.dash, palette.LOST.dash}) == 3
    with figure.style():
        drawn = figure.saved(of_comparison.draw("A", [Run(n, timeline) for n in "ab"]), "svg")
    assert b"stroke-dasharray" in drawn


def test_an_outage_is_shaded_in_the_picture(timeline: Timeline) -> None:
    """In the middle of it, in the first rows, the paper is grey; beside it it is white."""
    with figure.style():
        image = imread(BytesIO(figure.saved(of_timeline.draw("", timeline), "png")))
    rows = image[: image.shape[0] // 6, :, :3]
    grey = [int(part, 16) / 255 for part in re.findall("..", palette.TROUBLE.colour[1:])]

    assert (abs(rows - grey).max(axis=2) < 0.01).sum() > 1_000


def test_a_sweep_over_words_has_places_for_them(timeline: Timeline) -> None:
    """They are no numbers."""
    sweep = read_sweep("schedule.preset=svix,infobip")
    with figure.style():
        drawn = of_sweep.draw("A", sweep, [Run(name, timeline) for name in sweep.texts])
        shown = texts(figure.saved(drawn, "svg"))

    assert {"svix", "infobip"} <= set(shown)


def test_the_terminal_shows_a_row_for_each_thing(timeline: Timeline) -> None:
    """Below each other, and the stretch of trouble under them."""
    lines = printed(timeline)
    named = [line.split()[0] for line in lines if line[:1].strip()]

    assert named[:5] == ["arrivals", "requests", "acknowledged", "waiting", "trouble"]
    trouble = next(line for line in lines if line.startswith("trouble"))
    columns = trouble[terminal.NAMES + terminal.NUMBERS + 1 :]
    assert len(columns) - len(columns.lstrip()) == pytest.approx(77 / 6, abs=1.5)
    assert "refuses" in columns


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_plot_in_a_terminal_keeps_to_its_width(timeline: Timeline, width: int) -> None:
    """Nothing is folded."""
    assert max(map(len, printed(timeline, width)[:-1])) <= max(width, 20 + 22)


def test_what_is_not_zero_is_seen() -> None:
    """A single lost report among millions."""
    assert terminal.blocks([0, 1, 8_000_000], 8_000_000, 1) == [" ▁█"]


def test_neighbours_are_gathered_and_few_are_spread() -> None:
    """As many values as columns."""
    assert terminal.gathered([1, 3, 5, 7], 2, max) == [3, 7]
    assert terminal.gathered([1, 2], 4, max) == [1, 1, 2, 2]


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another ending, no such directory, no library: each with what to do."""
    with pytest.raises(ConfigurationError, match=r"ends with \.svg, \.png, \.html"):
        file.check(tmp_path / "plot.pdf")
    with pytest.raises(ConfigurationError, match="there is no directory"):
        file.check(tmp_path / "none" / "plot.svg")
    monkeypatch.setattr(file, "can_draw", lambda: False)
    with pytest.raises(ConfigurationError, match=r"pip install 'matplotlib>=3\.11,<3\.12'"):
        file.check(tmp_path / "plot.svg")
