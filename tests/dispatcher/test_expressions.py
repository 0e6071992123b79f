"""Regular expressions from outside: linear time, and otherwise what Python's `re` makes of them."""

from __future__ import annotations

import re
import time

import pytest

from dispatcher.expressions import WORDS, Expression, is_expression

PATTERNS = (
    *("^OK$", "OK$", "$", "^$", "(OK)?$", "[$]", r"\$", "O[^$]$", r"\AOK\Z", r"^OK\s*\Z", "[]$]"),
    *("a{,2}$", "(?m)^b$", "x|y$", "(?i)ok$", r"\Aa{,1}\Z", "^(?:a|b)+$", "OK$|b", r"[\]$]", "a."),
)
TEXTS = (
    *("", "OK", "OK\n", "OK\n\n", "a", "a\nb", "b\nc", "$", "O$", "]", "aaa\n", "x", "ok", "O\n"),
    *("\n", "a\nb\n", "O]", "{,2}", "aé", "a\ud800"),
)

SLOW = ("^(a+)+$", "(a|a)*$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a?){30}a{30}$")
"""Each keeps `re` busy for minutes or longer."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_they_mean_what_they_meant_to_re(pattern: str) -> None:
    """Expressions are stored from the time when `re` ran them: `$` still takes "OK\\n"."""
    found = [Expression(pattern).found_in(text) for text in TEXTS]

    assert found == [re.search(pattern, text) is not None for text in TEXTS]


@pytest.mark.parametrize("pattern", SLOW)
def test_none_takes_long(pattern: str) -> None:
    """With `re` the first one alone took minutes for 32 letters, and doubled with each more."""
    start = time.process_time()

    for text in ("a" * 32 + "!", "x" * 1_024, "a" * 10_000 + "!"):
        Expression(pattern).found_in(text)

    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", r"(a)\1", "(?P<n>a)(?P=n)", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "a++", "(?>a)"),
        *("a{1001}", "(?x) a", "(" * 1_500, "\ud800", "a" * 3_000, r"(?:\pL?){300}b"),
    ],
    ids=lambda pattern: repr(pattern[:20]),
)
def test_what_it_cannot_run_is_refused(pattern: str) -> None:
    """What RE2 does not have, and what is too large for it, is a ValueError and nothing else."""
    assert not is_expression(pattern)
    with pytest.raises(ValueError, match=re.escape(WORDS)):
        Expression(pattern)


def test_nothing_is_written_past_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """RE2 itself would write each refusal to stderr, in its own form."""
    is_expression("(")

    assert capfd.readouterr() == ("", "")
