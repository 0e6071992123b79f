"""Who may use `/api`: a token with a scope, apart from the callbacks' credentials."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Middleware

from receiver.answers import Handler, fault
from receiver.callbacks.auth import after_scheme, as_sent
from receiver.settings.settings import TokenSettings

log = logging.getLogger("dlr.api")

Scope = Literal["read", "operate"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods for which the scope `read` is enough."""

PROTECTED = ("/api", "/sandbox")
"""What asks for a token, with all below it. The sandbox's own routes read and do as much."""


class ApiTokens:
    """The tokens that are valid. They are compared by their digests, in constant time."""

    def __init__(self, tokens: Sequence[TokenSettings]) -> None:
        self.refused: Counter[str] = Counter()  # by the reason: missing, unknown, scope
        self._tokens = [(known, token.scope) for token in tokens for known in _digests_of(token)]

    def scope_of(self, authorization: str | None) -> Scope | None:
        """What the header `Authorization: Bearer …` gives a right to; `None`: to nothing."""
        given = after_scheme(authorization, "Bearer")
        if given is None:
            return None
        digest = hashlib.sha256(as_sent(given)).digest()
        matches = [scope for known, scope in self._tokens if hmac.compare_digest(digest, known)]
        return "operate" if "operate" in matches else next(iter(matches), None)

    def middleware(self) -> Middleware:
        """Asks for a token wherever the path, or the route that was found for it, is of the API."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not _asks(request):
                return await handler(request)
            authorization = request.headers.get("Authorization")
            scope = self.scope_of(authorization)
            if scope is None:
                self._refuse(request, "missing" if authorization is None else "unknown")
                response = fault(401, "unauthorized", "expected Authorization: Bearer and a token")
                response.headers["WWW-Authenticate"] = 'Bearer realm="dlr"'
                return response
            if scope == "read" and request.method not in READING:
                self._refuse(request, "scope")
                text = "this takes a token with the scope operate, got one with the scope read"
                return fault(403, "forbidden", text)
            return await handler(request)

        return guard

    def _refuse(self, request: web.Request, reason: str) -> None:
        self.refused[reason] += 1
        facts = {"reason": reason, "method": request.method, "from": request.remote}
        log.warning("API request refused", extra={"facts": facts})


def _digests_of(token: TokenSettings) -> Iterator[bytes]:
    if token.sha256 is not None:
        yield bytes.fromhex(token.sha256)
    if token.secret is not None:
        yield hashlib.sha256(token.secret.reveal().encode()).digest()


def _asks(request: web.Request) -> bool:
    """By the route as well as by the path: what was found decides, however it was written."""
    resource = request.match_info.route.resource
    canonical = "" if resource is None else resource.canonical
    return is_protected(request.path) or is_protected(canonical)


def is_protected(path: str) -> bool:
    """Whether a path asks for a token where there are any."""
    return any(path == root or path.startswith(f"{root}/") for root in PROTECTED)
