"""Names that are typed: an endpoint, a source or a status that there is not is a fault, and no
empty list.

What the database has is a name too, even if no settings have it any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import click

from dispatcher.endpoints.registry import registry_of
from dispatcher.settings.settings import OWN_URLS, Settings, sources_of
from dispatcher.storage import Storage
from receiver.dlr.sms_errors import errors
from receiver.dlr.statuses import GROUP_NUMBERS, STATUS_NAMES
from receiver.store.base import ReportQuery

_ENDPOINTS = ("endpoint", "to_endpoint")
_STATUSES = {"status": "statuses", "statuses": "statuses", "error": "errors"}
"""Parameters of commands that name statuses or errors, and their field in a ReportQuery."""


async def check_names(opened: Storage, settings: Settings, given: Mapping[str, Any]) -> None:
    """Raises BadParameter for the first of a command's parameters that names what there is not."""
    for name in _ENDPOINTS:
        if given.get(name) is not None:
            await _endpoint(opened, settings, name, given[name])
    if given.get("source") is not None:
        await _source(opened, settings, given["source"])
    for name, field in _STATUSES.items():
        for word in _words(given.get(name)):
            await _status(opened, name, field, word)


def no_such(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, what may be meant, and what there is."""
    there = list(known)
    close = get_close_matches(name, there, 1)
    meant = f' Did you mean "{close[0]}"?' if close else ""
    listed = ", ".join(there) or "none yet"
    return f'there is no {what} "{name}".{meant} There are: {listed}.'


async def _endpoint(opened: Storage, settings: Settings, parameter: str, name: str) -> None:
    listed = await registry_of(opened.endpoints, settings).listed()
    if name in listed or name == OWN_URLS or name in await opened.selector.endpoints_ever():
        return
    raise _bad(parameter, no_such("endpoint", name, listed))


async def _source(opened: Storage, settings: Settings, name: str) -> None:
    known = sources_of(settings)
    if name not in known and not await _any(opened, source=name):
        raise _bad("source", no_such("source", name, known))


async def _status(opened: Storage, parameter: str, field: str, word: str) -> None:
    """A name that is nearly one of the provider's. Others may be new ones of the provider."""
    known = errors() if field == "errors" else STATUS_NAMES
    name = word.strip().upper()
    close = get_close_matches(name, known, 3, 0.8)
    is_group = field == "statuses" and name in GROUP_NUMBERS
    if name in known or not (close or is_group) or await _any(opened, **{field: (name,)}):
        return
    if is_group:
        raise _bad(parameter, f'"{name}" is a group of statuses. Use --status-group.')
    what = "error" if field == "errors" else "status"
    meant = " or ".join(f'"{each}"' for each in close)
    raise _bad(parameter, f'there is no {what} "{name}". Did you mean {meant}?')


async def _any(opened: Storage, **filters: Any) -> bool:
    """Whether a report is stored of which this is true."""
    query = ReportQuery(limit=1, **filters)
    while True:
        found = await opened.store.find(query)
        if found.reports or found.next is None:
            return bool(found.reports)
        query = replace(query, before=found.next)


def _words(given: Any) -> Iterator[str]:
    texts = (given,) if isinstance(given, str) else given or ()
    for text in texts:
        yield from (word for word in str(text).split(",") if not word.strip().lstrip("-").isdigit())


def _bad(parameter: str, text: str) -> click.BadParameter:
    context = click.get_current_context(silent=True)
    options = [] if context is None else context.command.params
    named = next((each for each in options if each.name == parameter), None)
    return click.BadParameter(text, ctx=context, param=named)
