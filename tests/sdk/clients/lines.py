"""Drives a client by lines: each of standard input is a call as JSON, each of standard output what
came of it. It runs where the client is installed; `tests.sdk.driven` is the other end.

The call `unused` tells which methods of the client have not been called yet.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from infobip_api_client import exceptions
from infobip_api_client.api_client import Configuration

Calls = Mapping[str, Callable[..., Any]]

VARIANTS = ("_with_http_info", "_without_preload_content")
"""Ends of names: the same call again, with its answer in another form."""


class Watched:
    """Some APIs of the client as one, which remembers the methods that were asked for."""

    def __init__(self, apis: list[Any], used: set[str]) -> None:
        self._apis = apis
        self._used = used

    def __getattr__(self, name: str) -> Any:
        self._used.add(name)
        return getattr(next(api for api in self._apis if hasattr(api, name)), name)

    def methods(self) -> set[str]:
        """Those that are meant for users of the client."""
        return {
            name
            for api in self._apis
            for name in dir(api)
            if name[0] != "_" and name != "api_client" and not name.endswith(VARIANTS)
        }


def method(name: str) -> Callable[..., Any]:
    """A call that goes to a method of this name."""
    return lambda api, *positional, **named: getattr(api, name)(*positional, **named)


def serve(calls: Calls, connect: Callable[[Any], list[Any]]) -> None:
    """Each call gets the APIs that `connect` makes of a configuration, and the arguments of its
    line."""
    used: set[str] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        api = Watched(connect(Configuration(host=asked["url"], **asked["credentials"])), used)
        print(json.dumps(_answer(calls, api, asked), default=_text), flush=True)


def _answer(calls: Calls, api: Watched, asked: dict[str, Any]) -> dict[str, Any]:
    if asked["call"] == "unused":
        return {"answer": sorted(api.methods() - api._used)}
    try:
        return {"answer": calls[asked["call"]](api, *asked["positional"], **asked["named"])}
    except (exceptions.OpenApiException, ValueError) as error:  # pydantic's are ValueErrors
        status = getattr(error, "status", None)
        return {"raised": type(error).__name__, "status": status, "data": _data(error)}


def _data(error: Any) -> Any:
    """The client's model of an error; version 3 has none."""
    if hasattr(error, "data"):
        return error.data
    return json.loads(error.body) if getattr(error, "body", None) else str(error)


def _text(value: Any) -> Any:
    """The client's models by their own names on the wire."""
    return value.isoformat() if isinstance(value, date) else value.to_dict()
