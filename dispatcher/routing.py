"""Which reports go to which endpoint."""

from __future__ import annotations

from dispatcher.endpoint import Rules
from receiver.store.base import StoredReport


def goes_to(report: StoredReport, rules: Rules) -> bool:
    """Whether an endpoint with these rules gets this report."""
    return (
        (not rules.sources or report.source in rules.sources)
        and (rules.final is None or report.final == rules.final)
        and (not rules.status_groups or report.status_group in rules.status_groups)
    )
