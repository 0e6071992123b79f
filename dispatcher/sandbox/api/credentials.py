"""Who may use the provider's API, and the one place where its errors are answered.

Four schemes in the header Authorization, or username and password in the query of the text queries
(reference, part 6.1). Without credentials in the settings any that are well formed will do, but for
a token that was given out here and has expired.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.tokens import Tokens
from dispatcher.sandbox.errors import Refused, document, generation
from dispatcher.settings.sandbox import CredentialSettings
from receiver.answers import RETRY_AFTER_SECONDS, Handler, NotTaken
from receiver.callbacks.auth import as_sent
from receiver.faults import Misfit
from receiver.store.base import StoreUnavailable

log = logging.getLogger("dlr.sandbox")

TOKEN_PATH: Final = "/auth/1/oauth2/token"

_PLAYED: Final = ("/sms/", "/1/sms/", "/ct/")
_OF_PROVIDER: Final = (*_PLAYED, "/account/", "/auth/")

_NOT_PLAYED: Final = re.compile(
    r"/(?!(?:api|notify|sandbox)/)[a-z0-9-]+/[1-9]/[^/]|/1/|/(?:camara|ccaas|mi|ott|voice)/[^/]"
)
"""How the provider's other paths begin: product, version, thing; but for those of some products,
and of OneAPI."""

SCHEMES: Final = ("App", "Basic", "Bearer", "IBSSO")

_SEND = frozenset({"message:send", "sms:message:send", "sms:manage"})
_MANAGE = frozenset({"sms:manage"})
_READ_BULK = frozenset({"sms:message:send", "sms:manage"})
_LOGS = frozenset({"sms:logs:read", "sms:manage"})
_ACCOUNT = frozenset({"account-management:manage"})
_INBOX = frozenset({"inbound-message:read", "sms:inbound-message:read", "sms:manage"})


def scopes_of(method: str, path: str) -> frozenset[str]:
    """The scopes of which a route needs one (OAS); none: it needs none, or is not played."""
    if path.startswith("/account/"):
        return _ACCOUNT
    if not path.startswith(_PLAYED):
        return frozenset()
    if path.startswith("/ct/") or path.endswith("/preview"):
        return _MANAGE
    if "/bulks" in path:
        return _READ_BULK if method in ("GET", "HEAD") else _MANAGE
    if "/inbox/" in path:
        return _INBOX
    return _LOGS if path.endswith("/logs") else _SEND


class Credentials:
    """The credentials that are valid, compared in constant time; none: all that are well formed."""

    def __init__(
        self, settings: Sequence[CredentialSettings] = (), tokens: Tokens | None = None
    ) -> None:
        """`tokens` are those that were given out here, and are valid too."""
        self._known: list[tuple[bytes, frozenset[str]]] = [
            (_expected(each), frozenset(each.scopes)) for each in settings
        ]
        self._tokens = tokens

    def admit(self, request: web.Request) -> None:
        """Raises Refused: 401 for missing, malformed, unknown or expired ones, 403 without the
        scope."""
        given = _given(request.headers.get("Authorization"))
        if given is None and request.path.split(".")[0].endswith("/text/query"):
            given = _in_query(request.query)
        if given is None:
            raise Refused(401)
        matches = self._matches(given)
        if not matches:
            raise Refused(401)
        needed = scopes_of(request.method, request.path)
        if needed and not any(not scopes or scopes & needed for scopes in matches):
            raise Refused(403)

    def scopes_of_user(self, username: str, password: str) -> frozenset[str] | None:
        """What a user may do, empty for everything; `None`: there is none with this password."""
        given = f"Basic {username}:{password}".encode("utf-8", "surrogatepass")
        return next(iter(self._known_as(given)), None)

    def _matches(self, given: bytes) -> list[frozenset[str]]:
        """The scopes of each credential that this is."""
        token = None if self._tokens is None else self._tokens.find(given)
        if token is None or self._tokens is None:
            return self._known_as(given)
        return [token.scopes] if self._tokens.is_valid(token) else []

    def _known_as(self, given: bytes) -> list[frozenset[str]]:
        if not self._known:
            return [frozenset()]
        return [scopes for known, scopes in self._known if hmac.compare_digest(known, given)]


def _expected(settings: CredentialSettings) -> bytes:
    secret = settings.secret.reveal()
    text = f"{settings.username}:{secret}" if settings.scheme == "Basic" else secret
    return f"{settings.scheme} {text}".encode()


def _given(header: str | None) -> bytes | None:
    """Scheme and secret as `_expected` has them; `None` for what is not well formed."""
    word, _, rest = (header or "").strip().partition(" ")
    scheme = next((each for each in SCHEMES if each.lower() == word.lower()), None)
    secret = as_sent(rest.strip())
    if scheme is None or not secret:
        return None
    if scheme == "Basic":
        try:
            secret = base64.b64decode(secret, validate=True)
        except binascii.Error:
            return None
        if b":" not in secret:
            return None
    return scheme.encode() + b" " + secret


def _in_query(query: Mapping[str, str]) -> bytes | None:
    username, password = query.get("username"), query.get("password")
    if not username or not password:
        return None
    return f"Basic {username}:{password}".encode("utf-8", "surrogatepass")


def is_providers(request: web.Request) -> bool:
    """Whether a request is one of the provider's API, by its path or by the route found for it."""
    resource = request.match_info.route.resource
    canonical = "" if resource is None else resource.canonical
    if any(path.startswith(_OF_PROVIDER) for path in (request.path, canonical)):
        return True
    return is_nowhere(request) and _NOT_PLAYED.match(request.path) is not None


def is_nowhere(request: web.Request) -> bool:
    """Whether there is no route for the path."""
    return isinstance(request.match_info.http_exception, web.HTTPNotFound)


def provider_api(credentials: Credentials) -> Middleware:
    """Asks for credentials on the provider's paths, and answers every error there in its shape."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_providers(request):
            return await handler(request)
        try:
            if request.path != TOKEN_PATH:
                credentials.admit(request)
            return await handler(request)
        except Exception as error:
            if isinstance(error, web.HTTPException) and error.status < 400:
                raise
            return _refusal(request, error)

    return guard


def _refusal(request: web.Request, error: Exception) -> web.Response:
    refused = _as_refused(request, error)
    form = wanted_by(request)
    api = generation(request.path)
    root, fields = document(api, form, refused.status, refused.text, refused.misfits)
    response = respond(form, root, fields, refused.status)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
    if refused.status == 503:
        response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    if isinstance(error, web.HTTPException) and "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _not_played(request: web.Request) -> Refused:
    """The SDKs show the text; the log line is for those that do not."""
    asked = f"{request.method} {request.path[:200]}"
    text = (
        f"Not found: the sandbox does not provide {asked}. It provides the SMS API and"
        " delivery reports."
    )
    facts = {"method": request.method, "path": request.rel_url.raw_path[:200]}
    log.warning("the sandbox does not support this request", extra={"facts": facts})
    return Refused(404, text)


def _as_refused(request: web.Request, error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case NotTaken():
            return Refused(error.status, misfits=[Misfit("body", str(error))])
        case StoreUnavailable():
            return Refused(503)
        case web.HTTPException() if is_nowhere(request):
            return _not_played(request)
        case web.HTTPException():
            return Refused(error.status)
        case web.RequestPayloadError() | ConnectionError():
            return Refused(400, misfits=[Misfit("body", "cannot be read completely")])
    log.exception(
        "%s %s failed and was answered 500; this is a defect of dlr, please report it",
        request.method,
        request.path,
    )
    return Refused(500)
