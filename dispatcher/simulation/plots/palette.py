"""The colours of dlr, by what they mean: plots of the simulator and pages take them from here.

The hues are those of Okabe and Ito, which people with any common colour blindness tell apart. None
of them speaks alone: where colours meet there is a dash or a hatch too, so that a print in black
and white says the same.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#1F2328"
"""Text and axes."""

FAINT = "#6E7781"
"""What is said beside: units, grids."""

PAPER = "#FFFFFF"


@dataclass(frozen=True, slots=True)
class Look:
    """A colour, and what tells it from the others without colour."""

    colour: str  # #RRGGBB
    dash: tuple[float, ...] = ()  # on, off … in widths of the line; empty: solid
    hatch: str = ""  # of areas: as matplotlib has it
    shade: str = "█"  # of areas in a terminal


ARRIVALS = Look("#4D4D4D", dash=(1, 1.5))
ACKNOWLEDGED = Look("#009E73")
FAILED = Look("#D55E00", hatch="/////", shade="▒")
BACKLOG = Look("#0072B2")
LOST = Look("#9B2226", dash=(5, 1.5, 1, 1.5), hatch="xxxx")
TROUBLE = Look("#E3E3E3", shade="░")

ONE_BY_ONE = (
    Look("#0072B2"),
    Look("#D55E00", dash=(5, 2)),
    Look("#009E73", dash=(1, 1.2)),
    Look("#7B3294", dash=(6, 1.5, 1, 1.5)),
    Look("#E69F00", dash=(8, 2, 2, 2, 2, 2)),
    Look("#000000", dash=(2, 2)),
    Look("#56B4E9", dash=(10, 3)),
    Look("#8C510A", dash=(1, 3)),
)
"""Of things that have no meaning of their own, such as the schedules of a comparison."""
