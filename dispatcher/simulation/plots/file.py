"""A plot as a file: SVG, PNG, or a page that needs nothing beside itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from dispatcher.simulation.plots import palette
from dispatcher.simulation.plots.figure import can_draw, plain, saved, style
from receiver.settings.configuration import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMS = ("svg", "png", "html")


class Told(Struct, frozen=True):
    """What a page says in words: the story, what came of it, and a table."""

    title: str
    sentences: Sequence[str]
    rows: Sequence[Sequence[str]]


def check(path: Path) -> None:
    """That a plot can be written there: before the work, not after it. Raises
    ConfigurationError."""
    if form_of(path) not in FORMS:
        names = ", ".join(f".{form}" for form in FORMS)
        raise ConfigurationError([f"--plot: expected a file that ends with {names}, got {path}"])
    if not path.parent.is_dir():
        raise ConfigurationError([f"--plot: there is no directory {path.parent}"])
    if not can_draw():
        raise ConfigurationError(
            ["plots in files are drawn by matplotlib: pip install 'matplotlib>=3.11,<3.12'"]
        )


def form_of(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def write(path: Path, draw: Callable[[], Figure], told: Told) -> None:
    """Draw and write it. The same simulation gives the same bytes."""
    with style():
        form = form_of(path)
        drawn = saved(draw(), "svg" if form == "html" else form)
    path.write_bytes(page(told, drawn) if form == "html" else drawn)


def page(told: Told, svg: bytes) -> bytes:
    """The plot is an image of the page: nothing in it is ever run, whatever names it shows. It has
    the sentences; who cannot see it is read them."""
    title = escape(plain(told.title))
    rows = "".join(_row(row) for row in told.rows)
    image = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
       color: {palette.INK}; background: {palette.PAPER}; }}
h1 {{ font-size: 1.4rem; }}
img {{ width: 100%; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .15rem 1.5rem .15rem 0; text-align: left; vertical-align: top; }}
th {{ font-weight: normal; color: {palette.FAINT}; }}
</style>
</head>
<body>
<h1>{title}</h1>
<img src="{image}" alt="{escape(plain(" ".join(told.sentences) or told.title))}">
<table>
{rows}</table>
</body>
</html>
""".encode()


def _row(cells: Sequence[str]) -> str:
    first, *others = (escape(plain(cell)) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{c}</td>" for c in others)}</tr>\n'
