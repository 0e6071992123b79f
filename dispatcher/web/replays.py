"""Replays: what failed is brought again. The list, a new one in three steps, and how far one is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from msgspec import Struct

from dispatcher.api.dispatches import DispatchAnswer, DispatchQuery, dispatch_page
from dispatcher.api.replays import (
    DryRun,
    ReplayAnswer,
    dry_run_of,
    replay_page,
    told_of_replay,
)
from dispatcher.queue.base import StoredAttempt
from dispatcher.replay.replay import InvalidReplay, Replay, UnknownReplay
from dispatcher.replay.replaying import Made
from dispatcher.replay.request import Request, read_request
from dispatcher.retrying.dispatch import DispatchState
from dispatcher.web.replay_form import (
    Asked,
    choices_as_typed,
    choices_of_link,
    filters_of,
    filters_of_json,
    in_words,
    placed,
    shown_filters,
    target_and_pace,
)
from dispatcher.web.site import BadForm, Site, form, page
from receiver.answers import BadQuery
from receiver.api.audit import tell
from receiver.api.parameters import number, page_query
from receiver.api.sessions import new_visit
from receiver.dlr.statuses import GROUP_NUMBERS
from receiver.store.base import AmbiguousMessage

PROBLEMS_MOST: Final = 30
"""Dispatches of one state that the page of a replay shows; the list of pushes has them all."""

_STATES: Final = ("exhausted", "waiting", "acknowledged", "cancelled", "leased")


class Problem(Struct, frozen=True):
    """A dispatch that was not brought, or not yet, and its last attempt."""

    dispatch: DispatchAnswer
    last: StoredAttempt | None


class ReplayPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._inside = site.inside

    @page("/replays", "showReplays")
    async def replays(self, request: web.Request) -> web.Response:
        found = await replay_page(self._inside.replaying, page_query(request.query))
        shown = [(each, in_words(each.selection)) for each in found.replays]
        return self._site.show(request, "replays.html.jinja", replays=shown, next=found.next)

    # --- a new one -------------------------------------------------------------------------------

    @page("/replays/new", "showNewReplay")
    async def new(self, request: web.Request) -> web.Response:
        filters = filters_of(request.query)
        choices = choices_of_link(request.query)
        if not filters:
            return await self._wizard(request, filters, choices)
        try:
            asked, _ = read_request(filters, self._inside.replaying.now())
            tried = await self._tried(asked)
        except (BadQuery, AmbiguousMessage) as error:
            return await self._wizard(request, filters, choices, fault=error)
        return await self._wizard(request, filters, choices, asked, tried)

    @form("/replays", "makeReplay")
    async def make(self, request: web.Request) -> web.Response:
        said = await request.post()
        filters = filters_of_json(str(said.get("filters", "")))
        if filters is None:
            raise BadForm("Nothing was replayed, because the form is incomplete. Start again.")
        choices = choices_as_typed(said)
        whole = {**filters, **target_and_pace(said)}
        if said.get("do") != "replay":
            tell(request, outcome="dry run")
        else:
            whole["key"] = _key(str(said.get("once", "")), whole)
        try:
            asked, _ = read_request(whole, self._inside.replaying.now())
            if said.get("do") != "replay":
                tried = await self._tried(asked)
                return await self._wizard(request, filters, choices, asked, tried)
            made = await self._inside.replaying.make(asked, from_outside=True)
        except (BadQuery, AmbiguousMessage) as error:
            tell(request, outcome="refused")
            return await self._wizard(
                request, filters, choices, fault=error, **await self._what_matches(filters)
            )
        tell(request, subject=str(made.replay.id), **told_of_replay(made))
        return self._site.back_to(request, f"/replays/{made.replay.id}", _made(made))

    async def _tried(self, asked: Request) -> DryRun:
        return await dry_run_of(self._inside.replaying, self._inside.storage.store, asked)

    async def _what_matches(self, filters: Asked) -> dict[str, Any]:
        """What the first form asks for, whatever is wrong in the second."""
        try:
            asked, _ = read_request(filters, self._inside.replaying.now())
            return {"asked": asked, "tried": await self._tried(asked)}
        except (BadQuery, AmbiguousMessage):
            return {}

    async def _wizard(
        self,
        request: web.Request,
        filters: Asked,
        choices: Mapping[str, str],
        asked: Request | None = None,
        tried: DryRun | None = None,
        fault: Exception | None = None,
    ) -> web.Response:
        """The page of a new replay. `tried` None: nothing is chosen yet, or it cannot be."""
        storage = self._inside.storage
        known = set(await self._inside.registry.all())
        of_sources = isinstance(fault, AmbiguousMessage)
        place, reason = ("source", f"{fault}") if of_sources else placed(str(fault or ""))
        return self._site.show(
            request,
            "new_replay.html.jinja",
            status=200 if fault is None else 400,
            filters=json.dumps(filters),
            has_filters=bool(filters),
            groups=filters.get("statusGroups", ()),
            typed=shown_filters(filters),
            again="/replays/new?" + urlencode(filters, doseq=True),
            choices=choices,
            tried=tried,
            to_url=None if asked is None else asked.to_url,
            since=None if asked is None else asked.selection.since,
            until=None if asked is None else asked.selection.until,
            faults={} if fault is None else {place: reason},
            once=new_visit(),
            states=_STATES,
            all_groups=list(GROUP_NUMBERS),
            ever=sorted(known | await storage.selector.endpoints_ever()),
            known=sorted(known),
            sources=[each.name for each in self._inside.settings.source],
        )

    # --- one of them -----------------------------------------------------------------------------

    @page("/replays/{id}", "showReplayPage")
    async def replay(self, request: web.Request) -> web.Response:
        found = await self._one(request)
        now = self._inside.replaying.now()
        return self._site.show(
            request,
            "replay.html.jinja",
            replay=ReplayAnswer.of(found, now),
            settled=min(found.settled, found.total),
            failed=found.failed,
            selection=in_words(ReplayAnswer.of(found, now).selection),
            problems=[
                await self._problems(found.id, state) for state in _states_of_problems(found)
            ],
            pushes_here=self._inside.runner is not None,
        )

    async def _problems(
        self, replay: int, state: DispatchState
    ) -> tuple[DispatchState, Sequence[Problem], bool]:
        """The newest dispatches of a replay in a state, and whether there are more. Of those that
        wait, the ones that were tried before."""
        storage = self._inside.storage
        query = DispatchQuery(
            replay=replay,
            state=state,
            attempted_since=datetime(1970, 1, 1, tzinfo=UTC) if state == "waiting" else None,
            limit=PROBLEMS_MOST,
        )
        found = await dispatch_page(storage.store, storage.queue, query)
        attempts = await storage.queue.attempts([each.id for each in found.dispatches])
        problems = [
            Problem(each, next(reversed(attempts[each.id]), None)) for each in found.dispatches
        ]
        return state, problems, found.next is not None

    @form("/replays/{id}/cancel", "cancelReplay")
    async def cancel(self, request: web.Request) -> web.Response:
        found = await self._one(request)
        try:
            cancelled = await self._inside.replaying.cancel(found.id)
        except InvalidReplay as error:
            tell(request, outcome="refused")
            words = f"Nothing was changed: {error}."
        else:
            words = f"Replay {found.id} is cancelled. {_unsent(cancelled)}"
        return self._site.back_to(request, f"/replays/{found.id}", words)

    async def _one(self, request: web.Request) -> Replay:
        try:
            return await self._inside.replaying.replays.one(
                number(request.match_info["id"], "replay")
            )
        except UnknownReplay as unknown:
            raise web.HTTPNotFound(text=f"{unknown}.") from unknown


def _states_of_problems(replay: Replay) -> Iterator[DispatchState]:
    """The states in which dispatches of a replay may be that were not brought. Its counts tell, so
    that nothing is searched for where nothing is."""
    if replay.counts.get("exhausted"):
        yield "exhausted"
    if replay.failed_attempts and replay.counts.get("waiting"):
        yield "waiting"
    if replay.counts.get("cancelled"):
        yield "cancelled"


def _key(once: str, whole: Asked) -> str:
    """The same for a form that is sent twice, as by a double click; another after any change."""
    return "page-" + sha256(json.dumps([once, whole]).encode()).hexdigest()[:20]


def _made(made: Made) -> str:
    """What was done, in a sentence."""
    replay = made.replay
    if not made.new:
        return f"This form was sent twice. It started replay {replay.id} only once."
    left_out = made.found.undispatched + sum(made.found.gone.values()) if made.found else 0
    more = f" Left out: {left_out:,} that never went to an endpoint." if left_out else ""
    if not replay.total:
        return f"Nothing matches any longer, so replay {replay.id} is empty.{more}"
    return f"Replay {replay.id} has started: {reports(replay.total)}.{more}"


def _unsent(replay: Replay) -> str:
    unsent = replay.total - replay.counts.get("acknowledged", 0)
    return f"{reports(unsent)} of it {'was' if unsent == 1 else 'were'} not pushed."


def reports(count: int) -> str:
    return f"{count:,} report" if count == 1 else f"{count:,} reports"
