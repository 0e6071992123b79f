"""Which reports go to which endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable

from dispatcher.endpoints.endpoint import Rules
from receiver.dlr.model import Report
from receiver.dlr.number import comparable
from receiver.store.base import StoredReport


class ReportReader:
    """Reads the items of stored reports: each at most once, and only when a rule asks.

    Many endpoints look at the same reports, and most rules need no more than the store's columns.
    """

    def __init__(self) -> None:
        self._reports: dict[int, Report] = {}

    def __call__(self, stored: StoredReport) -> Report:
        report = self._reports.get(stored.id)
        if report is None:
            report = self._reports[stored.id] = stored.read()
        return report


def goes_to(
    stored: StoredReport,
    rules: Rules,
    read: Callable[[StoredReport], Report] = StoredReport.read,
) -> bool:
    """Whether an endpoint with these rules gets this report. `read` is asked only for fields."""
    return (
        not rules.nothing
        and rules.own_urls in (None, stored.notify_to is not None)
        and (not rules.sources or stored.source in rules.sources)
        and (rules.final is None or stored.final == rules.final)
        and (not rules.status_groups or stored.status_group in rules.status_groups)
        and (not rules.asks_fields or _fields_agree(read(stored), rules))
    )


def _fields_agree(report: Report, rules: Rules) -> bool:
    return (
        (not rules.senders or comparable(report.sender or "") in rules.senders)
        and (not rules.to_prefixes or comparable(report.to or "").startswith(rules.to_prefixes))
        and (not rules.bulk_ids or report.bulk_id in rules.bulk_ids)
        and (not rules.application_ids or report.application_id in rules.application_ids)
        and (not rules.entity_ids or report.entity_id in rules.entity_ids)
        and _callback_data_agrees(report.callback_data or "", rules)
    )


def _callback_data_agrees(data: str, rules: Rules) -> bool:
    if rules.callback_data_prefix and not data.startswith(rules.callback_data_prefix):
        return False
    if not rules.callback_data_fields:
        return True
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and all(
        name in fields and _text(fields[name]) == value
        for name, value in rules.callback_data_fields.items()
    )


def _text(value: object) -> str:
    """A JSON value as it is written in a rule: texts without quotes, the rest as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value)
