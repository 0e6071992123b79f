"""Drives a client by lines: each of standard input is a call as JSON, each of standard output what
came of it. It runs where the client is installed; `tests.sdk.driven` is the other end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from infobip_api_client import exceptions
from infobip_api_client.api.sms_api import SmsApi
from infobip_api_client.api_client import ApiClient, Configuration
from pydantic import ValidationError

Calls = Mapping[str, Callable[..., Any]]


def serve(calls: Calls) -> None:
    """Each call gets the client's SmsApi and the arguments of its line."""
    for line in sys.stdin:
        print(json.dumps(_answer(calls, json.loads(line)), default=_text), flush=True)


def _answer(calls: Calls, asked: dict[str, Any]) -> dict[str, Any]:
    configuration = Configuration(host=asked["url"], **asked["credentials"])
    api = SmsApi(ApiClient(configuration))
    try:
        return {"answer": calls[asked["call"]](api, *asked["positional"], **asked["named"])}
    except exceptions.ApiException as error:
        return {"raised": type(error).__name__, "status": error.status, "data": error.data}
    except ValidationError as error:
        return {"raised": "ValidationError", "status": None, "data": str(error)}


def _text(value: Any) -> Any:
    """The client's models by their own names on the wire."""
    return value.isoformat() if isinstance(value, date) else value.to_dict()
