"""Where the results of simulations go: stdout, CSV and plot files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from dispatcher.commands.saying import say
from dispatcher.simulation.plots import file
from dispatcher.simulation.plots.file import Told
from receiver.settings.configuration import ConfigurationError
from receiver.shown import shown_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class SimulationOutput:
    """What was asked for. `opened`: the plot is shown, in a browser when no file is named."""

    as_json: bool = False
    csv: Path | None = None
    plot: Path | None = None
    opened: bool = False

    def check(self) -> None:
        """That files can be written: before the work, not after it. Raises ConfigurationError."""
        if self.csv is not None and not self.csv.parent.is_dir():
            raise ConfigurationError([f"--csv: there is no directory {self.csv.parent}"])
        if self.plot is not None:
            file.check(self.plot)
        elif self.opened:
            file.check(Path("plot.html"))

    def json(self, told: bytes) -> None:
        sys.stdout.buffer.write(shown_json(told.decode()).encode())
        sys.stdout.buffer.flush()

    def plotted(self, draw: Callable[[], Figure], told: Told) -> None:
        """Write and open the plot, if that is asked for."""
        path = self.plot
        if path is None:
            if not self.opened:
                return
            path = Path(mkdtemp(prefix="dlr-")) / "simulation.html"
        file.write(path, draw, told)
        say(f"wrote {path}", err=True)
        if self.opened:
            click.launch(str(path))


def write_csv(path: Path, rows: Iterable[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    say(f"wrote {path}", err=True)
