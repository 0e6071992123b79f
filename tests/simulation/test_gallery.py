"""The scenarios in config/scenarios: each has its answer written in it, and that is the answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispatcher.simulation.answer import answer
from dispatcher.simulation.scenario import read_scenario
from tests.simulation.support import GALLERY, of_the_gallery

FILES = sorted(GALLERY.glob("*.toml"))
GUIDE = Path(__file__).parents[2] / "dispatcher" / "simulation" / "SIMULATE.md"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_answer_written_in_a_scenario_is_the_one_it_gives(file: Path) -> None:
    """Word by word, below `# The answer:`."""
    assert answer_in(file) == answer(of_the_gallery(file.stem))


def test_there_are_ten_stories_at_least() -> None:
    """Each told in comments before the first setting."""
    assert len(FILES) >= 10
    for file in FILES:
        comment = file.read_text().split("\nstory = ")[0]
        assert len(comment.splitlines()) >= 4, file


def test_the_table_has_each_scenario_with_its_story() -> None:
    """dispatcher/simulation/SIMULATE.md names all files, and none that is not there; with the first
    sentence of the answer."""
    rows = re.findall(r"^\| `(\S+)\.toml` \| (.*?) \| (.*?) \|$", GUIDE.read_text(), re.MULTILINE)

    assert rows == [(file.stem, read_scenario(file).story, answer_in(file)[0]) for file in FILES]


def answer_in(file: Path) -> list[str]:
    written = file.read_text().split("# The answer:\n")[1]
    return re.findall(r"^# (.*)$", written, re.MULTILINE)
