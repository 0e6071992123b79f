"""Who may use `/api`: a token with a scope, apart from the callbacks' credentials."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from yarl import URL

from receiver.answers import Handler, fault, web
from receiver.api.sessions import Sessions
from receiver.callbacks.auth import after_scheme, as_sent
from receiver.routes import Caller, routes_by_handler
from receiver.settings.settings import ApiSettings, TokenSettings

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

log = logging.getLogger("dlr.api")

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods for which the scope `read` is enough."""

PROTECTED = ("/api", "/sandbox")
"""What asks for a token, with all below it. The sandbox's own routes read and do as much."""

METRICS = "/metrics"
"""This asks for one too, unless the settings open it."""


SIGN_IN = "/sign-in"
"""Where a page sends whoever is not signed in."""


@cache
def _token_key() -> web.RequestKey[TokenSettings]:
    return web.RequestKey("token", TokenSettings)


def token_of(request: web.Request) -> TokenSettings | None:
    """The token with which a request was let in."""
    return request.get(_token_key())


def token_name(request: web.Request) -> str | None:
    """Its name."""
    token = token_of(request)
    return None if token is None else token.name


def _sign_in(request: web.Request) -> str:
    """The page to sign in on, which leads back to the page that was asked for."""
    asked = request.rel_url if request.method in READING else URL("/")
    return str(URL(SIGN_IN).with_query(to=str(asked)))


class ApiTokens:
    """The tokens that are valid. They are compared by their digests, in constant time."""

    def __init__(self, settings: ApiSettings, sessions: Sessions) -> None:
        self.refused: Counter[str] = Counter()  # by the reason: missing, unknown, scope
        self._sessions = sessions
        self._settings = settings
        self._tokens = [(known, token) for token in settings.token for known in _digests_of(token)]

    def token_of(self, authorization: str | None) -> TokenSettings | None:
        """The token that the header `Authorization: Bearer …` brings; of several with one secret
        the one that may do most. `None`: it is none of ours."""
        given = after_scheme(authorization, "Bearer")
        if given is None:
            return None
        digest = hashlib.sha256(as_sent(given)).digest()
        matches = [token for known, token in self._tokens if hmac.compare_digest(digest, known)]
        return max(matches, key=lambda token: token.scope == "operate", default=None)

    def middleware(self, app: web.Application) -> Middleware:
        """Asks for a token wherever the path, or the route that was found for it, is of the API.
        Pages ask for a session, which is good for reading the API too."""
        routes = routes_by_handler(app)  # filled later, when routes are added

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            route = routes.get(request.match_info.handler)
            caller = None if route is None else route.caller
            if caller == "visitor" or not self._asks(request, caller):
                return await handler(request)
            authorization = request.headers.get("Authorization")
            token = self.token_of(authorization) or self._signed_in(request, caller)
            if token is None:
                self._refuse(request, "missing" if authorization is None else "unknown")
                if caller == "page":
                    raise web.HTTPSeeOther(_sign_in(request))
                response = fault(
                    401, "unauthorized", ("expected the header Authorization: Bearer TOKEN")
                )
                response.headers["WWW-Authenticate"] = 'Bearer realm="dlr"'
                return response
            if token.scope == "read" and request.method not in READING:
                self._refuse(request, "scope", token=token.name)
                text = (
                    "this request needs a token with the scope operate, got one with the scope read"
                )
                return fault(403, "forbidden", text)
            request[_token_key()] = token
            return await handler(request)

        return guard

    def _signed_in(self, request: web.Request, caller: Caller | None) -> TokenSettings | None:
        """Who has signed in, for whatever a page may ask: what changes something goes through the
        routes of pages, which ask for a form token."""
        if caller == "page" or request.method in READING:
            return self._sessions.token_of(request.cookies)
        return None

    def _asks(self, request: web.Request, caller: Caller | None) -> bool:
        """By the route as well as by the path: what was found decides, however it was written."""
        if caller == "page":
            return True
        resource = request.match_info.route.resource
        canonical = "" if resource is None else resource.canonical
        return any(is_protected(path, self._settings) for path in (request.path, canonical))

    def _refuse(self, request: web.Request, reason: str, **token: str) -> None:
        self.refused[reason] += 1
        facts = {
            "reason": reason,
            "method": request.method,
            "path": request.rel_url.raw_path,  # no query, which may hold a secret
            "from": request.remote,
            **token,
        }
        log.warning("API request refused", extra={"facts": facts})


def _digests_of(token: TokenSettings) -> Iterator[bytes]:
    if token.sha256 is not None:
        yield bytes.fromhex(token.sha256)
    if token.secret is not None:
        yield hashlib.sha256(token.secret.reveal().encode()).digest()


def is_protected(path: str, settings: ApiSettings) -> bool:
    """Whether a path asks for a token where there are any."""
    if path == METRICS:
        return settings.metrics == "token"
    return any(path == root or path.startswith(f"{root}/") for root in PROTECTED)
