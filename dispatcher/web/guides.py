"""The guides that the help shows: which there are, where their files lie, and their HTML.

A guide is a Markdown file that lies beside what it explains. Links between guides lead to their
pages; what is not shown here is named, not linked. Raw HTML is text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup
from msgspec import Struct


class Guide(Struct, frozen=True):
    """`name` is its page, `file` its path in the repository."""

    name: str
    title: str
    file: str
    for_whom: str


GUIDES: Final = (
    Guide(
        "start",
        "Start here",
        "README.md",
        "For everybody: what dlr does, how to install it, five minutes for each user.",
    ),
    Guide(
        "receive",
        "Receive reports",
        "receiver/RECEIVE.md",
        "For operators: callbacks, answers, formats, duplicates, quarantine.",
    ),
    Guide(
        "push",
        "Push and retry",
        "dispatcher/PUSH.md",
        "For operators: endpoints, which reports they get, and when a push is retried.",
    ),
    Guide(
        "replay",
        "Replay",
        "dispatcher/replay/REPLAY.md",
        "For operators: push stored reports again, after an outage.",
    ),
    Guide(
        "reconcile",
        "Reconcile",
        "dispatcher/reconcile/RECONCILE.md",
        "For operators: find and store the reports that never arrived.",
    ),
    Guide(
        "secure",
        "Secure",
        "receiver/SECURE.md",
        "For operators: tokens, credentials, limits, signatures, audit.",
    ),
    Guide(
        "operate",
        "Operate",
        "config/OPERATE.md",
        "For operators: deploy it, watch it, back it up, and change it.",
    ),
    Guide(
        "capacity",
        "Capacity",
        "dispatcher/CAPACITY.md",
        "For operators: how many reports a day, on how many machines, and what an outage costs.",
    ),
    Guide(
        "troubleshooting",
        "Troubleshooting",
        "config/TROUBLESHOOTING.md",
        "For operators: what you see, and what to do; a paragraph for each alert.",
    ),
    Guide(
        "threats",
        "Threat model",
        "receiver/threats.md",
        "For operators: what is protected against whom, and what is not.",
    ),
    Guide(
        "test-your-app",
        "Test your app",
        "dispatcher/sandbox/TESTING.md",
        "For whoever builds an app that sends SMS: its tests against a sandbox.",
    ),
    Guide(
        "sandbox",
        "Sandbox",
        "dispatcher/sandbox/SANDBOX.md",
        "For whoever builds an app: the provider on your machine, its outcomes and faults.",
    ),
    Guide(
        "fields",
        "The fields of the send API",
        "dispatcher/sandbox/fields.md",
        "For whoever builds an app: what each field of a request must be.",
    ),
    Guide(
        "rehearse",
        "Rehearse",
        "dispatcher/rehearsal/REHEARSE.md",
        "For whoever has a webhook: whether it survives, and what each check means.",
    ),
    Guide(
        "simulate",
        "Simulate",
        "dispatcher/simulation/SIMULATE.md",
        "For whoever plans retries: what an outage would cost.",
    ),
    Guide(
        "commands",
        "Commands",
        "dispatcher/commands/COMMANDS.md",
        "For everybody: the command line, its output and exit codes.",
    ),
    Guide(
        "http",
        "HTTP reference",
        "dispatcher/HTTP.md",
        "For everybody: all paths in tables, and the filters of lists.",
    ),
    Guide(
        "settings",
        "Settings",
        "config/dlr.toml",
        "For whoever runs dlr: every setting with its default.",
    ),
    Guide(
        "upgrade",
        "Upgrade",
        "config/UPGRADE.md",
        "For operators: what to do, how long it takes, and the way back.",
    ),
    Guide(
        "glossary",
        "Glossary",
        "dispatcher/GLOSSARY.md",
        "For everybody: what each word means.",
    ),
    Guide(
        "comparison",
        "Comparison",
        "config/COMPARISON.md",
        "For everybody: dlr beside Svix, Convoy, Hookdeck Outpost, Jasmin and Mailpit.",
    ),
    Guide(
        "receiver",
        "How reports come in",
        "receiver/README.md",
        "For whoever changes dlr, or wants to know how it works: the receiver.",
    ),
    Guide(
        "dispatcher",
        "How reports are pushed",
        "dispatcher/README.md",
        "For whoever changes dlr, or wants to know how it works: the dispatcher, and its metrics.",
    ),
)

_BY_FILE: Final = {each.file: each for each in GUIDES}

_ROOT: Final = Path(__file__).parents[2]
"""Where the packages lie: in a clone the repository."""

_CONTENTS: Final = re.compile(r"^## Contents\n\n(?:- .*\n)+\n", re.MULTILINE)
"""The table of contents in a guide's file; its page has one of its own."""

_SHIPPED: Final = Path(__file__).parent / "shipped"
"""Where a wheel has what lies outside the packages (pyproject.toml); not there in a clone."""


def text_of(file: str) -> str:
    """The text of a guide's file, in a clone as in an installation."""
    shipped = _SHIPPED / file
    return (shipped if shipped.is_file() else _ROOT / file).read_text("utf-8")


class Heading(Struct, frozen=True):
    """One of the table of contents. `level` is 2 or 3."""

    level: int
    anchor: str
    words: str


class Rendered(Struct, frozen=True):
    html: Markup
    contents: Sequence[Heading]


@cache
def guide(name: str) -> tuple[Guide, Rendered] | None:
    """A guide as it is shown; `None`: there is none of this name."""
    found = next((each for each in GUIDES if each.name == name), None)
    if found is None:
        return None
    text = _CONTENTS.sub("", text_of(found.file))
    return found, rendered(settings_guide(text) if found.name == "settings" else text, found.file)


# --- Markdown ------------------------------------------------------------------------------------


def rendered(text: str, file: str) -> Rendered:
    """The HTML of a Markdown text. `file` is where it lies: what its links start from."""
    tokens = _markdown.parse(text)
    contents: list[Heading] = []
    anchors: dict[str, int] = {}
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            words = _words(inline)
            anchor = _anchor(words, anchors)
            opened.attrSet("id", anchor)
            if opened.tag in ("h2", "h3"):
                contents.append(Heading(int(opened.tag[1]), anchor, words))
    for token in tokens:
        if token.children:
            token.children = list(_inline(token.children, file))
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return Rendered(Markup(html), contents)


def inline(text: str) -> Markup:
    """A sentence with `code` and *emphasis* in it."""
    return Markup(_markdown.renderInline(text))


def _words(inline_token: Token) -> str:
    children = inline_token.children or []
    return "".join(each.content for each in children if each.type in ("text", "code_inline"))


def _anchor(words: str, taken: dict[str, int]) -> str:
    """The anchor of a heading, as the sites that host repositories make it."""
    plain = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    number = taken.get(plain, 0)
    taken[plain] = number + 1
    return f"{plain}-{number}" if number else plain


def _inline(tokens: Sequence[Token], file: str) -> list[Token]:
    """With links that lead somewhere, and images as the words that stand for them."""
    made: list[Token] = []
    for token in tokens:
        if token.type == "link_open":
            target = target_of(str(token.attrGet("href")), file)
            if target is None:
                token.tag, token.attrs = "span", {}
            else:
                token.attrs = {"href": target}
        elif token.type == "link_close":
            opened = next(each for each in reversed(made) if each.type == "link_open")
            token.tag = opened.tag
        elif token.type == "image":
            token = Token("text", "", 0, content=f"[Picture: {token.content}]")
        made.append(token)
    return made


def target_of(link: str, file: str) -> str | None:
    """Where a link of a guide leads to on the pages; `None`: to what they do not show."""
    if link.startswith(("#", "http://", "https://")):
        return link
    path, mark, anchor = link.partition("#")
    found = _BY_FILE.get(posixpath.normpath(posixpath.join(posixpath.dirname(file), path)))
    return None if found is None else f"/docs/{found.name}{mark}{anchor}"


def _fence(
    _: RendererHTML, tokens: Sequence[Token], number: int, _o: OptionsDict, _e: Mapping[str, Any]
) -> str:
    return code(tokens[number].content) + Markup("\n")


def code(text: str) -> Markup:
    """A block of code, with a button that copies it. Wide ones are scrolled, by keys too."""
    return Markup(
        '<div class="code"><pre tabindex="0"><code>{}</code></pre>'
        '<button type="button" class="copy" hidden>copy</button></div>'
    ).format(text)


def _table_open(*_: object) -> str:
    return '<div class="wide" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"


def _made() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in (
        ("fence", _fence),
        ("code_block", _fence),
        ("table_open", _table_open),
        ("table_close", _table_close),
    ):
        markdown.add_render_rule(name, rule)
    return markdown


_markdown: Final = _made()

FILTERS: Final = {"inline_markdown": inline, "code": code}

# --- settings ------------------------------------------------------------------------------------

_TABLE = re.compile(r"^#?\[+(\w+)", re.MULTILINE)


def settings_guide(toml: str) -> str:
    """config/dlr.toml as a guide: a section for each of its tables."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for paragraph in toml.strip().split("\n\n"):
        table = _TABLE.search(paragraph)
        if table is not None and table[1] != parts[-1][0]:
            parts.append((table[1], []))
        parts[-1][1].append(paragraph)
    begin = [re.sub("^# ?", "", each, flags=re.MULTILINE) for each in parts[0][1]]
    sections = [
        "\n\n".join([f"## {name}", "```toml\n" + "\n\n".join(paragraphs) + "\n```"])
        for name, paragraphs in parts[1:]
    ]
    return "\n\n".join(["# Settings", *begin, *sections]) + "\n"
