"""What somebody asks for: which reports to replay, where to, how fast, and when to stop.

The HTTP API and the command line ask in the same words, and are refused in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dispatcher.clocks.typed_time import ZONE, TypedTime, read_end, read_time
from dispatcher.replay.pace import Original, Pace, rate
from dispatcher.retrying.dispatch import DispatchState
from receiver.answers import BadQuery
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.faults import came, expected, misfit

ReportId = Annotated[int, Meta(ge=1, le=10**18 - 1)]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]

FILTERS = (
    "ids",
    "messageIds",
    "bulkId",
    "dispatch",
    "endpoint",
    "state",
    "statuses",
    "statusGroups",
    "source",
    "since",
    "until",
)


class Selection(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which reports. What is given must all hold; of several ids, statuses or groups one.

    `state` is that of the newest dispatch of a report to an endpoint: what was exhausted and has
    been brought since is not exhausted any more. `dispatch` are the reports that this one carries:
    they go to its endpoint, whatever has become of them there. `since` and `until` are of the
    receipt; the beginning belongs to the range, the end does not.
    """

    ids: tuple[int, ...] = ()
    message_ids: tuple[str, ...] = ()
    bulk_id: str | None = None
    dispatch: str | None = None
    endpoint: str | None = None
    state: DispatchState | None = None
    statuses: tuple[int | str, ...] = ()
    status_groups: tuple[str, ...] = ()
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def of_dispatches(self) -> bool:
        """Whether it asks for something that only a dispatch has."""
        return self.endpoint is not None or self.state is not None


class Request(Struct, frozen=True, kw_only=True):
    """A replay as it was asked for. `to_endpoint` and `to_url` None: where each report went."""

    selection: Selection
    to_endpoint: str | None = None
    to_url: str | None = None
    pace: Pace = None
    stop_on_errors: float | None = None
    key: str | None = None


def _told(words: str, option: str = "", **more: Any) -> Meta:
    """What clients are told of a field. It is the help of the command line's option too, which is
    called as the field is unless it is given."""
    return Meta(description=words, extra={"option": option}, **more)


def _time_told(words: str) -> Meta:
    """Of a field that takes a time as it is typed."""
    extra = {"option": "", "time": words}
    return Meta(description=f"{words} {ZONE}", examples=["14:00", "24h", "2026-11-28"], extra=extra)


class ReplayRequest(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """At least one filter; at most one of `to` and `toEndpoint`, and of `rate` and `pace`; `speed`
    goes with `pace`."""

    ids: Annotated[tuple[ReportId, ...], _told("These reports, by id.", "--id")] = ()
    message_ids: Annotated[
        tuple[Text, ...],
        _told(
            "All reports of these messages. If several sources have such a message and there"
            " is one target, name one with `source`.",
            "--message-id",
        ),
    ] = ()
    bulk_id: Annotated[Text, _told("Only reports of this bulk.")] | None = None
    dispatch: (
        Annotated[Text, _told("The reports of the dispatch with this id, to its endpoint.")] | None
    ) = None
    endpoint: Annotated[Text, _told("Only reports that went to this endpoint.")] | None = None
    state: (
        Annotated[DispatchState, _told("Only reports whose newest dispatch is in this state.")]
        | None
    ) = None
    statuses: Annotated[
        tuple[int | Text, ...], _told("Only these statuses, by name or id.", "--status")
    ] = ()
    status_groups: Annotated[
        tuple[Text, ...],
        _told(("Only these status groups, for example EXPIRED."), "--status-group"),
    ] = ()
    source: Annotated[Text, _told("Only reports from this source.")] | None = None
    since: Annotated[Text, _time_told("Received at this time or later.")] | None = None
    until: Annotated[Text, _time_told("Received before this time.")] | None = None
    to_endpoint: (
        Annotated[Text, _told("Push to this endpoint. Default: to where each report went before.")]
        | None
    ) = None
    to: Annotated[Text, _told("Push to this URL.")] | None = None
    rate: (
        Annotated[
            Text, _told("At most this many reports: 50/s, 100/m or 1000/h. Default: no limit.")
        ]
        | None
    ) = None
    pace: (
        Annotated[Literal["original"], _told("Keep the original gaps between the reports.")] | None
    ) = None
    speed: (
        Annotated[float, _told("With --pace: this many times as fast.", gt=0, le=1_000_000)] | None
    ) = None
    stop_on_errors: (
        Annotated[
            float,
            _told(
                "Stop if more than this share of the attempts fails, for example 0.2.", ge=0, le=1
            ),
        ]
        | None
    ) = None
    key: (
        Annotated[Text, _told("A second request with the same key does not start another replay.")]
        | None
    ) = None
    dry_run: Annotated[bool, _told("Only show how many reports match, and the first of them.")] = (
        False
    )


def read_request(
    asked: Mapping[str, Any], now: datetime, zone: tzinfo | None = None
) -> tuple[Request, bool]:
    """The request, and whether it is only to be tried (`dryRun`). Raises BadQuery.

    Times are read as of `now` (clocks/typed_time.py); `zone` None is the machine's zone.
    """
    try:
        body = msgspec.convert(dict(asked), ReplayRequest)
    except msgspec.ValidationError as error:
        raise BadQuery(str(misfit(dict(asked), ReplayRequest))) from error
    if body.to is not None and body.to_endpoint is not None:
        raise BadQuery("to, toEndpoint: use one of the two")
    request = Request(
        selection=_selection(body, now, zone),
        to_endpoint=body.to_endpoint,
        to_url=body.to,
        pace=_pace(body),
        stop_on_errors=body.stop_on_errors,
        key=body.key,
    )
    return request, body.dry_run


def _selection(body: ReplayRequest, now: datetime, zone: tzinfo | None) -> Selection:
    since = None if body.since is None else _time("since", read_time, body.since, now, zone)
    until = None if body.until is None else _time("until", read_end, body.until, since, now, zone)
    groups = tuple(name.upper() for name in body.status_groups)
    for name in groups:
        if name not in GROUP_NUMBERS:
            fault = expected(", ".join(GROUP_NUMBERS), came(name))
            raise BadQuery(f"statusGroups: {fault}")
    selection = Selection(
        ids=body.ids,
        message_ids=body.message_ids,
        bulk_id=body.bulk_id,
        dispatch=body.dispatch,
        endpoint=body.endpoint,
        state=body.state,
        statuses=tuple(_status(each) for each in body.statuses),
        status_groups=groups,
        source=body.source,
        since=None if since is None else since.at,
        until=None if until is None else until.at,
    )
    if selection == Selection():
        raise BadQuery(f"expected at least one filter: {', '.join(FILTERS)}")
    return selection


def _time(name: str, read: Callable[..., TypedTime], *typed: Any) -> TypedTime:
    try:
        return read(*typed)
    except ValueError as error:
        raise BadQuery(f"{name}: {error}") from error


def _status(said: int | str) -> int | str:
    """An id, or a name in capitals."""
    if isinstance(said, int):
        return said
    return int(said) if re.fullmatch(r"[0-9]{1,9}", said, re.ASCII) else said.upper()


def _pace(body: ReplayRequest) -> Pace:
    if body.rate is not None and body.pace is not None:
        raise BadQuery("rate, pace: use one of the two")
    if body.speed is not None and body.pace is None:
        raise BadQuery('speed: can only be used with pace "original"')
    if body.pace is not None:
        return Original(1.0 if body.speed is None else body.speed)
    if body.rate is None:
        return None
    try:
        return rate(body.rate)
    except ValueError as error:
        raise BadQuery(f"rate: {error}") from error
