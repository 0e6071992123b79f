"""Everything that a user reads is plain English: short lines, short sentences, no riddles.

Somebody on call, who reads English as a second language, must understand each sentence at the first
try. english.py has the rules. What is held to them:

- each document: no line longer than 120 characters, no sentence longer than 30 words, no phrase of
  the list;
- each string of the programs that a user may meet, each template, and the comments of settings,
  alerts and the deploy kit: no phrase of the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from dispatcher.web.guides import GUIDES
from tests.docs.documents import DOCUMENTS, ROOT
from tests.docs.english import (
    Said,
    banned,
    comments,
    files,
    long_lines,
    long_sentences,
    pieces,
    plain,
    sentences,
    strings,
    template,
    words,
)

FOLDERS = (".github", "receiver", "dispatcher", "config", "tests")

READ = sorted(
    {*DOCUMENTS, *files(ROOT, *(f"{each}/**/*.md" for each in FOLDERS))}
    | {each.file for each in GUIDES if each.file.endswith(".md")}
)
"""Every document of the project."""

LONG_BUT_CLEAR: dict[str, str] = {}
"""How a sentence begins that may have more than 30 words, and why."""

NOT_MENDED_YET: set[str] = set()
"""Files that still break a rule. A file leaves this list as soon as it is mended; none enters."""


def text_of(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


def faults_of_document(file: str) -> Iterator[str]:
    yield from long_lines(file, text_of(file))
    yield from banned(said_in(file))
    for fault in long_sentences(said_in(file)):
        if not any(f" words: {begun}" in fault for begun in LONG_BUT_CLEAR):
            yield fault


@cache
def said_in(file: str) -> tuple[Said, ...]:
    """What a user reads of a file."""
    if file.endswith(".md"):
        return tuple(pieces(file, text_of(file)))
    if file.endswith(".py"):
        return tuple(strings(file, text_of(file)))
    if file.endswith(".jinja"):
        return tuple(template(file, text_of(file)))
    return tuple(comments(file, text_of(file)))


SHOWN = files(
    ROOT,
    *("receiver/**/*.py", "dispatcher/**/*.py", "dispatcher/**/*.jinja"),
    *("config/*.toml", "config/scenarios/*.toml", "config/deploy/*"),
)


def faults_of(file: str) -> list[str]:
    if file.endswith(".md"):
        return list(faults_of_document(file))
    return list(banned(said_in(file)))


@pytest.mark.parametrize("file", [*READ, *(each for each in SHOWN if not each.endswith(".md"))])
def test_it_is_plain_english(file: str) -> None:
    """Document, program, template or settings file."""
    faults = faults_of(file)

    if file in NOT_MENDED_YET:
        assert faults, f"{file} is mended: take it off NOT_MENDED_YET"
    elif faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_no_exception_is_left_over() -> None:
    """Each is the beginning of a sentence that there is."""
    said = [sentence for file in READ for piece in said_in(file) for sentence in sentences(piece)]

    for begun in LONG_BUT_CLEAR:
        assert any(each.startswith(begun) and words(each) > 30 for each in said), begun
    assert set(READ) | set(SHOWN) >= NOT_MENDED_YET


def test_much_is_read() -> None:
    """Nothing above is true because nothing was found."""
    assert {"README.md", "receiver/README.md", "dispatcher/sandbox/TESTING.md"} < set(READ)
    assert sum(len(said_in(file)) for file in READ) > 2000
    assert sum(len(said_in(file)) for file in SHOWN) > 5000


# --- each rule can fail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Only to numbers that begin so: 4179.",
        "How messages fare",
        "Otherwise it would else burn all retries",
        "With --pace: so many times as fast.",
        "This can be sent once more.",
        "It goes on by itself.",
        "secrets stand in no log",
        "Only a last word can be missing",
        "All that a source has is demanded together",
        "Of 2,160 reports 270 came late and none was lost.",
        "A dry run reads the logs, for they can be read again.",
        "shows its progress until all is brought",
        "brings it back",
        "Which API it is: any will do.",
    ],
)
def test_a_riddle_is_told(text: str) -> None:
    """With its place and what to write instead."""
    told = list(banned([Said("x:1", text)]))

    assert told
    assert all(each.startswith("x:1: ") and ": write '" in each for each in told)


@pytest.mark.parametrize(
    "text",
    [
        "Nothing else is needed, and everybody else may wait elsewhere.",
        "It brings reports to customers, for a week and for the other endpoint.",
        "Keep the report as long as it is so large.",
    ],
)
def test_plain_words_are_not_told(text: str) -> None:
    """Though they look like a phrase of the list."""
    assert list(banned([Said("x:1", text)])) == []


DOCUMENT = """\
# A title

A sentence with `dlr serve --port 80` and [a link](x.md). Another
one.

- An item
  that goes on.

| a | b **c** |
|---|---|
| `x` \\| y | z |

```sh
dlr serve   # not read
```
"""


def test_what_of_a_document_is_read() -> None:
    """Titles, paragraphs, items and cells, without markup and blocks of code."""
    assert [(each.place, each.text) for each in pieces("x.md", DOCUMENT) if each.text] == [
        ("x.md:1", "A title"),
        ("x.md:3", "A sentence with CODE and a link. Another one."),
        ("x.md:6", "An item that goes on."),
        ("x.md:9", "a"),
        ("x.md:9", "b c"),
        ("x.md:10", "---"),
        ("x.md:10", "---"),
        ("x.md:11", "CODE \\| y"),
        ("x.md:11", "z"),
    ]


def test_what_a_sentence_is() -> None:
    """It ends before a capital letter or a number; not at a dot within a name or a number."""
    said = Said(
        "x:1", plain("See `a.py` v1.2 e.g. here. (It runs.) **Then** 5.5 more! 3 are left.")
    )

    assert sentences(said) == [
        "See CODE v1.2 e.g. here.",
        "(It runs.",
        "Then 5.5 more!",
        "3 are left.",
    ]
    assert words("a – b `c`, d") == 4


def test_a_long_sentence_and_a_long_line_are_told() -> None:
    """With place and length; a table may be wide, and a link cannot be broken."""
    sentence = "Word " * 29 + "end."

    assert list(long_sentences([Said("x:7", f"Short. {sentence}")])) == []
    assert list(long_sentences([Said("x:7", f"Short. More {sentence}")])) == [
        f"x:7: 31 words: More {sentence}"
    ]
    wide = f"{'a ' * 70}\n| {'a ' * 70} |\n<https://a.example/{'a' * 120}>\n"
    assert list(long_lines("x", wide)) == ["x:1: 140 characters"]


PROGRAM = '''
"""Not read."""

class A:
    """Not read."""

    x: int
    """Not read."""

@cli.command("x")
def help():
    """Read."""
    "not read either"
    say(f"read {1} too")

def private():
    """Not read."""
    return {"a": "and this"}
'''


def test_what_of_a_program_is_read() -> None:
    """Strings, and the help of commands; a value that is put in is "…"."""
    assert {each.text for each in strings("x.py", PROGRAM)} == {
        *("x", "Read.", "read … too", "a", "and this"),
    }


def test_what_of_a_template_and_of_settings_is_read() -> None:
    """Words, with their line; comments that follow each other as one."""
    html = "<p\nclass='a'>Once {{ more }}\n{% if x %}more{# else #}</p>"
    toml = "# One\n# comment.\nx = 1\n#y = 2\n# Another.\n"

    assert [(each.place, each.text.strip()) for each in template("x", html)] == [
        ("x:2", "Once"),
        ("x:3", "more"),
    ]
    assert list(comments("x", toml)) == [Said("x:1", "One comment."), Said("x:5", "Another.")]
