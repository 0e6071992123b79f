"""What is typed on the sandbox's page, as the JSON that the sandbox's routes take. Pure.

Nothing is judged here: a number that is none stays the text that was typed, so that the tables of
the send API and the settings say what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from receiver.faults import Misfit

Typed = Mapping[str, str]
"""What a form holds, by the names of its fields."""


def sms_document(typed: Typed) -> dict[str, Any]:
    """The body of POST /sms/3/messages. Several numbers are parted by blanks or commas."""
    numbers = re.split(r"[,;\s]+", _said(typed, "to") or "")
    message = _given(
        sender=_said(typed, "sender"),
        destinations=[{"to": number} for number in numbers if number] or [{"to": ""}],
        content=_given(
            text=typed.get("text", ""),
            transliteration=_said(typed, "transliteration"),
            language=_given(languageCode=_said(typed, "language")),
        ),
        options=_given(validityPeriod=_validity(typed), flash=_ticked(typed, "flash")),
        webhooks=_given(
            delivery=_given(
                url=_said(typed, "notifyUrl"), intermediateReport=_ticked(typed, "intermediate")
            ),
            contentType=_said(typed, "contentType"),
            callbackData=_said(typed, "callbackData"),
        ),
    )
    options = _given(
        schedule=_given(sendAt=_said(typed, "sendAt")),
        tracking=_given(
            shortenUrl=_ticked(typed, "shorten"),
            trackClicks=_ticked(typed, "shorten"),
            trackingUrl=_said(typed, "trackingUrl"),
        ),
    )
    document = {"messages": [message], "options": options}
    return {name: value for name, value in document.items() if value is not None}


_PLACES: Final = {
    "to": r"destinations\[\d+\]",
    "sender": r"sender",
    "text": r"content(\.text|\.hex)?$",
    "transliteration": r"content\.transliteration",
    "language": r"content\.language",
    "validity": r"validityPeriod",
    "notifyUrl": r"delivery\.url",
    "contentType": r"contentType",
    "callbackData": r"callbackData",
    "sendAt": r"sendAt",
    "trackingUrl": r"options\.tracking|trackingUrl",
}
"""Where in the document what is typed in a field goes."""


def faults_by_field(misfits: Iterable[Misfit]) -> dict[str, str]:
    """The first fault of each field of the form that sends."""
    found: dict[str, str] = {}
    for misfit in misfits:
        for name, place in _PLACES.items():
            if re.search(place, misfit.place):
                found.setdefault(name, misfit.reason)
                break
    return found


def incoming_document(typed: Typed) -> dict[str, Any]:
    """The body of POST /sandbox/inbox."""
    names = ("from", "to", "keyword", "url", "callbackData")
    said = {name: _said(typed, name) for name in names}
    return {"text": typed.get("text", ""), **{k: v for k, v in said.items() if v is not None}}


def rule_table(typed: Typed) -> dict[str, Any]:
    """A rule of outcomes, in the settings' names."""
    texts = ("to", "sender", "text", "callback_data", "status", "error", "after", "told")
    said: dict[str, Any] = {name: _said(typed, name) for name in texts}
    said["share"] = _number(typed, "share")
    return {name: value for name, value in said.items() if value is not None}


def fault_table(typed: Typed) -> dict[str, Any]:
    """A rule of trouble, in the settings' names."""
    said: dict[str, Any] = {
        "status": _number(typed, "status"),
        "next": _number(typed, "next"),
        "route": _said(typed, "route"),
        "to": _said(typed, "to"),
        "share": _number(typed, "share"),
        "delay": _said(typed, "delay"),
        "drop": _said(typed, "connection") == "drop" or None,
        "reset": _said(typed, "connection") == "reset" or None,
        "body": _said(typed, "body"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _said(typed: Typed, name: str) -> str | None:
    """What was typed without the blanks around it; `None`: nothing."""
    return typed.get(name, "").strip() or None


def _ticked(typed: Typed, name: str) -> bool | None:
    return True if typed.get(name) else None


def _number(typed: Typed, name: str) -> int | float | str | None:
    said = _said(typed, name)
    for kind in (int, float):
        try:
            return None if said is None else kind(said)
        except ValueError:
            pass
    return said


def _validity(typed: Typed) -> dict[str, Any] | None:
    amount = _number(typed, "validity")
    if amount is None:
        return None
    return {"amount": amount, "timeUnit": _said(typed, "validityUnit") or "MINUTES"}


def _given(**fields: Any) -> dict[str, Any] | None:
    """The fields that are there; `None` if none is."""
    given = {name: value for name, value in fields.items() if value is not None}
    return given or None
