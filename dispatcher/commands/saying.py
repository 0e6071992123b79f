"""Lines that commands print. What came from outside cannot break them, colour them, or add one."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click

from receiver.shown import shown


def say_left_out(places: Sequence[str]) -> None:
    """Which settings of a capsule are not taken: a stranger's file decides nothing here."""
    say(f"left out of the capsule: {', '.join(places)}", err=True)


def say(line: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(_as_json(line, err) if _in_json else shown(line), err=err)


_in_json = False


def say_in_json() -> None:
    """From now on, each line of this process is a JSON object, like those of its log."""
    global _in_json
    _in_json = True


def _as_json(line: str, err: bool) -> str:
    from dispatcher.observe.logs import json_line

    text = " ".join(line.removeprefix("dlr: ").split())
    return json_line(logging.ERROR if err else logging.INFO, text)


class NotThere(click.ClickException):
    """There is nothing with the id that is typed. Exit code 1: the answer is no."""

    exit_code = 1
