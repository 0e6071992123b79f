"""The routes under /api that concern endpoints: what there is, and changes at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dispatcher.api.endpoint_answer import (
    SNAKE,
    TABLES,
    EndpointAnswer,
    EndpointChange,
    NewEndpoint,
    endpoint_answer,
    in_camel_case,
)
from dispatcher.api.settings_types import told_type
from dispatcher.endpoints.registry import (
    EndpointExists,
    EndpointGone,
    EndpointInForce,
    Registered,
    Registry,
    UnknownEndpoint,
)
from dispatcher.observe.base import QueueFigures
from dispatcher.queue.base import DispatchQueue
from receiver.answers import BadQuery, Count, Next, answer, fault, web
from receiver.api.audit import printable, tell
from receiver.api.parameters import (
    LIMIT,
    LIMIT_DEFAULT,
    TEXT,
    Filter,
    cursor,
    in_path,
    in_query,
    read_query,
)
from receiver.faults import without_credentials
from receiver.routes import NOT_THERE, Reply, RequestBody, Route
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import Name

if TYPE_CHECKING:  # it brings the HTTP client, which `dlr endpoints` does not need
    from dispatcher.pushing.leads_to import LeadsTo


class EndpointPage(Struct, frozen=True):
    endpoints: Sequence[EndpointAnswer]  # type: ignore[valid-type]
    next: Next


class RemovedEndpoint(Struct, frozen=True):
    removed: str
    cancelled: Count


class RetriedEndpoint(Struct, frozen=True):
    endpoint: str
    retried: Annotated[Count, Meta(description="Dispatches that were due later and are due now")]


# --- routes ------------------------------------------------------------------------------------

ENDPOINT_PARAMETERS = (LIMIT, cursor(TEXT))

TOO_LARGE = "The body is larger than server.body_limit"
BAD_SETTINGS = "Invalid settings; `details.faults` lists all faults"
_IN_PATH = [in_path("name", told_type(Name), "its name")]
_AS = Filter(
    "as",
    TEXT,
    ("The endpoint that takes over the waiting reports of one that left the settings file"),
)
_NOW: Mapping[int, Reply | str] = {
    200: Reply("The endpoint as it is now", EndpointAnswer),
    404: NOT_THERE,
}


class EndpointApi:
    """Reads and changes the registry over HTTP. A dispatcher notices what has changed by itself."""

    def __init__(
        self,
        registry: Registry,
        queue: DispatchQueue,
        figures: QueueFigures,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_due: Callable[[], None] = lambda: None,
        leads_to: LeadsTo | None = None,
    ) -> None:
        """`on_due` is called when dispatches may have become due. `leads_to` None: nobody is warned
        of addresses that are refused."""
        self._registry = registry
        self._queue = queue
        self._figures = figures
        self._now = now
        self._on_due = on_due
        self._leads_to = leads_to

    async def warnings_of(self, endpoint: Registered) -> Sequence[str]:
        """Why nothing would be pushed to it now, as far as that can be told when it is added or
        changed. What the operator's own settings name is not judged by where it leads."""
        if self._leads_to is None or endpoint.settings is None or not endpoint.from_outside:
            return ()
        return await self._leads_to.warnings(endpoint.settings.url)

    @Route(
        "GET",
        "/api/endpoints",
        "listEndpoints",
        ("The endpoints and what waits for each. Those that have left the settings file come last"),
        {200: Reply("a page", EndpointPage)},
        in_query(ENDPOINT_PARAMETERS),
    )
    async def list(self, request: web.Request) -> web.Response:
        asked = read_query(request.query, ENDPOINT_PARAMETERS)
        size = asked.get("limit", LIMIT_DEFAULT)
        found = list((await self._registry.listed()).values())
        start = _start([each.name for each in found], asked.get("before"))
        page = found[start : start + size]
        shown = await self._answers(page)
        following = page[-1].name if start + size < len(found) else None
        return answer(EndpointPage(shown, following))

    @Route(
        "POST",
        "/api/endpoints",
        "addEndpoint",
        "Adds an endpoint. The addresses of its URLs are checked before each connection",
        {
            201: Reply("the endpoint", EndpointAnswer),
            400: BAD_SETTINGS,
            409: "The name is already in use",
            413: TOO_LARGE,
        },
        body=RequestBody(
            NewEndpoint,
            examples={"webhook": {"name": "acme", "url": "https://acme.example/dlr", "window": 5}},
        ),
    )
    async def add(self, request: web.Request) -> web.Response:
        try:
            said = await said_settings(request)
            added = await self._registry.add(said, from_outside=True)
        except EndpointExists as error:
            return fault(409, "endpoint_exists", str(error))
        except ConfigurationError as error:
            return bad_settings(error)
        tell(request, subject=added.name, **told_of_settings(said))
        warnings = await self.warnings_of(added)
        return answer(endpoint_answer(added, {}, 0, warnings), status=201)

    @Route(
        "GET",
        "/api/endpoints/{name}",
        "showEndpoint",
        "One endpoint with all its settings",
        _NOW,
        _IN_PATH,
    )
    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            found = await self._registry.one(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return answer((await self._answers([found]))[0])

    @Route(
        "PATCH",
        "/api/endpoints/{name}",
        "changeEndpoint",
        "Changes the settings that you name",
        {**_NOW, 400: BAD_SETTINGS, 413: TOO_LARGE},
        _IN_PATH,
        RequestBody(EndpointChange, examples={"narrower": {"window": 5, "rateLimit": None}}),
    )
    async def change(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            said = await said_settings(request)
            await self._registry.change(name, said, from_outside=True)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except ConfigurationError as error:
            return bad_settings(error)
        tell(request, **told_of_settings(said))
        changed = await self._registry.one(name)
        warnings = await self.warnings_of(changed) if "url" in said else ()
        return answer((await self._answers([changed], warnings))[0])

    @Route(
        "DELETE",
        "/api/endpoints/{name}",
        "removeEndpoint",
        (
            "Removes an endpoint, including one that has left the settings file. What waits for it"
            " is cancelled"
        ),
        {200: Reply("What was done", RemovedEndpoint), 404: NOT_THERE},
        _IN_PATH,
    )
    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            cancelled = await self._registry.remove(name)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        tell(request, cancelled=cancelled)
        return answer(RemovedEndpoint(name, cancelled))

    @Route(
        "POST",
        "/api/endpoints/{name}/pause",
        "pauseEndpoint",
        "Pauses an endpoint: nothing is pushed to it, and what waits keeps its retries",
        _NOW,
        _IN_PATH,
    )
    async def pause(self, request: web.Request) -> web.Response:
        return await self._hold(request, True)

    @Route(
        "POST",
        "/api/endpoints/{name}/resume",
        "resumeEndpoint",
        "Resumes a paused endpoint. With `as`, another endpoint takes over what waits for one"
        " that has left the settings file; the answer is then that other endpoint",
        {**_NOW, 409: "It has not left the settings file"},
        [*_IN_PATH, *in_query([_AS])],
    )
    async def resume(self, request: web.Request) -> web.Response:
        other = _AS.read(request.query)
        if other is None:
            return await self._hold(request, False)
        try:
            await self._registry.resume_as(request.match_info["name"], other)
            found = await self._registry.one(other)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except EndpointInForce as error:
            return fault(409, "endpoint_in_force", str(error))
        return answer((await self._answers([found]))[0])

    @Route(
        "POST",
        "/api/endpoints/{name}/reset",
        "resetEndpoint",
        "Discards all changes made at run time, so that the settings file applies again",
        _NOW,
        _IN_PATH,
    )
    async def reset(self, request: web.Request) -> web.Response:
        try:
            await self._registry.reset(request.match_info["name"])
        except UnknownEndpoint as error:
            text = f"{error} in the settings file, so it cannot be reset"
            raise web.HTTPNotFound(text=text) from error
        return await self.show(request)

    @Route(
        "POST",
        "/api/endpoints/{name}/retry",
        "retryEndpoint",
        "Makes all its waiting dispatches due now. They are pushed as soon as its window and"
        " rate limit allow it; they still wait while it is paused or its breaker is open. Each"
        " push uses the next attempt of its schedule",
        {
            200: Reply("What was done", RetriedEndpoint),
            404: NOT_THERE,
            409: "It has left the settings file, so nothing is pushed to it",
        },
        _IN_PATH,
    )
    async def retry(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            retried = await retry_all(self._registry, self._queue, name, self._now())
        except EndpointGone as error:
            return fault(409, "endpoint_gone", str(error))
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        self._on_due()
        tell(request, retried=retried)
        return answer(RetriedEndpoint(name, retried))

    async def _answers(
        self, found: Sequence[Registered], warnings: Sequence[str] = ()
    ) -> Sequence[Struct]:
        counts = await self._queue.counts()
        unread = (await self._figures.depths()).unread
        return [
            endpoint_answer(each, counts.get(each.name, {}), unread.get(each.name, 0), warnings)
            for each in found
        ]

    async def _hold(self, request: web.Request, paused: bool) -> web.Response:
        try:
            await self._registry.pause(request.match_info["name"], paused)
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return await self.show(request)


async def retry_all(registry: Registry, queue: DispatchQueue, name: str, now: datetime) -> int:
    """Have all that waits for an endpoint be due now. Returns how many were due later. Raises
    UnknownEndpoint, and EndpointGone for one that nobody works for."""
    if (await registry.one(name)).gone:
        raise EndpointGone(name)
    return await queue.retry_all(name, now)


def told_of_settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit has of settings that were said: their names, and of a URL where it leads."""
    url = said.get("url")
    told = {"settings": sorted(said)}
    return {**told, "url": printable(without_credentials(url))} if isinstance(url, str) else told


def _start(names: list[str], cursor: str | None) -> int:
    """Where the page after the endpoint `cursor` begins."""
    if cursor is None:
        return 0
    if cursor not in names:
        raise BadQuery(f'cursor: expected the name of an endpoint, got "{cursor[:40]}"')
    return names.index(cursor) + 1


async def said_settings(request: web.Request) -> dict[str, Any]:
    """The body's settings by their names in the settings file. Raises ConfigurationError."""
    try:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        text = 'expected a JSON object of settings such as {"window":5}'
        raise ConfigurationError([f"{text}: {error}"]) from error
    return {
        SNAKE.get(name, name): _in_snake_case(value) if name in TABLES else value
        for name, value in body.items()
    }


def _in_snake_case(table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {SNAKE.get(name, name): value for name, value in table.items()}


def bad_settings(error: ConfigurationError) -> web.Response:
    faults = [in_camel_case(text) for text in error.faults]
    return fault(400, "bad_settings", "; ".join(faults), faults=faults)
