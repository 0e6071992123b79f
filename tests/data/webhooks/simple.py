"""Webhooks that are strict or simple where no document of the provider says anything: not wrong.

Each differs from the right one in a method.
"""

from __future__ import annotations

from aiohttp import web

from tests.data.webhooks.right_aiohttp import Item, NotReadable, Webhook


class Utf8Only(Webhook):
    """Decodes before it parses, and throws away what it cannot decode."""

    def from_xml(self, body: bytes) -> list[Item]:
        return super().from_xml(body.decode("utf-8", "replace").encode())


class NoMark(Webhook):
    """Refuses a byte order mark, which is allowed."""

    def from_json(self, body: bytes) -> list[Item]:
        if body.startswith(b"\xef\xbb\xbf"):
            raise NotReadable("not JSON")
        return super().from_json(body)


class Closes(Webhook):
    """Closes the connection after each answer, and says so."""

    def answer(self, items: list[Item]) -> web.StreamResponse:
        answer = super().answer(items)
        answer.force_close()
        return answer


class NeedsALength(Webhook):
    """Reads as many bytes as Content-Length says."""

    def refused(self, request: web.Request) -> web.Response | None:
        if request.content_length is None:
            return web.Response(status=411)
        return super().refused(request)


class NoContinue(Webhook):
    """Never says `100 Continue`."""

    async def expect(self, request: web.Request) -> None:
        pass


class RefusesClicks(Webhook):
    """Has its URL for reports alone, and says so to what has no `results`."""

    def from_json(self, body: bytes) -> list[Item]:
        if b"notificationType" in body:
            raise NotReadable("results: missing")
        return super().from_json(body)


class ErrorOfDepth(Webhook):
    """Has no answer for a body that nobody sends, and lives on."""

    def from_json(self, body: bytes) -> list[Item]:
        if body.startswith(b"[[["):
            raise RecursionError
        return super().from_json(body)


ALL = (Utf8Only, NoMark, Closes, NeedsALength, NoContinue, RefusesClicks, ErrorOfDepth)
