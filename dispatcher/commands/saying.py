"""Lines that commands print. What came from outside cannot break them, colour them, or add one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from receiver.shown import shown


def say_left_out(places: Sequence[str]) -> None:
    """Which settings of a capsule are not taken: a stranger's file decides nothing here."""
    say(f"left out of the capsule: {', '.join(places)}", err=True)


def say(line: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(shown(line), err=err)
