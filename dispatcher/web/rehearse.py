"""Rehearse: does a webhook survive? One rehearsal at a time, in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Literal, get_args

import msgspec
from aiohttp import hdrs, web
from multidict import MultiDict, MultiMapping

from dispatcher.rehearsal.bodies import Ids
from dispatcher.rehearsal.verdict import Result
from dispatcher.rehearsal.verify import COMMAND, verify_of
from dispatcher.security.addresses import url_fault
from dispatcher.web.child import ChildFailed, lines_of
from dispatcher.web.rehearsing import Ended, Line, Wanted
from dispatcher.web.site import HEADERS, Site, form, page
from receiver.api.audit import tell
from receiver.faults import without_credentials

SECONDS = 900.0
"""How long a rehearsal may take: a slow webhook needs minutes."""

KEPT = 20
"""Rehearsals that are remembered, until the process ends."""

State = Literal["running", "done", "cancelled", "failed"]


class Run:
    """A rehearsal: what it was asked, and what there is of it so far."""

    def __init__(self, number: int, url: str, quick: bool, started_at: datetime) -> None:
        self.number = number
        self.url = url
        self.quick = quick
        self.started_at = started_at
        self.state: State = "running"
        self.checks: int | None = None
        self.results: list[Result] = []
        self.ended: Ended | None = None
        self.task: asyncio.Task[None] | None = None

    async def follow(self, wanted: Wanted) -> None:
        try:
            async for raw in lines_of("rehearse", wanted, SECONDS):
                self._take(msgspec.json.decode(raw, type=Line))
            self.state = "done" if self.ended and self.ended.fault is None else "failed"
        except TimeoutError:
            self._fail(f"it had not ended after {SECONDS / 60:g} minutes")
        except ChildFailed as error:
            self._fail(f"the rehearsal failed: {error}")
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise

    def _take(self, line: Line) -> None:
        self.checks = line.checks or self.checks
        self.ended = line.ended or self.ended
        if line.result is not None:
            self.results.append(line.result)

    def _fail(self, words: str) -> None:
        self.state, self.ended = "failed", Ended(fault=words)


class RehearsePages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._numbers = count(1)
        self._runs: dict[int, Run] = {}
        site.inside.app.on_cleanup.append(self._stop)

    @page("/rehearse", "showRehearse")
    async def rehearse(self, request: web.Request) -> web.Response:
        return self._form(request, MultiDict(), {})

    @form("/rehearse", "rehearse")
    async def start(self, request: web.Request) -> web.Response:
        said = await request.post()
        faults = _faults(said)
        if not faults and (running := self._running()) is not None:
            faults["url"] = f"rehearsal {running.number} is still running; cancel it or wait"
        if faults:
            return self._form(request, said, faults, 400)
        wanted = self._wanted(said)
        run = Run(
            next(self._numbers), without_credentials(wanted.url), wanted.quick, self._site.now()
        )
        tell(request, subject=str(run.number), url=run.url)
        self._runs[run.number] = run
        for number in sorted(self._runs)[:-KEPT]:
            del self._runs[number]
        run.task = asyncio.create_task(run.follow(wanted))
        return self._site.back_to(request, f"/rehearse/{run.number}", "The rehearsal has begun.")

    @page("/rehearse/{number}", "showRehearsal")
    async def show(self, request: web.Request) -> web.Response:
        run = self._run(request)
        tally = {
            verdict: sum(each.verdict == verdict for each in run.results)
            for verdict in ("failed", "weak", "passed", "answered only", "not judged")
        }
        return self._site.show(request, "rehearsal.html.jinja", run=run, tally=tally)

    @page("/rehearse/{number}/report.html", "downloadRehearsal")
    async def report(self, request: web.Request) -> web.Response:
        run = self._run(request)
        if run.ended is None or not run.ended.report:
            raise web.HTTPNotFound(text="There is no report, because the rehearsal did not finish.")
        name = f'attachment; filename="rehearsal-{run.number}.html"'
        headers = {**HEADERS, hdrs.CONTENT_DISPOSITION: name}
        return web.Response(text=run.ended.report, content_type="text/html", headers=headers)

    @form("/rehearse/{number}/cancel", "cancelRehearsal")
    async def cancel(self, request: web.Request) -> web.Response:
        run = self._run(request)
        await _end(run)
        words = f"Rehearsal {run.number} was stopped. The app keeps what was pushed to it so far."
        return self._site.back_to(request, f"/rehearse/{run.number}", words)

    # --- details ------------------------------------------------------------------------------

    def _form(
        self,
        request: web.Request,
        said: Mapping[str, object],
        faults: Mapping[str, str],
        status: int = 200,
    ) -> web.Response:
        return self._site.show(
            request,
            "rehearse.html.jinja",
            status=status,
            said=said,
            faults=faults,
            runs=[self._runs[number] for number in sorted(self._runs, reverse=True)],
            kinds=get_args(Ids),
            in_sandbox=self._site.inside.sandbox is not None,
        )

    def _wanted(self, said: MultiMapping[object]) -> Wanted:
        settings = self._site.inside.settings
        in_sandbox = self._site.inside.sandbox is not None
        name, _, value = _text(said, "header").partition(":")
        return Wanted(
            url=_text(said, "url"),
            quick=_text(said, "checks") != "all",
            headers={name.strip(): value.strip()} if name else {},
            verify=_text(said, "verify") or None,
            ids=_ids(said),
            outgoing=settings.outgoing,
            allowed_hosts=settings.sandbox.allowed_hosts if in_sandbox else None,
        )

    def _running(self) -> Run | None:
        return next((each for each in self._runs.values() if each.state == "running"), None)

    def _run(self, request: web.Request) -> Run:
        text = request.match_info["number"]
        run = next((each for each in self._runs.values() if str(each.number) == text), None)
        if run is None:
            words = (
                f"There is no rehearsal {text}. The last {KEPT} are kept until dlr is restarted."
            )
            raise web.HTTPNotFound(text=words)
        return run

    async def _stop(self, _: web.Application) -> None:
        for run in self._runs.values():
            await _end(run)


async def _end(run: Run) -> None:
    if run.task is not None:
        run.task.cancel()
        with suppress(asyncio.CancelledError):
            await run.task


def _text(said: Mapping[str, object], name: str) -> str:
    return str(said.get(name, "")).strip()


def _ids(said: Mapping[str, object]) -> Ids:
    word = _text(said, "ids")
    return next((each for each in get_args(Ids) if each == word), "named")


def _faults(said: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with what was typed, by the field."""
    faults = {}
    if not _text(said, "url"):
        faults["url"] = "expected the URL of a webhook"
    elif (wrong := url_fault(_text(said, "url"))) is not None:
        faults["url"] = wrong
    header, verify = _text(said, "header"), _text(said, "verify")
    if header and not all(part.strip() for part in header.partition(":")):
        faults["header"] = "expected a name, a colon and a value, such as Authorization: Bearer …"
    if header and not header.isprintable():
        faults["header"] = "expected a header without control characters"
    if verify.startswith(COMMAND):
        faults["verify"] = "a command can only be used on the command line: `dlr rehearse --verify`"
    elif verify:
        try:
            verify_of(verify)
        except ValueError as error:
            faults["verify"] = str(error)
    return faults
