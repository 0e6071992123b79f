"""The documents and what stands in them: blocks, and the lines that a reader types.

What is shown is compared with what is printed line by line. `…` stands for anything within its
line, and alone in a line for any number of lines. How many blanks there are does not count.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")

GUIDES = (
    "README.md",
    "receiver/RECEIVE.md",
    "receiver/SECURE.md",
    "dispatcher/PUSH.md",
    "dispatcher/CAPACITY.md",
    "dispatcher/HTTP.md",
    "dispatcher/GLOSSARY.md",
    "dispatcher/commands/COMMANDS.md",
    "dispatcher/replay/REPLAY.md",
    "dispatcher/reconcile/RECONCILE.md",
    "dispatcher/rehearsal/REHEARSE.md",
    "dispatcher/sandbox/SANDBOX.md",
    "dispatcher/sandbox/TESTING.md",
    "dispatcher/simulation/SIMULATE.md",
    "config/COMPARISON.md",
    "config/OPERATE.md",
    "config/TROUBLESHOOTING.md",
    "config/UPGRADE.md",
)
"""What users read."""

DOCUMENTS = (
    *GUIDES,
    "receiver/README.md",
    "dispatcher/README.md",
    "dispatcher/rehearsal/README.md",
    "dispatcher/sandbox/README.md",
    "dispatcher/simulation/README.md",
    "config/deploy/README.md",
)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences. `line` is that of the opening one."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Typed:
    """A line that a reader types, which a quote may spread over several, and where it begins."""

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A line `$ …` with what it prints, which is what follows up to the next one."""

    typed: str
    printed: str

    @property
    def code(self) -> int:
        """The exit code that its output announces."""
        if self.printed.startswith("dlr: "):
            return 2
        return 1 if re.search(r"^verdict +failed$", self.printed, re.MULTILINE) else 0


def blocks(language: str | None = None) -> list[Block]:
    """The blocks of all documents, or those in one language."""
    found = [
        block for file in DOCUMENTS for block in blocks_of(file, (ROOT / file).read_text("utf-8"))
    ]
    return [each for each in found if language is None or each.language == language]


def blocks_of(file: str, text: str) -> Iterator[Block]:
    pattern = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for found in pattern.finditer(text):
        yield Block(file, text[: found.start()].count("\n") + 1, found[1], found[2])


def prose(text: str) -> str:
    """A document without its blocks, line by line as it was."""
    pattern = re.compile(r"^ *```\w*\n.*?^ *```$", re.MULTILINE | re.DOTALL)
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)


def shown_in(block: Block) -> Iterator[Shown]:
    """The commands of a block with what each prints, in order."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        typed, printed = _first_command(part)
        yield Shown(typed, printed)


def typed_in(block: Block) -> Iterator[Typed]:
    """The commands of a block that has nothing else."""
    rest, line = block.text, block.line
    while rest:
        typed, after = _first_command(rest)
        line += 1
        if typed.strip():
            yield Typed(f"{block.file}:{line}", typed)
        line += typed.count("\n")
        rest = after


def _first_command(text: str) -> tuple[str, str]:
    """A command ends with its line, or with the line that closes the quote it opens."""
    end = text.index("\n")
    while True:
        try:
            shlex.split(text[:end], comments=True)
        except ValueError:
            end = text.index("\n", end + 1)
        else:
            return text[:end], text[end + 1 :]


def words_of(line: str) -> list[list[str]]:
    """The commands of a line of the shell, each as its words, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def agrees(printed: str, shown: str) -> bool:
    """Whether what was printed is what is shown, all of it and nothing else."""
    pattern = "".join(_pattern(line) for line in _lines(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    pieces = (r"\ ".join(map(re.escape, piece.split())) for piece in line.split("…"))
    return r"\ ?.*?\ ?".join(pieces) + r"\n"
