"""`dlr endpoints`: what it prints, and the settings that are typed."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from operator import attrgetter
from typing import Any

import click
from msgspec import Struct

from dispatcher.api.endpoint_answer import EndpointAnswer, endpoint_answer
from dispatcher.api.endpoints import retry_all, told_of_settings
from dispatcher.clocks.clock import SystemClock
from dispatcher.commands.audit import changing
from dispatcher.commands.console import Columns, fields
from dispatcher.commands.gone import counted
from dispatcher.commands.list_output import Listing
from dispatcher.commands.names import no_such
from dispatcher.commands.saying import say
from dispatcher.endpoints.registry import (
    EndpointExists,
    EndpointGone,
    EndpointInForce,
    Registered,
    Registry,
    UnknownEndpoint,
)
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.settings.settings import EndpointSettings
from dispatcher.storage import Storage
from receiver.answers import BadQuery
from receiver.faults import joined, without_credentials
from receiver.settings.configuration import Secret, hints_of

_STATES: tuple[DispatchState, ...] = ("waiting", "leased", "acknowledged", "exhausted")

ENDPOINT_COLUMNS: Columns = {
    **fields(EndpointAnswer, "name"),
    "url": lambda shown: shown.url or None,
    "contentType": lambda shown: shown.content_type or None,
    **fields(EndpointAnswer, "origin"),
    "changed": lambda shown: ", ".join(shown.changed),
    "paused": lambda shown: "paused" if shown.paused else None,
    "gone": lambda shown: "gone" if shown.gone else None,
    **fields(EndpointAnswer, "unread"),
    **{state: attrgetter(f"dispatches.{state}") for state in _STATES},
    "faults": lambda shown: "; ".join(shown.faults),
}


async def print_endpoints(opened: Storage, registry: Registry, listing: Listing) -> None:
    """The endpoints in force, the file's first, and last those that have left it."""
    found = (await registry.listed()).values()

    async def rows() -> AsyncIterator[Registered]:
        for each in found:
            yield each

    await listing.print(rows(), await _answers(opened), ENDPOINT_COLUMNS, lambda _: 0.0)


async def print_endpoint(opened: Storage, registry: Registry, name: str, listing: Listing) -> None:
    """One endpoint: a line for each thing that is known of it, or as a list of one."""
    answer = await _answers(opened)
    found = await asked(registry, registry.one(name))
    listing.print_one(answer(found), ENDPOINT_COLUMNS)


async def _answers(opened: Storage) -> Callable[[Registered], Struct]:
    """What is said of an endpoint, with its dispatches by state and what it has not read."""
    counts = await opened.queue.counts()
    unread = (await opened.figures.depths()).unread
    return lambda each: endpoint_answer(each, counts.get(each.name, {}), unread.get(each.name, 0))


async def add(
    opened: Storage, registry: Registry, name: str, url: str, settings: dict[str, Any]
) -> None:
    for key in ("name", "url"):
        if key in settings:
            raise BadQuery(f"{key}: it has an argument of its own")
    table = {"name": name, "url": url, **settings}
    async with changing(opened, "addEndpoint", name) as told:
        told.details |= told_of_settings(table)
        try:
            await registry.add(table, from_outside=False)
        except EndpointExists as error:
            raise BadQuery(str(error)) from error
    say(f"{name}: added, {without_credentials(url)}")


async def change(opened: Storage, registry: Registry, name: str, settings: dict[str, Any]) -> None:
    if not settings:
        raise BadQuery("nothing to change: give --set KEY=VALUE, --secret KEY or --unset KEY")
    async with changing(opened, "changeEndpoint", name) as told:
        told.details |= told_of_settings(settings)
        await asked(registry, registry.change(name, settings, from_outside=False))
    say(f"{name}: changed {', '.join(settings)}")


async def hold(opened: Storage, registry: Registry, name: str, paused: bool) -> None:
    async with changing(opened, "pauseEndpoint" if paused else "resumeEndpoint", name):
        await asked(registry, registry.pause(name, paused))
    said = "paused; its reports wait and use up no retries" if paused else "resumed"
    say(f"{name}: {said}")


async def resume_as(opened: Storage, registry: Registry, name: str, other: str) -> None:
    async with changing(opened, "resumeEndpoint", name) as about:
        about.details["as"] = other
        try:
            taken = await asked(registry, registry.resume_as(name, other))
        except EndpointInForce as error:
            raise BadQuery(str(error)) from error
    dispatches = counted(taken.dispatches, "dispatch", "es")
    reports = counted(taken.reports, "unread report")
    say(f"{name}: continues as {other}, which takes over {dispatches} and {reports}")


async def retry(opened: Storage, registry: Registry, name: str) -> None:
    async with changing(opened, "retryEndpoint", name) as told:
        retrying = retry_all(registry, opened.queue, name, SystemClock().now())
        told.details["retried"] = retried = await asked(registry, retrying)
    say(f"{name}: {counted(retried, 'dispatch', 'es')} due now")


async def remove(opened: Storage, registry: Registry, name: str) -> None:
    async with changing(opened, "removeEndpoint", name) as told:
        cancelled = await asked(registry, registry.remove(name))
        told.details["cancelled"] = cancelled
    say(f"{name}: removed; {counted(cancelled, 'waiting dispatch', 'es')} cancelled")


async def reset(opened: Storage, registry: Registry, name: str) -> None:
    async with changing(opened, "resetEndpoint", name):
        try:
            await registry.reset(name)
        except UnknownEndpoint as error:
            text = f"{error} in the settings file, so it cannot be reset"
            raise BadQuery(text) from error
    say(f"{name}: as the settings file says")


async def asked(registry: Registry, change: Coroutine[Any, Any, Any]) -> Any:
    """Raises BadQuery, with the endpoints that there are, for one that there is not."""
    try:
        return await change
    except EndpointGone as error:
        raise BadQuery(str(error)) from error
    except UnknownEndpoint as error:
        raise BadQuery(no_such("endpoint", error.name, await registry.all())) from error


# --- settings that are typed -------------------------------------------------------------------


def typed(
    given: Iterable[str],
    secrets: Iterable[str] = (),
    unset: Iterable[str] = (),
    ask: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """The table that these arguments make. `given` are `key=value`, with dots in the key for tables
    and the value in TOML; what is no TOML is a text. Raises BadQuery, also for a secret among
    them: a command line is in the shell's history, and every user of the machine sees it."""
    table: dict[str, Any] = {}
    for each in given:
        key, mark, text = each.partition("=")
        if not mark:
            raise BadQuery(f'--set: expected key=value, got {len(key)} characters without "="')
        _put(table, key, _value(text))
    for key in secrets_in(EndpointSettings, table):
        raise BadQuery(
            f"--set: {key} is a secret and would stay in the shell history: {_UNSEEN % key}"
        )
    for key in secrets:
        _put(table, key, (ask or _ask)(key))
    for key in unset:
        _put(table, key, None)
    return table


_UNSEEN = "use --secret %s, which prompts for it or reads it from stdin (--secret KEY < FILE)"

_OFTEN_SECRET = ("auth", "cookie", "key", "pass", "secret", "sign", "token")
"""In the names of headers whose value is a secret. Any other header may be typed."""


def secrets_in(kind: Any, table: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places in a table of settings that have a secret."""
    hints = hints_of(kind)
    for key, value in table.items():
        hint, at = hints.get(key), joined(place, key)
        if hint is None or value is None:
            continue
        if hint.base is Secret:
            yield at
        elif hint.section and isinstance(value, dict):
            yield from secrets_in(hint.base, value, at)
        elif key == "headers" and isinstance(value, dict):
            for name in value:
                if any(word in name.lower() for word in _OFTEN_SECRET):
                    yield joined(at, name)


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = _path(key)
    inner: Any = table
    for name in outer:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            break
    if not isinstance(inner, dict) or last in inner:
        raise BadQuery(f"{key}: it is given twice")
    inner[last] = value


def _path(key: str) -> list[str]:
    """`security.type` as its two names. A name with dots stands in quotes, as in TOML."""
    try:
        table: Any = tomllib.loads(f"{key.strip()} = 0") if "\n" not in key else None
    except tomllib.TOMLDecodeError:
        table = None
    if not table:
        got = f"a text of {len(key)} characters"  # which may be a secret in the wrong place
        raise BadQuery(f"expected a key such as window or security.type, got {got}")
    path = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        path.append(name)
    return path


def _value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except ValueError:
        return text
    return table["value"] if list(table) == ["value"] else text


def _ask(key: str) -> str:
    """A secret from the terminal, unseen, or a line of what is piped in."""
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True))
    return sys.stdin.readline().rstrip("\n")
