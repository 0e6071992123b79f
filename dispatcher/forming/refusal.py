"""Which rules of an endpoint say no to a report, in words. Pure.

Each rule is asked alone, by the same `goes_to` that routes: so these words cannot disagree with
what the dispatcher does. A new field of Rules needs its row in `_SAID`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, structs

from dispatcher.endpoints.endpoint import Rules
from dispatcher.endpoints.own_urls import ANY
from dispatcher.forming.routing import Read, goes_to
from dispatcher.settings.settings import EndpointSettings
from receiver.dlr.model import Report
from receiver.dlr.statuses import GROUP_NAMES
from receiver.faults import joined, quoted, without_credentials
from receiver.store.base import StoredReport


class Refusal(Struct, frozen=True):
    """A rule that says no. `rule` is the setting of [[endpoint]] (`notifyUrl`: a report's own URL),
    `expected` what it demands, in the file's notation, `got` what the report has (None: nothing),
    and `words` are all of it."""

    rule: str
    expected: str
    got: str | None
    words: str


def refusals(
    stored: StoredReport,
    settings: EndpointSettings,
    rules: Rules,
    read: Read = StoredReport.read,
) -> list[Refusal]:
    """The rules that keep this report from the endpoint; none: it goes there. `rules` are those
    made of `settings`."""
    return [
        _refusal(field, stored, settings, rules, read)
        for field in Rules.__struct_fields__
        if not goes_to(stored, structs.replace(ANY, **{field: getattr(rules, field)}), read)
    ]


class _Said(Struct, frozen=True):
    """`got` is what a report has to say to a rule; `words` have a place for it, or, as `lacks`, are
    for a report that has nothing."""

    setting: str
    words: str
    lacks: str = ""
    got: Callable[[StoredReport, Report], str | None] = lambda *_: None


_SAID: Mapping[str, _Said] = {
    "nothing": _Said("reports", "", "it takes only what is replayed to it"),
    "own_urls": _Said(
        "notifyUrl",
        "the report came with its own notifyUrl, {}, which takes precedence over endpoints",
        "it takes only reports that came with their own notifyUrl",
        lambda stored, _: without_credentials(stored.notify_to.url) if stored.notify_to else None,
    ),
    "sources": _Said(
        "sources", "the report came from {}", got=lambda stored, _: quoted(stored.source)
    ),
    "final": _Said(
        "reports",
        "the report is {}",
        got=lambda stored, _: "final" if stored.final else "intermediate",
    ),
    "status_groups": _Said(
        "status_groups",
        "the report is {}",
        "the report has no status group",
        lambda stored, _: _group(stored.status_group),
    ),
    "senders": _Said(
        "senders",
        "the report's sender is {}",
        "the report has no sender",
        lambda _, report: _quoted(report.sender),
    ),
    "to_prefixes": _Said(
        "to_prefixes",
        "the report's recipient is {}",
        "the report has no recipient",
        lambda _, report: _quoted(report.to),
    ),
    "bulk_ids": _Said(
        "bulk_ids",
        "the report's bulkId is {}",
        "the report has no bulkId",
        lambda _, report: _quoted(report.bulk_id),
    ),
    "application_ids": _Said(
        "application_ids",
        "the report's applicationId is {}",
        "the report has no applicationId",
        lambda _, report: _quoted(report.application_id),
    ),
    "entity_ids": _Said(
        "entity_ids",
        "the report's entityId is {}",
        "the report has no entityId",
        lambda _, report: _quoted(report.entity_id),
    ),
    **dict.fromkeys(
        ("callback_data_prefix", "callback_data_fields"),
        _Said(
            "",  # as the field is called
            "the report's callbackData is {}",
            "the report has no callbackData",
            lambda _, report: _quoted(report.callback_data),
        ),
    ),
}


def _refusal(
    field: str, stored: StoredReport, settings: EndpointSettings, rules: Rules, read: Read
) -> Refusal:
    said = _SAID[field]
    setting = said.setting or field
    got = said.got(stored, read(stored))
    reason = said.lacks if got is None else said.words.format(got)
    if field == "own_urls":
        expected = "a notifyUrl" if rules.own_urls else "no notifyUrl"
        return Refusal(setting, expected, got, reason)
    expected = _in_toml(getattr(settings, setting))
    return Refusal(setting, expected, got, f"{setting} = {expected}: {reason}")


def _group(number: int | None) -> str | None:
    return None if number is None else GROUP_NAMES.get(number, f"of group {number}")


def _quoted(text: str | None) -> str | None:
    return quoted(text) if text else None


def _in_toml(value: Any) -> str:
    """A setting as the file has it: texts, lists and tables of texts."""
    if isinstance(value, dict):
        inner = ", ".join(f"{joined('', key)} = {quoted(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value, ensure_ascii=False)
