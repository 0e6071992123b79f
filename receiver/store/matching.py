"""What a query of reports asks of an item and of an outcome.

Indexes only narrow a search down: each candidate is compared here, so that every database finds the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from receiver.dlr.instants import parse_instant
from receiver.dlr.number import comparable, comparable_prefix
from receiver.store.base import ReportQuery, StoredReport
from receiver.store.excerpt import Excerpt, ReportOutcome, excerpt_of, outcome_of


def asks_for_outcome(query: ReportQuery) -> bool:
    """Whether a look at the outcomes that occur can narrow the search."""
    return bool(
        query.statuses
        or query.errors
        or query.status_groups
        or query.final is not None
        or query.permanent is not None
    )


def matches(report: StoredReport, query: ReportQuery) -> bool:
    """Whether a report is one that the query asks for, whoever has found it."""
    return (
        query.source in (None, report.source)
        and query.final in (None, report.final)
        and (not query.status_groups or report.status_group in query.status_groups)
        and _lies_in(report.received_at, query.received_since, query.received_until)
        and item_matches(report, query)
    )


def item_matches(report: StoredReport, query: ReportQuery) -> bool:
    """Whether the report's item says what the query asks for.

    What stands in columns of its own (source, finality, status group, time of receipt) is compared
    by the database.
    """
    if not _asks_for_item(query):
        return True
    excerpt = excerpt_of(report.item, report.generation)
    return _has_texts(excerpt, query) and _has_outcome(report, excerpt, query)


def _asks_for_item(query: ReportQuery) -> bool:
    texts = (
        query.text,
        query.message_id,
        query.bulk_id,
        query.to,
        query.to_prefix,
        query.sender,
        query.permanent,
        query.callback_data,
        query.callback_data_contains,
        query.done_since,
        query.done_until,
    )
    return bool(query.statuses or query.errors) or any(text is not None for text in texts)


def _has_texts(excerpt: Excerpt, query: ReportQuery) -> bool:
    exact = (
        (query.message_id, excerpt.message_id),
        (query.bulk_id, excerpt.bulk_id),
        (query.callback_data, excerpt.callback_data),
    )
    return (
        all(wanted is None or wanted == text for wanted, text in exact)
        and _has_numbers(excerpt, query)
        and (query.text is None or _mentions(excerpt, query.text))
        and _contains(excerpt.callback_data, query.callback_data_contains)
        and _is_done(excerpt, query)
    )


def _has_numbers(excerpt: Excerpt, query: ReportQuery) -> bool:
    """The query has its numbers in the comparable form already."""
    to = None if excerpt.to is None else comparable(excerpt.to)
    sender = None if excerpt.sender is None else comparable(excerpt.sender)
    return (
        query.to in (None, to)
        and (query.to_prefix is None or (to or "").startswith(query.to_prefix))
        and query.sender in (None, sender)
    )


def _contains(text: str | None, part: str | None) -> bool:
    return part is None or (text is not None and part in text)


def _mentions(excerpt: Excerpt, text: str) -> bool:
    wanted = text.casefold()
    if any(
        wanted in each.casefold() for each in (excerpt.message_id, excerpt.callback_data) if each
    ):
        return True
    return excerpt.to is not None and comparable_prefix(text) in comparable(excerpt.to)


def _is_done(excerpt: Excerpt, query: ReportQuery) -> bool:
    if query.done_since is None and query.done_until is None:
        return True
    if excerpt.done_at is None:
        return False
    return _lies_in(parse_instant(excerpt.done_at), query.done_since, query.done_until)


def _lies_in(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def _has_outcome(report: StoredReport, excerpt: Excerpt, query: ReportQuery) -> bool:
    if not (query.statuses or query.errors or query.permanent is not None):
        return True
    outcome = outcome_of(report.final, report.status_group, *excerpt.said())
    return outcome_matches(outcome, query)


def outcome_matches(outcome: ReportOutcome, query: ReportQuery) -> bool:
    """Whether a report with this outcome can be one that the query asks for."""
    return (
        (query.final is None or outcome.final == query.final)
        and (not query.status_groups or outcome.status_group in query.status_groups)
        and _is_one_of(outcome.status_id, outcome.status_name, query.statuses)
        and _is_one_of(outcome.error_id, outcome.error_name, query.errors)
        and (query.permanent is None or outcome.permanent == query.permanent)
    )


def _is_one_of(id: int | None, name: str | None, wanted: Sequence[int | str]) -> bool:
    return not wanted or (id is not None and id in wanted) or (name is not None and name in wanted)
