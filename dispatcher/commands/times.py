"""Options that take a time: one parser for all, and what it has understood is printed on stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from functools import wraps
from typing import Any

import click
from msgspec import Struct

from dispatcher.clocks.clock import wall_time
from dispatcher.clocks.typed_time import EXAMPLES, ZONE, TypedTime, read_end, read_time
from dispatcher.commands.options import Command, fail
from dispatcher.commands.saying import say


class TimeOption(Struct, frozen=True):
    """An option that takes a time. `name` is that of the command's argument, which gets the text
    in RFC 3339; one that ends in `since` begins the range that the one in `until` ends. `old` is
    an option of before, which goes on working and is not in the help."""

    name: str
    option: str
    words: str
    old: str | None = None
    required: bool = False


def time_options(*options: TimeOption) -> Callable[[Command], Command]:
    """Add these options to a command. Whatever was typed, it gets instants."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapped(**given: Any) -> None:
            for each in options:
                _take_old(each, given)
            command(**(given | _understood(options, given)))

        for each in reversed(options):
            first = each is options[0]
            words = f"{each.words} For example {EXAMPLES}. {ZONE}" if first else each.words
            wrapped = click.option(each.option, each.name, metavar="TIME", help=words)(wrapped)
            if each.old is not None:
                wrapped = click.option(each.old, _old(each), hidden=True)(wrapped)
        return wrapped

    return decorate


def _old(option: TimeOption) -> str:
    return f"old_{option.name}"


def _take_old(option: TimeOption, given: dict[str, Any]) -> None:
    """Under the name that it has now."""
    old = given.pop(_old(option), None)
    if old is not None and given[option.name] is not None:
        fail(f"{option.option}, {option.old}: give one of them, they mean the same")
    given[option.name] = old if old is not None else given[option.name]
    if option.required and given[option.name] is None:
        fail(f"{option.option}: expected a time such as {EXAMPLES}, got none")


def _understood(options: tuple[TimeOption, ...], given: Mapping[str, Any]) -> dict[str, str]:
    """The times that are given, in RFC 3339. Prints what each of them means."""
    now = wall_time()
    read: dict[str, TypedTime] = {}
    for each in options:
        if (text := given[each.name]) is None:
            continue
        try:
            if each.name.endswith("until"):
                read[each.name] = read_end(text, read.get(_beginning(each.name)), now)
            else:
                read[each.name] = read_time(text, now)
        except ValueError as error:
            fail(f"{each.option}: {error}")
    for each in options:
        if each.name in read:
            say(f"{each.option} {given[each.name]} is {read[each.name]}", err=True)
    return {name: time.at.astimezone(UTC).isoformat() for name, time in read.items()}


def _beginning(name: str) -> str:
    return name.removesuffix("until") + "since"
