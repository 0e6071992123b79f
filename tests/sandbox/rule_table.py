"""All fields of the send API with a value that their rule refuses, and what is then told.

`python -m tests.sandbox.rule_table` writes dispatcher/sandbox/fields.md, which a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dispatcher.sandbox.api.send import POSTED, QUERIED
from dispatcher.sandbox.wire import preview
from dispatcher.sandbox.wire.rules import Rule, Text
from dispatcher.sandbox.wire.tables import Field, ListOf, Table

FIELDS = Path(__file__).parents[2] / "dispatcher" / "sandbox" / "fields.md"


class DocumentRule(NamedTuple):
    """What the documents say beyond a single field, and where; what the sandbox does; and the test
    that holds it, by its file in tests/ and its name."""

    says: str
    source: str
    does: str
    test: str


DOCUMENT_RULES = [
    DocumentRule(*line.split("\t"))
    for line in (Path(__file__).parents[1] / "data" / "sandbox" / "document_rules.tsv")
    .read_text("utf-8")
    .splitlines()
]

NULL = "must not be null"

REFUSED: dict[str, tuple[Any, str]] = {
    "text": ({}, "must be text, got an object"),
    "text, clipped at 100": ([], "must be text, got a list"),
    "text, clipped at 200": (True, "must be text, got true"),
    "object": ("x", 'must be an object, got "x"'),
    "list of at least one": ([], "must not be empty"),
    "true or false": ("perhaps", 'must be true or false, got "perhaps"'),
    "integer": (2**31, "must be between -2147483648 and 2147483647, got 2147483648"),
    "0 to 23": (24, "must be between 0 and 23, got 24"),
    "0 to 59": (-1, "must be between 0 and 59, got -1"),
    "0 to 255": (256, "must be between 0 and 255, got 256"),
    "1 to 2147483647": (0, "must be between 1 and 2147483647, got 0"),
    "1 to 9223372036854775807": (0, "must be between 1 and 9223372036854775807, got 0"),
    "instant, at most 180 days ahead": (
        "2027-05-21T10:00:00.000+0000",
        "must be at most 180 days ahead",
    ),
    "http or https URL": (
        "ftp://example.com/",
        'must be an http or https URL with a host, got "ftp://example.com/"',
    ),
    "3 to 11 characters, or 3 to 16 digits": (
        "CompanyNames",
        'must be 3 to 11 characters, or 3 to 16 digits, got "CompanyNames"',
    ),
    "pairs of hexadecimal digits": ("0f c", 'must be pairs of hexadecimal digits, got "0f c"'),
    "application/json or application/xml": (
        "text/csv",
        'must be application/json or application/xml, got "text/csv"',
    ),
    "SMS or URL": ("sms", 'must be SMS or URL, got "sms"'),
    "BIREYSEL or TACIR": ("OTHER", 'must be BIREYSEL or TACIR, got "OTHER"'),
    "MINUTE, HOUR or DAY": ("WEEK", 'must be MINUTE, HOUR or DAY, got "WEEK"'),
    "SECONDS, MINUTES or HOURS": ("DAYS", 'must be SECONDS, MINUTES or HOURS, got "DAYS"'),
    "NONE, TR, ES, PT or AUTODETECT": ("DE", 'must be NONE, TR, ES, PT or AUTODETECT, got "DE"'),
    "MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY or SUNDAY": (
        "FUNDAY",
        'must be MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY or SUNDAY, got "FUNDAY"',
    ),
    "NONE, ALL, TURKISH, GREEK, CYRILLIC, SERBIAN_CYRILLIC, BULGARIAN_CYRILLIC, "
    "CENTRAL_EUROPEAN, BALTIC, PORTUGUESE, COLOMBIAN or NON_UNICODE": (
        "KLINGON",
        "must be NONE, ALL, TURKISH, GREEK, CYRILLIC, SERBIAN_CYRILLIC, BULGARIAN_CYRILLIC, "
        "CENTRAL_EUROPEAN, BALTIC, PORTUGUESE, COLOMBIAN or NON_UNICODE, "
        'got "KLINGON"',
    ),
}
"""By the words of a rule: a value that it refuses, and the answer. Sized texts are in `refused`."""


def refused(rule: Rule) -> tuple[Any, str]:
    """A value that the rule refuses, and what is told of it. KeyError: the table lacks the rule."""
    if isinstance(rule, Text) and rule.most is not None:
        return "x" * (rule.most + 1), f"size must be between {rule.least} and {rule.most}"
    return REFUSED[rule.words()]


def rows(rule: Rule, place: str = "") -> Iterator[tuple[str, Field]]:
    """Place and field of every row of a table, and of the tables in it."""
    if isinstance(rule, ListOf):
        yield from rows(rule.item, f"{place}[0]")
    if isinstance(rule, Table):
        for field in rule.fields:
            inner = f"{place}.{field.name}" if place else field.name
            yield inner, field
            yield from rows(field.rule, inner)


def routes() -> dict[str, Table]:
    """The table of each route."""
    tables = {sending.path: sending.table for sending in (*POSTED, *QUERIED)}
    return {**tables, "/sms/1/preview": preview.REQUEST}


def document() -> str:
    lines = [
        "# The fields of the send API",
        "",
        "Written by `python -m tests.sandbox.rule_table` from the tables in `wire/`. Others are",
        "ignored. Sources: S0 to S4 are pages of the provider, OAS is its OpenAPI document, WL15",
        'its pages of 2015; "ours" is what none of them says.',
        "",
        *_fields(),
        "## What is told",
        "",
        "All faults of a request at once, 100 at most, with HTTP 400: in v1 and v2 as",
        '`"validationErrors":{PLACE:[TEXT]}`, in v3 as `"violations":[{"property":PLACE,',
        '"violation":TEXT}]`. A missing field that must be there is told as `must not be null`.',
        "",
        *_answers(),
        "",
        "## What the documents say of more than one field",
        "",
        "`yes`: the sandbox does it. Where the documents contradict each other, the row says which",
        "is followed; where they say nothing, what is ours. The source of this table is",
        "tests/data/sandbox/document_rules.tsv.",
        "",
        *_rules(),
        "",
    ]
    return "\n".join(lines)


def _fields() -> Iterator[str]:
    told: dict[int, str] = {}
    for path, table in routes().items():
        yield f"## {path}"
        yield ""
        if id(table) in told:
            yield f"As {told[id(table)]}."
        else:
            told[id(table)] = path
            yield "| field | must be | source |"
            yield "|---|---|---|"
            for place, field in rows(table):
                words = field.rule.words() + (", must be there" if field.required else "")
                yield f"| `{place.replace('[0]', '[]')}` | {words} | {field.source} |"
        yield ""


def _answers() -> Iterator[str]:
    yield "| must be | such as | answer |"
    yield "|---|---|---|"
    told = {}
    for table in routes().values():
        for _, field in rows(table):
            told[field.rule.words()] = refused(field.rule)
    for words, (value, answer) in sorted(told.items()):
        shown = f"{len(value)} characters" if len(str(value)) > 60 else f"`{value!r}`"
        yield f"| {words} | {shown} | {answer} |"


def _rules() -> Iterator[str]:
    yield "| the documents say | where | the sandbox | held by |"
    yield "|---|---|---|---|"
    for row in DOCUMENT_RULES:
        yield f"| {row.says} | {row.source} | {row.does} | `{row.test}` |"


if __name__ == "__main__":
    FIELDS.write_text(document())
