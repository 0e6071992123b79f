"""Files, classes and functions that the READMEs of the packages name are there.

A path counts from the README's folder, its package or the root. A bare name such as `gate.py` is a
file of a folder that the same row (or the head of its table) or paragraph names; where none is
named, of any folder of the package.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, blocks_of, prose
from tests.docs.rooms import PACKAGES

READMES = [each for each in DOCUMENTS if each.startswith(PACKAGES) and each.endswith("README.md")]

_PATH = re.compile(r"`((?:\.\./)*[\w…-][\w./…-]*(?:\.(?:py|sql|md|tsv|jinja)|/))`")
_CLASS = re.compile(r"`((?:[A-Z][a-z]+)+)(?:\.(\w+))?`")
_DEFINED = re.compile(r"`([\w/]+\.py)` `(\w+)`")
_OTHERS = {"None", "Accept"}
"""What looks like a class and is none of ours."""


@pytest.mark.parametrize("readme", READMES)
def test_what_a_readme_names_is_there(readme: str) -> None:
    """Each file, folder, class and function."""
    faults = list(missing(ROOT, readme, (ROOT / readme).read_text("utf-8")))

    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_the_readmes_name_much() -> None:
    """Nothing above is true because nothing was found."""
    named = [name for each in READMES for name in _PATH.findall((ROOT / each).read_text("utf-8"))]

    assert len(READMES) == 5
    assert len(named) > 250
    assert {"worker.py", "queue/sqlite/replays.py", "…_output.py", "sandbox/", "../capsule/"} < {
        *named
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("| 1 | `flow/gates.py` |", "flow/gates.py"),
        ("| 1 | `flow/gate.py` with `windows.py` |", "windows.py"),
        ("| 1 | `flow/gate.py` with `consequences.py` |", "consequences.py"),
        ("| 1 | `flow/` |\n| 2 | `flow/gate.py`, `retry_after.py` |", "retry_after.py"),
        ("it is in `gates.py`", "gates.py"),
        ("`flows/`", "flows/"),
        ("`../README.py`", "../README.py"),
        ("`…_outputs.py`", "…_outputs.py"),
        ("`queue/sqlite/migrations/0009_other.sql`", "queue/sqlite/migrations/0009_other.sql"),
        ("a `Buckett`", "Buckett"),
        ("`Database.write_flushed`", "Database.write_flushed"),
        ("`worker.py` `_formed`", "worker.py _formed"),
    ],
)
def test_a_wrong_name_is_told(text: str, told: str) -> None:
    """With the line that it stands in."""
    line = 2 + text.count("\n")
    assert list(missing(ROOT, "dispatcher/README.md", f"# A\n{text}\n")) == [
        f"dispatcher/README.md:{line}: there is no {told}"
    ]


def test_a_wrong_name_in_a_drawing_is_told() -> None:
    """With the line where the drawing begins."""
    assert list(
        missing(ROOT, "dispatcher/README.md", "# A\n```\nworker.py ──▶ gates.py\n```\n")
    ) == ["dispatcher/README.md:2: there is no gates.py"]


@pytest.mark.parametrize(
    "text",
    [
        "`flow/gate.py` with `breaker.py`",
        "`flow/` and `clocks/`:\n`gate.py`, `clock.py`",
        "it is in `consequences.py`",
        "`receiver/hmac_signature.py`, `tests/docs/rooms.py`, folders called `sqlite/`",
        "`commands/` with `…_output.py`",
        "| in `flow/` | |\n|---|---|\n| `gate.py` | |\n| `breaker.py` | `clocks/` |",
        "`Bucket`, `Receiver.refused`, `worker.py` `_form`",
        "`GET /metrics`, `/api/`, `X-Request-Id`, `Retry-After`",
        "```\nworker.py ──▶ gate.py\n```\n```sh\npython here.py\n```",
    ],
)
def test_a_right_name_is_not_told(text: str) -> None:
    """Nor what is no name of a file, nor what stands in a block."""
    assert list(missing(ROOT, "dispatcher/README.md", f"# A\n{text}\n")) == []


# --- what is there -----------------------------------------------------------------------------


def missing(root: Path, readme: str, text: str) -> Iterator[str]:
    """Names in a README that nothing bears; in drawings, names of files."""
    package, folder = root / readme.split("/")[0], (root / readme).parent
    for block in blocks_of(readme, text):
        drawn = [] if block.language else re.findall(r"[\w/]+\.py\b", block.text)
        for name in drawn:
            if not _is_there(name, folder, package, set()):
                yield f"{block}: there is no {name}"
    for line, about, paragraph in _paragraphs(prose(text)):
        named = [name for name in _PATH.findall(about + paragraph) if "/" in name]
        places = {place for name in named for place in _folders(name, folder, package)}
        for number, part in enumerate(paragraph.split("\n"), line):
            for name in _missing_in(part, folder, package, places):
                yield f"{readme}:{number}: there is no {name}"


def _missing_in(part: str, folder: Path, package: Path, places: set[Path]) -> Iterator[str]:
    yield from (
        name for name in _PATH.findall(part) if not _is_there(name, folder, package, places)
    )
    yield from (
        ".".join(filter(None, found)) for found in _CLASS.findall(part) if not _known(*found)
    )
    yield from (
        f"{file} {name}"
        for file, name in _DEFINED.findall(part)
        if not _defines(package / file, name)
    )


def _paragraphs(text: str) -> Iterator[tuple[int, str, str]]:
    """Rows of tables, items of lists and paragraphs: the number of the first line, for a row the
    head of its table, and the text."""
    line, head = 1, ""
    for part in re.split(r"\n(?=\||- |#|\n)", text):
        if not part.startswith("|"):
            head = ""
        yield line, head, part
        head = head or (part if part.startswith("|") else "")
        line += part.count("\n") + 1


def _folders(path: str, folder: Path, package: Path) -> list[Path]:
    """The folder of the package that a path is or lies in."""
    above = (folder, package, package.parent)
    found = [each / _inner(path) for each in above if (each / _inner(path)).is_dir()][:1]
    return [each for each in found if each.resolve().is_relative_to(package)]


def _inner(path: str) -> str:
    return path if path.endswith("/") else path.rpartition("/")[0]


def _is_there(name: str, folder: Path, package: Path, places: set[Path]) -> bool:
    pattern = name.replace("…", "*")
    if "/" in name.rstrip("/"):
        return any((each / pattern).exists() for each in (folder, package, package.parent))
    if name.endswith("/") or not places:
        return any(package.rglob(pattern)) or (package.parent / name).exists()
    return any(any(each.glob(pattern)) for each in (folder, *places))


def _known(name: str, member: str) -> bool:
    if name in _OTHERS:
        return True
    classes = _classes()
    return name in classes and (not member or member in classes[name])


@cache
def _classes() -> dict[str, set[str]]:
    """The classes of both packages, and the words that stand in each."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, set()).update(re.findall(r"\w+", ast.unparse(node)))
    return found


def _defines(file: Path, name: str) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name == name
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
    )
