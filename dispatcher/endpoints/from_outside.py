"""What may be said of an endpoint over the API, where the word is not the operator's. Pure.

Whoever may change endpoints must not read by that what never comes out: neither this machine's
files, nor the secrets of an endpoint, which would be pushed to whatever host it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yarl import URL

from dispatcher.security.addresses import url_fault

FILES = ("ca_file", "certificate_file", "key_file")

_BY_THE_OPERATOR = "which only the operator may do, in the settings file or with `dlr endpoints`"


def faults_from_outside(changes: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be said of an endpoint from outside; `before` are its settings, or nothing."""
    for place, url in urls_in(changes).items():
        if (wrong := url_fault(url)) is not None:
            yield f"{place}: {wrong}"
    for name in FILES:
        if _within(changes, "tls", name) is not None:
            yield f"tls.{name}: names a file on this machine, {_BY_THE_OPERATOR}"
        elif _within(before, "tls", name) is not None and _takes_out(changes, "tls", name):
            # Without its own authority, the secrets would be told to anyone with a certificate.
            yield f"tls.{name}: removes a restriction on trusted certificates, {_BY_THE_OPERATOR}"
    if moves_away(before, changes):
        for name in ("headers", "security"):
            if name in before and name not in changes:
                yield (f"{name}: belong to the previous host; give new ones for this host, or null")
        if "url" not in changes and _holds_secrets(before.get("url")):
            yield (
                "url: its password or query belongs to the previous Host header; give the URL again"
            )
    elif _is_elsewhere(
        _within(before, "security", "token_url"), _within(changes, "security", "token_url")
    ) and not _within(changes, "security", "client_secret"):
        yield (
            "security.client_secret: belongs to the previous token_url; give the one for"
            " this token_url"
        )


def moves_away(before: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Whether an endpoint is to be pushed to at another host, port or scheme. Where many customers
    share a server, its header `Host` chooses among them as the URL does."""
    return _is_elsewhere(before.get("url"), changes.get("url")) or (
        bool(before) and _hosts_after(before, changes) != _hosts(before.get("headers"))
    )


def _hosts_after(before: Mapping[str, Any], changes: Mapping[str, Any]) -> set[str]:
    """The headers `Host` once the changes are merged in."""
    if "headers" not in changes:
        return _hosts(before.get("headers"))
    said = changes["headers"]
    if not isinstance(said, Mapping):
        return set()
    kept = before.get("headers")
    return _hosts({**(kept if isinstance(kept, Mapping) else {}), **said})


def _hosts(headers: Any) -> set[str]:
    """Their values, whatever the case of the name: two of them are two."""
    if not isinstance(headers, Mapping):
        return set()
    return {
        str(value)
        for name, value in headers.items()
        if str(name).lower() == "host" and value is not None
    }


def _holds_secrets(url: Any) -> bool:
    """Whether a URL has a user, a password or a query, in which tokens travel."""
    try:
        read = URL(url)
    except (ValueError, TypeError):
        return True
    return read.raw_user is not None or bool(read.raw_query_string)


def _takes_out(changes: Mapping[str, Any], table: str, name: str) -> bool:
    """Whether a merge patch gives a key of a table its default."""
    if table not in changes:
        return False
    said = changes[table]
    return not isinstance(said, Mapping) or name in said


def urls_in(table: Mapping[str, Any]) -> dict[str, str]:
    """The URLs that these settings name, by their place."""
    places = {
        "url": table.get("url"),
        "security.token_url": _within(table, "security", "token_url"),
    }
    return {place: url for place, url in places.items() if isinstance(url, str)}


def _is_elsewhere(before: Any, url: Any) -> bool:
    if not isinstance(before, str) or not isinstance(url, str):
        return False
    return _origin(before) != _origin(url)


def _origin(url: str) -> object:
    try:
        return URL(url).origin()
    except ValueError:
        return url


def _within(table: Mapping[str, Any], *names: str) -> Any:
    value: Any = table
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
