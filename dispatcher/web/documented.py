"""What config/dlr.toml says of each setting of an endpoint, for whoever shows a setting.

The file is the one place where settings are explained, and comes along with the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import takewhile

from dispatcher.web.guides import text_of

_SETTING = re.compile(r"#([a-z0-9_]+) = ")
_TABLE = re.compile(r"#\[endpoint\.([a-z]+)\]")


@cache
def of_endpoint() -> Mapping[str, str]:
    """By the setting's name, such as `window` or `outcome.stop_on`, the words above it; of a table
    those above its head. Lines that are indented keep their place."""
    lines = iter(text_of("config/dlr.toml").splitlines())
    for line in lines:
        if line == "#[[endpoint]]":
            break
    return dict(_settings(takewhile(bool, lines)))


def _settings(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    table, words = "", [""]
    for line in lines:
        if (head := _TABLE.match(line)) is not None:
            table = f"{head[1]}."
            yield head[1], _joined(words)
        elif (setting := _SETTING.match(line)) is not None:
            yield table + setting[1], _joined(words)
        else:
            words.append(line.removeprefix("# ").removeprefix("#"))
            continue
        words = [""]


def _joined(words: list[str]) -> str:
    """Lines as one, but for those that are indented."""
    text = ""
    for line in words:
        text += f"\n{line}" if line.startswith(" ") else f" {line}"
    return text.strip()
