"""Rules that no report and no message can ever match. Pure.

They are no fault of the settings: an endpoint with such a rule works, and gets only what is
replayed to it. Whoever wrote the rule meant something else, so `dlr check` names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dispatcher.settings.sandbox import FaultRule, InboundRule, OutcomeRule
from dispatcher.settings.settings import EndpointSettings, Settings
from receiver.dlr.model import Status
from receiver.dlr.number import comparable, comparable_prefix
from receiver.dlr.statuses import GROUP_NUMBERS, SMS_STATUSES, is_final

_DIGITS_MOST: Final = 15
"""Of an international number, country code included (ITU-T E.164)."""

_DIGITS_LEAST: Final = 5
"""Of a number that the sandbox takes."""

_START_OF_OBJECT = re.compile(r'[ \t\r\n]*(\{[ \t\r\n]*("|$)|$)', re.DOTALL)


def never_matching(settings: Settings) -> Iterator[tuple[str, str]]:
    """The place of each such rule, and why nothing matches it."""
    for index, endpoint in enumerate(settings.endpoint):
        for place, reason in _of_endpoint(endpoint):
            yield f"endpoint[{index}].{place}", reason
    for index, rule in enumerate(settings.sandbox.outcome):
        for place, reason in _of_outcome(rule, settings.sandbox.outcome[:index]):
            yield f"sandbox.outcome[{index}].{place}".rstrip("."), reason
    for index, fault in enumerate(settings.sandbox.fault):
        for place, reason in _of_fault(fault):
            yield f"sandbox.fault[{index}].{place}", reason
    for index, inbound in enumerate(settings.sandbox.inbound):
        for place, reason in _of_inbound(inbound, settings.sandbox.inbound[:index]):
            yield f"sandbox.inbound[{index}].{place}".rstrip("."), reason


def _of_endpoint(endpoint: EndpointSettings) -> Iterator[tuple[str, str]]:
    for index, prefix in enumerate(endpoint.to_prefixes):
        if (reason := _why_no_number(comparable_prefix(prefix))) is not None:
            yield f"to_prefixes[{index}]", f"{reason}, got {prefix}"
    groups = [name for name in endpoint.status_groups if not _can_be(name, endpoint.reports)]
    if groups and len(groups) == len(endpoint.status_groups):
        yield "status_groups", f"no {endpoint.reports} report is {' or '.join(groups)}"
    if endpoint.callback_data_fields and not _START_OF_OBJECT.match(endpoint.callback_data_prefix):
        yield (
            "callback_data_prefix",
            "no JSON object starts with it, but callback_data_fields requires one,"
            f" got {endpoint.callback_data_prefix}",
        )


def _why_no_number(digits: str) -> str | None:
    if digits.startswith("0"):
        return "numbers start with a country code, and no country code starts with 0"
    if len(digits) > _DIGITS_MOST:
        return f"no number has more than {_DIGITS_MOST} digits"
    return None


def _can_be(group: str, reports: str) -> bool:
    """Whether such reports exist: what is PENDING, for instance, is never final."""
    if reports not in ("final", "intermediate"):
        return True
    number = GROUP_NUMBERS[group]
    statuses = [Status(group_id=number, id=id) for of, id in SMS_STATUSES if of == number]
    return any(is_final(each) == (reports == "final") for each in statuses)


def _of_outcome(rule: OutcomeRule, before: Sequence[OutcomeRule]) -> Iterator[tuple[str, str]]:
    if rule.share == 0:
        yield "share", "a share of 0 matches no message"
    yield from _of_recipient(rule.to)
    for index, earlier in enumerate(before):
        if earlier.share == 1 and _takes_all_of(earlier, rule):
            yield "", f"the earlier rule outcome[{index}] matches all of its messages"
            return


def _of_fault(rule: FaultRule) -> Iterator[tuple[str, str]]:
    if rule.share == 0:
        yield "share", "a share of 0 matches no request"
    yield from _of_recipient(rule.to)


def _of_recipient(to: str) -> Iterator[tuple[str, str]]:
    if not to:
        return
    digits = comparable_prefix(to.removesuffix("*"))
    reason = _why_no_number(digits)
    if reason is None and not to.endswith("*") and len(digits) < _DIGITS_LEAST:
        reason = f"no number has fewer than {_DIGITS_LEAST} digits"
    if reason is not None:
        yield "to", f"{reason}, got {to}"


def _takes_all_of(earlier: OutcomeRule, rule: OutcomeRule) -> bool:
    return (
        _is_wider(earlier.to, rule.to)
        and (not earlier.sender or comparable(earlier.sender) == comparable(rule.sender))
        and earlier.text in ("", rule.text)
        and earlier.callback_data in ("", rule.callback_data)
    )


def _of_inbound(rule: InboundRule, before: Sequence[InboundRule]) -> Iterator[tuple[str, str]]:
    if rule.to and (reason := _why_no_number(comparable_prefix(rule.to.removesuffix("*")))):
        yield "to", f"{reason}, got {rule.to}"
    for index, earlier in enumerate(before):
        same_word = earlier.keyword.casefold() in ("", rule.keyword.casefold())
        if same_word and _is_wider(earlier.to, rule.to):
            yield "", f"the earlier rule inbound[{index}] matches all of its SMS"
            return


def _is_wider(earlier: str, to: str) -> bool:
    """Whether each number that `to` means is one that `earlier` means."""
    if not earlier:
        return True
    start = comparable_prefix(earlier.removesuffix("*"))
    if earlier.endswith("*"):
        return bool(to) and comparable_prefix(to.removesuffix("*")).startswith(start)
    return not to.endswith("*") and bool(to) and comparable(to) == start
