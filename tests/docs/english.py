"""Plain English as rules that a program can check: sentences, lines, turns of phrase.

Each function is pure and gives what is wrong, with its place. The rules are those of the project's
style: the subject first, one idea a sentence, and no phrase that only a patient reader understands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.documents import prose

MOST_WORDS: Final = 30
"""Of a sentence."""

LONGEST_LINE: Final = 120
"""Of a document, in characters. Tables, blocks of code and long links may be wider."""

BANNED: Final[dict[str, str]] = {
    # --- what is said
    r"\bbegins? so\b": "starting with",
    r"\bfares?\b": "say what happens: is delivered, has another outcome",
    r"(?<!thing )(?<!body )(?<!one )(?<!ever )(?<!what )(?<!who )(?<!where )\belse\b(?!where)": (
        "otherwise"
    ),
    r"\bgoe?s? on by (?:it|them)sel(?:f|ves)\b": "recovers (or continues) automatically",
    r"\bstands? in\b": "is in",
    r"\bonce more\b": "again",
    r"\bso (?:many|much|long)\b(?! as\b)": "at most this many; for this long; how many",
    r"\b(?:is|are|was|were|been|be) brought\b": "is pushed, is received, is stored",
    r"\bbr(?:ing|ings|inging|ought) (?:it |them |this )?back\b": "push again, replay",
    r"\bun(?:til|less) all (?:is|was|has|have)\b": "until everything has …",
    r"\bthen still\b": "whatever is still",
    r"\blast word\b": "final report, final status",
    r"\b(?:own|operator's|API's|browser's|file's) word\b": "say who decides",
    r"\b(?:says?|said|given|told|allowed) in words\b": "confirms",
    r"\bdemand(?:s|ed|ing)?\b": "requires, required",
    r"\bis between\b": "say what happens: run directly, without a shell",
    r"\bcame late\b": "were late",
    r"\bnone was lost\b": "none were lost",
    r"\bnone came\b": "there were none",
    r"^Of [\d{]": "the subject first: 270 of 2,160 …",
    r", for (?:it|they|he|she|those)\b": ", because",
    r"\bfor ever\b": "forever",
    r"\b(?:be|were) it\b(?! not)": "whether it is …",
    r"\bthings? fares?\b": "what happens to it",
    r"\btells? of\b": "describes, lists, reports",
    r"\btold of\b": "informed about",
    r"\bwhat (?:it|they|he|one) makes? of\b": "how it judges …",
    r"\b(?:has|have|had) (?:still|then) to\b": "still has to",
    r"\bwhat is over\b": "whatever exceeds this",
    r"\bis let in\b|\bare let in\b|\bnot let in\b": "is accepted, is refused",
    r"\bto try against\b": "to test against",
    r"\ba look\b(?!-)": "a check",
    r"\b(?:may|can|must|will) stand\b": "may appear",
    r"\bno matter whether\b": "whether or not",
    r"\bwill do\b": "is enough, is accepted",
    r"\bas ever\b": "as always",
    r"\b(?:where|there|here)(?:by|of|to|upon|in)\b": "plain words",
    r"\bshall\b": "will, must",
    r"\bin (?:his|her) turn\b": "plain words",
    r"\bminds\b": "rejects, objects to",
    r"(?<!here )\b(?:is|are) no (?:JSON|XML|HTTP|RFC|text|address|list|error|sandbox|number)": (
        "is not a …"
    ),
    r"\bwhat bec(?:ame|omes) of\b": "what happened to it, its outcome",
    r"\bgo(?:es)? on\b": "continues",
    r"\bspen(?:d|ds|t) (?:no |more )?retr": "use up",
    r"\bwork(?:s|ed|ing)? off\b": "handles",
    r"\b(?:app|log|staff) tells\b(?! reports apart)": "shows, has the details",
    r"\bat no price\b": "free of charge",
}
"""Turns of phrase that made readers stumble, as patterns, and what to write instead."""

_CODE = re.compile(r"(`+)[^`]+\1")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]+\)")
_END = re.compile(r"(?<=[.!?])[)\"”’*]*\s+(?=[*(\[\"“]*[A-Z0-9])")
_ITEM = re.compile(r"^(?:[-*]|\d\.) ")


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of text that a user reads, and where it is."""

    place: str
    text: str


# --- documents ---------------------------------------------------------------------------------


def pieces(file: str, text: str) -> Iterator[Said]:
    """Headings, paragraphs, items of lists and cells of tables, each in one line, without markup.
    Code is the one word CODE."""
    begun, lines = 0, list[str]()
    for number, line in enumerate([*prose(text).splitlines(), ""], 1):
        bare = line.strip().removeprefix("> ")
        apart = not bare or bare.startswith(("#", "|")) or _ITEM.match(bare)
        if apart and lines:
            yield Said(f"{file}:{begun}", plain(" ".join(lines)))
            lines = []
        if bare.startswith(("#", "|")):
            for cell in re.split(r"(?<!\\)\|", bare.strip("|# ")):
                yield Said(f"{file}:{number}", plain(cell))
        elif bare:
            begun = begun if lines else number
            lines.append(_ITEM.sub("", bare, count=1))


def plain(text: str) -> str:
    """Text of Markdown without its markup."""
    return _LINK.sub(r"\1", _CODE.sub("CODE", text)).replace("**", "").strip()


def sentences(said: Said) -> list[str]:
    return [each for each in _END.split(said.text) if each]


def words(sentence: str) -> int:
    return sum(1 for each in sentence.split() if re.search(r"\w", each))


def long_sentences(said: Iterable[Said]) -> Iterator[str]:
    for each in said:
        for sentence in sentences(each):
            if (count := words(sentence)) > MOST_WORDS:
                yield f"{each.place}: {count} words: {sentence}"


def long_lines(file: str, text: str) -> Iterator[str]:
    """Tables, code and what has no blank to break at are left alone."""
    for number, line in enumerate(prose(text).splitlines(), 1):
        if len(line) > LONGEST_LINE and " " in line.strip() and not line.startswith("|"):
            yield f"{file}:{number}: {len(line)} characters"


# --- turns of phrase ---------------------------------------------------------------------------

_PATTERNS = [(re.compile(each), better) for each, better in BANNED.items()]


def banned(said: Iterable[Said]) -> Iterator[str]:
    """Each phrase of the list with its place, and what to write instead."""
    for each in said:
        text = " ".join(each.text.split())
        for pattern, better in _PATTERNS:
            if (found := pattern.search(text)) is not None:
                yield f"{each.place}: {found[0]!r}: write {better!r}: {_around(text, found)}"


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - 40) : found.end() + 40]


# --- what else a user reads --------------------------------------------------------------------


def comments(file: str, text: str, mark: str = "#") -> Iterator[Said]:
    """The comments of a settings file, those of lines that follow each other as one."""
    begun, lines = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith(f"{mark} "):
            begun = begun if lines else number
            lines.append(line.removeprefix(f"{mark} "))
        elif lines:
            yield Said(f"{file}:{begun}", " ".join(lines))
            lines = []


def template(file: str, text: str) -> Iterator[Said]:
    """The words of a template, line by line, without what Jinja and HTML read."""
    bare = re.sub(
        r"\{[%#].*?[%#]\}|\{\{.*?\}\}|<[^>]*>",
        lambda found: "\n" * found[0].count("\n"),
        text,
        flags=re.DOTALL,
    )
    for number, line in enumerate(bare.splitlines(), 1):
        if line.strip():
            yield Said(f"{file}:{number}", line)


def strings(file: str, source: str) -> Iterator[Said]:
    """The strings of a Python file that a user may read: all but docstrings, and of those the ones
    of commands, because they are their help."""
    tree = ast.parse(source)
    hidden = {id(each) for node in ast.walk(tree) for each in _private(node)}
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in hidden or id(node) in inside:
            continue
        text = _text(node)
        if text is not None:
            yield Said(f"{file}:{getattr(node, 'lineno', 0)}", text)


def _private(node: ast.AST) -> Iterator[ast.AST]:
    """Strings that are a statement of their own, which is what docstrings are."""
    decorators = getattr(node, "decorator_list", ())
    shown = any(re.search(r"\b(command|group)\(", ast.unparse(each)) for each in decorators)
    body = getattr(node, "body", None)
    for number, each in enumerate(body if isinstance(body, list) else ()):
        if isinstance(each, ast.Expr) and not (shown and number == 0):
            yield each.value


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return None


def files(root: Path, *patterns: str) -> list[str]:
    """Paths from the root, sorted."""
    return sorted(
        path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)
    )
