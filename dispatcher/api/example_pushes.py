"""Test pushes: the routes that make them, and what they and the command line tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, structs

from dispatcher.api.dispatches import HttpStatus, Note, OutcomeName
from dispatcher.api.endpoint_answer import NewEndpoint
from dispatcher.api.endpoints import (
    BAD_SETTINGS,
    TOO_LARGE,
    bad_settings,
    said_settings,
    told_of_settings,
)
from dispatcher.api.settings_types import told_type
from dispatcher.endpoints.endpoint import Endpoint
from dispatcher.endpoints.registry import Registry, UnknownEndpoint
from dispatcher.pushing.example import ExamplePush, ExamplePushes
from receiver.answers import Instant, answer, fault, timestamp, web
from receiver.api.audit import tell
from receiver.api.parameters import in_path
from receiver.faults import without_credentials
from receiver.routes import NOT_THERE, Reply, RequestBody, Route
from receiver.settings.configuration import ConfigurationError
from receiver.settings.settings import Name

NOT_STORED = "(test push)"
"""The name of an endpoint that is not stored: none that is can have it. Its OAuth tokens are kept
under it, apart from those of the endpoint that it may become."""


class TestPushed(Struct, frozen=True, rename="camel"):
    """What a test push sent, and what came back."""

    url: Annotated[str, Meta(description="Without user name, password and query")]
    started_at: Instant
    duration_ms: float
    status: HttpStatus
    outcome: OutcomeName
    error: str | None
    answer: Annotated[str, Meta(description="At most the first KiB of the answer's body")]
    note: Note
    headers: Annotated[
        Mapping[str, str],
        Meta(
            description=(
                "The headers that were sent, with secrets shown as …; empty if nothing was sent"
            )
        ),
    ]
    body: Annotated[str, Meta(description="The body that was sent, or would have been sent")]

    @classmethod
    def of(cls, push: ExamplePush) -> TestPushed:
        return cls(
            url=without_credentials(push.url),
            started_at=timestamp(push.started_at),
            duration_ms=round(push.answer.duration_ms, 1),
            status=push.answer.status,
            outcome=push.outcome.value,
            error=push.answer.error,
            answer=push.answer.body.decode("utf-8", "replace"),
            note=push.answer.note,
            headers=push.headers,
            body=push.body.decode("utf-8", "replace"),
        )


class CannotBeTried(Exception):
    """No test push can be made to an endpoint; the text says why."""


async def endpoint_to_try(registry: Registry, name: str) -> Endpoint:
    """An endpoint by its name, also a paused one. Raises UnknownEndpoint, CannotBeTried."""
    found = await registry.one(name)
    for endpoint in await registry.endpoints():
        if endpoint.name == name:
            if endpoint.own_urls:
                raise CannotBeTried(f'"{name}" has no URL of its own: each report brings one')
            return endpoint
    if found.gone:
        raise CannotBeTried(f'the endpoint "{name}" is no longer in the settings file')
    raise CannotBeTried(f'the settings of "{name}" cannot be used: {"; ".join(found.faults)}')


_REPLIES: Mapping[int, Reply | str] = {
    200: Reply("What was sent and what came back", TestPushed),
    409: "This process does not push, or the endpoint has no URL of its own",
}


class ExamplePushApi:
    """Makes test pushes. `pushes` None: this process makes no pushes."""

    def __init__(self, registry: Registry, pushes: ExamplePushes | None) -> None:
        self._registry = registry
        self._pushes = pushes

    @Route(
        "POST",
        "/api/endpoints/{name}/test",
        "testEndpoint",
        "Pushes one example report to the endpoint, once, with all its settings. Its"
        " callbackData says that it is a test. Nothing is stored. A paused endpoint is pushed"
        " to as well",
        {**_REPLIES, 404: NOT_THERE},
        [in_path("name", told_type(Name), "its name")],
    )
    async def test(self, request: web.Request) -> web.Response:
        try:
            endpoint = await endpoint_to_try(self._registry, request.match_info["name"])
        except UnknownEndpoint as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except CannotBeTried as error:
            return fault(409, "cannot_be_tried", str(error))
        return await self._pushed(request, endpoint)

    @Route(
        "POST",
        "/api/endpoint-tests",
        "testNewEndpoint",
        "Makes a test push with the settings in the body, which are not stored. Use it before"
        " you add an endpoint. The addresses of its URLs are checked",
        {**_REPLIES, 400: BAD_SETTINGS, 413: TOO_LARGE},
        body=RequestBody(
            NewEndpoint,
            examples={"webhook": {"name": "acme", "url": "https://acme.example/dlr"}},
        ),
    )
    async def test_new(self, request: web.Request) -> web.Response:
        try:
            said = await said_settings(request)
            endpoint = self._registry.endpoint_of(said, from_outside=True)
        except ConfigurationError as error:
            return bad_settings(error)
        tell(request, **told_of_settings(said))
        return await self._pushed(request, structs.replace(endpoint, name=NOT_STORED))

    async def _pushed(self, request: web.Request, endpoint: Endpoint) -> web.Response:
        if self._pushes is None:
            text = "this process does not push; ask one that does (dlr serve or dlr dispatch)"
            return fault(409, "no_dispatcher", text)
        pushed = await self._pushes.push(endpoint)
        tell(request, result=pushed.outcome.value)
        return answer(TestPushed.of(pushed))
