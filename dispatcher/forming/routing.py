"""Which reports go to which endpoint. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from dispatcher.endpoints.endpoint import Rules
from receiver.dlr.model import Report
from receiver.dlr.number import comparable
from receiver.store.base import ReportItem


class ReportReader:
    """Reads the items of stored reports: each at most once, and only when a rule asks.

    Many endpoints look at the same reports, and most rules need no more than the store's columns.
    """

    def __init__(self) -> None:
        self._reports: dict[int, Report] = {}

    def __call__(self, stored: ReportItem) -> Report:
        report = self._reports.get(stored.id)
        if report is None:
            report = self._reports[stored.id] = stored.read()
        return report


Read = Callable[[ReportItem], Report]

_INDEXED: Sequence[tuple[str, Callable[[ReportItem, Read], str | None]]] = (
    ("sources", lambda stored, _: stored.source),
    ("application_ids", lambda stored, read: read(stored).application_id),
    ("entity_ids", lambda stored, read: read(stored).entity_id),
    ("bulk_ids", lambda stored, read: read(stored).bulk_id),
    ("senders", lambda stored, read: comparable(read(stored).sender or "")),
)
"""The fields of Rules that ask for one of some values, and the value of a report."""


_Places = tuple[dict[str | None, list[int]], list[int]]
"""The places of the reports with each value, and of those of which it cannot be told."""


class Routes:
    """Reports that many endpoints look at, and which of them may go to each.

    A hundred endpoints that each take the reports of one source look at their own, and not each at
    all. `among` narrows; what goes to an endpoint, `goes_to` says.
    """

    def __init__(self, reports: Sequence[ReportItem]) -> None:
        self._reports = reports
        self.read: Read = ReportReader()
        self._by_value: dict[str, _Places] = {}

    def among(self, rules: Rules) -> Iterable[int]:
        """The places, ascending, of the reports that may go to an endpoint with these rules."""
        if rules.nothing:
            return ()
        for name, value_of in _INDEXED:
            if values := getattr(rules, name):
                places, unreadable = self._places(name, value_of)
                found = (places.get(value, ()) for value in values)
                return sorted({*chain.from_iterable(found), *unreadable})
        return range(len(self._reports))

    def _places(self, name: str, value_of: Callable[[ReportItem, Read], str | None]) -> _Places:
        if name not in self._by_value:
            found, unreadable = self._by_value[name] = {}, []
            for place, report in enumerate(self._reports):
                try:
                    found.setdefault(value_of(report, self.read), []).append(place)
                except Exception:  # noqa: BLE001 - a failure of those whose rules ask for it
                    unreadable.append(place)
        return self._by_value[name]


def goes_to(
    stored: ReportItem,
    rules: Rules,
    read: Read = ReportItem.read,
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


def going_to(rules: Rules, read: Read) -> Callable[[ReportItem], bool]:
    """As `goes_to`, for many reports: an endpoint that asks for nothing is most endpoints."""
    if rules == Rules():
        return lambda stored: stored.notify_to is None
    return lambda stored: goes_to(stored, rules, read)


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
