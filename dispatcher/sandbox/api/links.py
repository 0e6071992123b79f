"""Short links: GET /l/{code} leads to where the link in a message led, and is a click, as POST
/sandbox/messages/{messageId}/click is.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.clicks import Clicked, Clicks, NoLink
from dispatcher.sandbox.wire.content import SHORT_PATH
from receiver.answers import Instant, answer, fault, timestamp
from receiver.api.parameters import in_path, only
from receiver.faults import without_credentials
from receiver.routes import Reply, RequestBody, Route, any_text

_AS_IT_IS: Final = "!#$%&'()*+,/:;=?@[]~"
"""What of a URL stands in a header as it is; a text may have letters and signs of any kind in its
links."""


class SandboxClick(Struct, frozen=True):
    """which link, by where it leads or as it stands in the text; without url the first"""

    url: str | None = None


class SandboxClicked(Struct, frozen=True, kw_only=True, rename="camel"):
    """what was clicked on; trackingUrl is where it is told, without user, password and query"""

    message_id: str
    url: str
    short_url: str
    clicked_at: Instant
    tracking_url: str | None


class LinksApi:
    """The two routes."""

    def __init__(self, clicks: Clicks) -> None:
        self._clicks = clicks

    @Route(
        "GET",
        f"/{SHORT_PATH}/{{code}}",
        "getShortLink",
        "Follows a short link of a message. It counts as a click if clicks are tracked",
        {302: Reply("To the link's target", headers={"Location": "The link's target"}), 404: "no"},
        parameters=[in_path("code", str, "The end of the link")],
        caller="recipient",
    )
    async def follow(self, request: web.Request) -> web.Response:
        """Lead on. HEAD, with which programs look where a link leads, is no click."""
        found = await self._clicks.linked(request.match_info["code"])
        if found is None:
            raise web.HTTPNotFound
        if request.method != "HEAD":
            await self._clicks.follow(*found)
        return web.Response(status=302, headers={"Location": quote(found[1].url, safe=_AS_IT_IS)})

    @Route(
        "POST",
        f"/sandbox/messages/{any_text('messageId')}/click",
        "postSandboxClick",
        "Simulates that the recipient of a message follows one of its links",
        {
            201: Reply("The click is counted and will be pushed", SandboxClicked),
            400: "The message has no such link, or its clicks are not tracked",
            404: "There is no such message",
        },
        parameters=[in_path("messageId", str, "The id of the message")],
        body=RequestBody(SandboxClick, words="Optional"),
        caller="tester",
    )
    async def click(self, request: web.Request) -> web.Response:
        """A click on a link of a message."""
        only(request.query)
        body = await request.read()
        try:
            asked = msgspec.json.decode(body, type=SandboxClick) if body else SandboxClick()
            clicked = await self._clicks.click(request.match_info["messageId"], asked.url)
        except (msgspec.MsgspecError, ValueError, RecursionError, NoLink) as error:
            return fault(400, "bad_request", str(error))
        if clicked is None:
            raise web.HTTPNotFound
        return answer(_answer_of(clicked), status=201)


def _answer_of(clicked: Clicked) -> Any:
    told_to = clicked.told_to
    return SandboxClicked(
        message_id=clicked.message_id,
        url=clicked.link.url,
        short_url=clicked.link.short,
        clicked_at=timestamp(clicked.at),
        tracking_url=None if told_to is None else without_credentials(told_to),
    )
