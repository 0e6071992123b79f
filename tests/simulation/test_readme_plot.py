"""The picture in the guide is that of today's simulator."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from dispatcher.cli import cli

SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"


def test_the_picture_of_the_readme_can_be_drawn_again(tmp_path: Path) -> None:
    """Byte by byte, by the command that the guide names."""
    scenario, drawn = SCENARIOS / "three-hour-outage.toml", tmp_path / "again.svg"

    done = CliRunner().invoke(cli, ["simulate", str(scenario), "--plot", str(drawn)])

    assert done.exit_code == 0, done.output
    assert drawn.read_bytes() == scenario.with_suffix(".svg").read_bytes()
