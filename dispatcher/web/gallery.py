"""The scenarios that come with the program."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from msgspec import Struct

FOLDERS = (Path(__file__).parent / "scenarios", Path(__file__).parents[2] / "config" / "scenarios")
"""Where a wheel has them, and where a clone has them."""


class Example(Struct, frozen=True):
    """A scenario: its file, its story, and its TOML without comments."""

    name: str
    story: str
    text: str


@cache
def gallery() -> Sequence[Example]:
    folder = next((each for each in FOLDERS if each.is_dir()), None)
    files = [] if folder is None else sorted(folder.glob("*.toml"))
    return [_example(file) for file in files]


def _example(file: Path) -> Example:
    text = file.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    kept = [
        line
        for number, line in enumerate(lines)
        if line.strip() or (number and lines[number - 1].strip())
    ]
    return Example(
        file.stem, tomllib.loads(text).get("story", file.stem), "\n".join(kept).strip() + "\n"
    )
