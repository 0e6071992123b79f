"""Lines that commands print. What came from outside cannot break them, colour them, or add one."""

from __future__ import annotations

import click

from receiver.shown import shown


def say(line: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(shown(line), err=err)
