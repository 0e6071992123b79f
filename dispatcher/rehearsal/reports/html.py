"""The run as one HTML file that loads nothing. Jinja escapes whatever the webhook said."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from dispatcher.rehearsal.rehearsed import Rehearsed
from dispatcher.simulation.plots import palette


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def render(run: Rehearsed) -> str:
    groups = list(dict.fromkeys(result.group for result in run.results))
    return _template().render(run=run, groups=groups, palette=palette)
