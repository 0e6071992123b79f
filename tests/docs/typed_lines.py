"""Whether a line that a document shows would be taken: by the command line, or by the API."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
from jsonschema_rs import Draft202012Validator

from dispatcher.cli import cli

Document = dict[str, Any]


def fault_of_dlr(words: Sequence[str]) -> str | None:
    """What the command line says of `dlr` with these words, without running it; `None`: takes it.

    Files that must be there are looked for in the working directory.
    """
    command, rest, path = _command(words)
    try:
        if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            return f"there is no command {path} {rest[0]}"
        command.make_context(path, rest)
    except click.ClickException as error:
        return error.format_message()
    return None


def fault_of_words(words: Sequence[str]) -> str | None:
    """The same where some words stand for values, such as ID: only names are looked at, and how
    many arguments there are."""
    command, rest, path = _command(words)
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        return f"there is no command {path} {rest[0]}"
    try:
        _, left, _ = command.make_parser(click.Context(command, info_name=path)).parse_args(rest)
    except click.MissingParameter:
        return None  # it is named in a sentence
    except click.ClickException as error:
        return error.format_message()
    return f"{path} takes no {left[0]}" if left else None


def _command(words: Sequence[str]) -> tuple[click.Command, list[str], str]:
    """The command that is named, the words after its name, and its name."""
    command: click.Command = cli
    rest, path = list(words), "dlr"
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            break
        command, path = found, f"{path} {rest.pop(0)}"
    return command, rest, path


# --- curl --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What `curl` would send."""

    method: str
    path: str
    query: list[str] = field(default_factory=list)
    content_type: str | None = None
    body: str | None = None


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ValueError(message)


def request_of(words: Sequence[str]) -> Request:
    """The request of `curl` with these words. Raises ValueError for options not known here."""
    options = _Options(add_help=False, allow_abbrev=False)
    options.add_argument("url")
    options.add_argument("-s", action="store_true")
    options.add_argument("-X", dest="method")
    options.add_argument("-H", dest="headers", action="append", default=[])
    options.add_argument("-d", dest="body")
    told = options.parse_args(list(words))
    url = urlsplit(told.url)
    headers = {
        name.lower(): text.strip() for name, _, text in (h.partition(":") for h in told.headers)
    }
    return Request(
        method=told.method or ("GET" if told.body is None else "POST"),
        path=url.path,
        query=[name for name, _ in parse_qsl(url.query, keep_blank_values=True)],
        content_type=headers.get("content-type"),
        body=told.body,
    )


def fault_of_request(request: Request, document: Document) -> str | None:
    """What the API described in `document` does not know of a request; `None`: it takes it."""
    operation = _operation(request, document)
    if operation is None:
        return f"there is no {request.method} {request.path}"
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    if strange := [name for name in request.query if name not in known]:
        return f"{request.path} takes no {strange[0]}"
    return _fault_of_body(request, operation, document)


def _operation(request: Request, document: Document) -> Document | None:
    for path, methods in document["paths"].items():
        if re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)), request.path):
            found: Document | None = methods.get(request.method.lower())
            return found
    return None


def _fault_of_body(request: Request, operation: Document, document: Document) -> str | None:
    if request.body is None:
        return None
    if "requestBody" not in operation:
        return f"{request.method} {request.path} takes no body"
    content = operation["requestBody"]["content"]
    schema = content[request.content_type or "application/json"].get("schema", {})
    whole = {**schema, "components": document["components"]}
    try:
        Draft202012Validator(whole).validate(json.loads(request.body))
    except ValueError as error:  # no JSON, or not as the schema has it
        return f"{request.path}: {error}"
    return None
