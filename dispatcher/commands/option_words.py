"""Faults in the words of the command line: `--bulk-id`, where the API says `bulkId`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from dispatcher.commands.options import Command
from receiver.answers import BadQuery


def in_option_words(options: Mapping[str, str]) -> Callable[[Command], Command]:
    """A command whose faults name its options. `options` are these by the API's parameters."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapped(**given: Any) -> None:
            try:
                command(**given)
            except BadQuery as error:
                raise BadQuery(with_options(str(error), options)) from error

        return wrapped

    return decorate


def with_options(text: str, options: Mapping[str, str]) -> str:
    """A fault with options in place of parameters. A parameter that is an ordinary word too, such
    as `source`, is one only where the text names parameters: before its colon, in a list, with a
    value, or in quotes."""

    def option(found: re.Match[str]) -> str:
        return options[found[0]]

    def options_in(found: re.Match[str]) -> str:
        return re.sub(name, option, found[0])

    name = r"\b(?:" + "|".join(sorted(map(re.escape, options), key=len, reverse=True)) + r")\b"
    unlike_words = [each for each in options if not each.islower()]
    text = re.sub(rf"^{name}(?:, {name})*(?=(?:\[\d+\])?[.:])", options_in, text)
    text = re.sub(rf"{name}(?:, {name}){{2,}}", options_in, text)
    text = re.sub(rf"`({name})`", lambda found: options[found[1]], text)
    text = re.sub(rf"(?<![-\w])({name})=(?=\w)", lambda found: f"{options[found[1]]} ", text)
    for each in unlike_words:
        text = re.sub(rf"(?<![-\w'\"]){each}\b", options[each], text)
    return text
