"""Regular expressions that come from outside: they run in linear time and freeze nothing.

Python's `re` tries every way to match: `^(a+)+$` takes minutes for 32 letters, with the event loop
held. RE2 reads each character once. What it cannot do in linear time (backreferences, lookaround)
it refuses. Letters, digits and blanks of `\\w`, `\\d` and `\\s` are those of ASCII there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

WORDS = (
    "a regular expression of RE2: no lookaround, no backreferences, at most 1000 repetitions and"
    " 2000 characters"
)
"""What is expected, for people."""

_LONGEST = 2_000
"""Characters. With `_MEMORY` it bounds a search in 10 KB of text to some 50 ms."""

_MEMORY = 1024 * 1024
"""Bytes of a compiled expression and its cache. RE2's own limit, 8 MB, lets one take 100 ms to
compile."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`pattern` as it was given. Raises ValueError when RE2 does not take it."""

    pattern: str

    def __post_init__(self) -> None:
        _compiled(self.pattern)

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in the text. A lone surrogate counts as a question mark."""
        found = _compiled(self.pattern).search(text.encode(errors="replace"))
        return found is not None


def is_expression(pattern: str) -> bool:
    """Whether it can be used."""
    try:
        _compiled(pattern)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    if len(pattern) > _LONGEST:
        raise ValueError(f"expected {WORDS}, got one of {len(pattern)} characters")
    if _TOO_MANY.search(pattern):  # RE2 takes a number beyond its own for letters
        raise ValueError(f"expected {WORDS}")
    options = re2.Options()
    options.log_errors = False  # to stderr, past our log
    options.max_mem = _MEMORY
    try:
        return re2.compile(_as_in_python(pattern).encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError(f"expected {WORDS}") from error


_TOO_MANY = re.compile(r"\{[0-9]*,?[0-9]{5,}")

_TOKEN = re.compile(
    r"""\\Q.*?(?:\\E|\Z)                                  # quoted
      | \\.                                               # escaped
      | \[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*+\]       # a class
      | \$
      | \{(?:[0-9]{9,}(?:,[0-9]*)?|[0-9]*,[0-9]{9,})\}    # RE2 would read it as text
      | \{,(?=[0-9]+\})""",
    re.VERBOSE | re.DOTALL,
)
_IN_PYTHON = {"$": r"(?:$|\n\z)", r"\Z": r"\z", "{,": "{0,"}


def _as_in_python(pattern: str) -> str:
    """What three signs mean in Python's `re`, under which expressions were stored before: `$` also
    matches before a line feed at the end, so that "^OK$" takes the answer "OK\\n"."""
    return _TOKEN.sub(lambda token: _IN_PYTHON.get(token[0], _refusable(token[0])), pattern)


def _refusable(token: str) -> str:
    return "{1001}" if token.startswith("{") else token
