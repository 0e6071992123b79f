"""How documents are compared with what is true: each comparison can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dispatcher.web.guides import GUIDES as PAGES
from tests.docs.documents import (
    GUIDES,
    README,
    ROOT,
    Block,
    Shown,
    agrees,
    blocks,
    blocks_of,
    prose,
    shown_in,
    typed_in,
    words_of,
)
from tests.docs.following import check


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a  b\nc\n", "a b\n  c\n"),
        ("a\n\nb", "a\nb\n"),
        ("took 12 ms, ok\n", "took … ms, ok\n"),
        ("took 12 ms\n", "took …\n"),
        ("took\n", "took …\n"),
        ("a\nb\nc\nd\n", "a\n…\nd\n"),
        ("a\nd\n", "a\n…\nd\n"),
        ("a\nb\n", "a\n…\n"),
        ("x-1 y\n", "…-1 y\n"),
        ("", ""),
    ],
)
def test_what_agrees(printed: str, shown: str) -> None:
    """Blanks do not count; `…` is anything in its line, and alone any number of lines."""
    assert agrees(printed, shown)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a\nb\n", "a\n"),
        ("b\na\n", "a\n"),
        ("a b\n", "a\n"),
        ("a\n", "a\nb\n"),
        ("a\nb\nc\n", "a\nc\n"),
        ("a\nc\nd\n", "a\n…\nc\n"),
        ("took 12 ms\nand more\n", "took … ms\n"),
        ("took 12 ms\nin 3 ms\n", "took … ms\n"),
        ("a.b\n", "axb\n"),
        ("ab\n", "a b\n"),
        ("a\n", ""),
    ],
)
def test_what_does_not_agree(printed: str, shown: str) -> None:
    """Nothing may come before, between or after, nor go on in another line."""
    assert not agrees(printed, shown)


async def test_another_exit_code_is_told(tmp_path: Path) -> None:
    """Though the output is as it is shown."""
    with pytest.raises(AssertionError, match="exit code 3, shown 0"):
        await check(Shown("echo done; exit 3", "done\n"), tmp_path, {})
    with pytest.raises(AssertionError, match="exit code 1, shown 0"):
        await check(Shown("false | cat", ""), tmp_path, {})


async def test_another_line_is_told(tmp_path: Path) -> None:
    """Though the exit code is right."""
    with pytest.raises(AssertionError, match="echo more"):
        await check(Shown("echo done; echo more", "done\n"), tmp_path, {})


@pytest.mark.parametrize(
    ("printed", "code"),
    [("all is well\n", 0), ("verdict  failed\n1 failed\n", 1), ("dlr: there is no such\n", 2)],
)
def test_the_exit_code_that_is_shown(printed: str, code: int) -> None:
    """0, unless the output says that something failed, or that the command was wrong."""
    assert Shown("dlr", printed).code == code


TEXT = """\
Say `dlr serve`:

```console
$ echo 'a
b' | cat
a
b
$ echo c
c
```

```
 drawn
```

```sh
dlr serve          # it's on
curl x -d '
{}'
dlr demo
```
"""


def test_blocks_and_their_commands() -> None:
    """Each block has its language and place; a quote goes on over lines, a comment does not."""
    console, drawing, sh = blocks_of("README.md", TEXT)

    assert (console.language, drawing.language, str(sh)) == ("console", "", "README.md:16")
    assert list(shown_in(console)) == [
        Shown("echo 'a\nb' | cat", "a\nb\n"),
        Shown("echo c", "c\n"),
    ]
    assert [(each.place, words_of(each.text)) for each in typed_in(sh)] == [
        ("README.md:17", [["dlr", "serve"]]),
        ("README.md:18", [["curl", "x", "-d", "\n{}"]]),
        ("README.md:20", [["dlr", "demo"]]),
    ]
    assert prose(TEXT).split() == ["Say", "`dlr", "serve`:"]
    assert prose(TEXT).count("\n") == TEXT.count("\n")


def test_words_of_a_line() -> None:
    """Several commands of one line, without comments; a quoted `&` is a letter."""
    assert words_of("cd x && dlr serve --a 'b & c'; true # why") == [
        ["cd", "x"],
        ["dlr", "serve", "--a", "b & c"],
        ["true"],
    ]


def test_the_documents_have_blocks() -> None:
    """Nothing below is true because there is nothing."""
    languages = [each.language for each in blocks()]

    assert languages.count("console") > 5
    assert languages.count("sh") > 5
    assert languages.count("toml") > 5
    assert len([shown for each in blocks("console") for shown in shown_in(each)]) > 10
    assert Block("a", 1, "sh", "x\n") not in blocks()


# --- guides ------------------------------------------------------------------------------------


def contents(text: str) -> list[str]:
    """The headings that the table of contents names, in its order."""
    listed = text.partition("\n## Contents\n")[2].partition("\n\n##")[0]
    return re.findall(r"^- \[(.*)\]\(#", listed, re.MULTILINE)


@pytest.mark.parametrize("file", [each for each in GUIDES if each != "README.md"])
def test_a_guide_has_a_table_of_contents(file: str) -> None:
    """At its top, of all its sections in their order."""
    text = (ROOT / file).read_text("utf-8")
    first, *sections = re.findall(r"^## (.*)$", prose(text), re.MULTILINE)

    assert first == "Contents"
    assert contents(text) == sections


def test_every_guide_is_shown_and_named_in_the_readme() -> None:
    """On the pages, and in the table of where to read on."""
    shown = {each.file for each in PAGES}

    assert set(GUIDES) <= shown
    assert {f"({file})" for file in shown - {"README.md"}} <= set(re.findall(r"\(\S+\)", README))


FOLLOWED_ELSEWHERE = {
    "dispatcher/sandbox/TESTING.md": "tests/sdk/test_testing_guide.py makes a suite of it",
    "dispatcher/sandbox/SANDBOX.md": "also by tests/sdk/test_readme.py",
    "config/OPERATE.md": "test_operating.py",
    "config/TROUBLESHOOTING.md": "test_operating.py",
    "config/UPGRADE.md": "tests/end_to_end/test_upgrade.py types each of its lines",
    "config/deploy/README.md": "one block, for Prometheus; test_blocks.py",
}


def test_every_guide_with_commands_is_followed() -> None:
    """By a test that types them in order."""
    tests = "".join(
        path.read_text("utf-8")
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        if "follow(" in path.read_text("utf-8")
    )
    typed = {each.file for each in [*blocks("sh"), *blocks("console")]}

    assert {file for file in typed - {*FOLLOWED_ELSEWHERE} if f'"{file}"' not in tests} == set()
