"""What apps ask of the account beside SMS: whether their key works, by its balance, and OAuth
tokens.

Documented: both answers, the form of the token's request, and which errors it has (OAS). Ours: the
balance, which is always the same; parameters in the query, as the official Node client sends them;
the error codes of RFC 6749 in `error`, which the provider calls deprecated and clients of OAuth
read.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import Struct

from dispatcher.sandbox.api.credentials import TOKEN_PATH, Credentials
from dispatcher.sandbox.api.negotiation import respond, wanted_by
from dispatcher.sandbox.api.openapi import provider_route
from dispatcher.sandbox.api.tokens import VALID_FOR, Tokens
from dispatcher.sandbox.errors import ApiException, RequestError, document
from dispatcher.sandbox.wire.rules import NOT_NULL
from receiver.answers import Count, answer
from receiver.callbacks.arriving import BodyReader
from receiver.faults import Misfit
from receiver.routes import Reply, RequestBody, Route, Schema

BALANCE: Final = 1000

GRANT: Final = "client_credentials"


class AccountBalance(Struct, frozen=True):
    balance: Count
    currency: str


class TokenResponse(Struct, frozen=True):
    access_token: str
    expires_in: Count
    token_type: str = "Bearer"


class OAuthApiException(Struct, frozen=True, rename={"request_error": "requestError"}):
    """an error of a request for a token; error is the code of RFC 6749"""

    error: str
    request_error: RequestError


_REQUEST: Final[Schema] = {
    "type": "object",
    "properties": {
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
        "grant_type": {"type": "string", "enum": [GRANT]},
    },
    "required": ["client_id", "client_secret", "grant_type"],
}


class AccountApi:
    """The two routes."""

    def __init__(
        self, credentials: Credentials, tokens: Tokens, bodies: BodyReader, currency: str
    ) -> None:
        self._credentials = credentials
        self._bodies = bodies
        self._tokens = tokens
        self._currency = currency

    @provider_route(
        "GET",
        "/account/1/balance",
        "getAccountV1Balance",
        "The balance of the account, which never changes",
        AccountBalance,
    )
    async def balance(self, request: web.Request) -> web.Response:
        told = AccountBalance(BALANCE, self._currency)
        return respond(wanted_by(request), "AccountBalance", told)

    @Route(
        "POST",
        TOKEN_PATH,
        "postAuthV1OAuth2Token",
        "A token for the header Authorization, valid for an hour of the sandbox's clock",
        {
            200: Reply("the token", TokenResponse),
            400: Reply("A parameter is missing, or grant_type is not supported", OAuthApiException),
            401: Reply("client_id or client_secret is unknown", OAuthApiException),
            408: Reply("The body did not arrive in time", ApiException),
            413: Reply("The body is too large", ApiException),
        },
        body=RequestBody(
            others={"application/x-www-form-urlencoded": _REQUEST},
            words="The parameters can be in the query instead",
        ),
        caller="app",
    )
    async def token(self, request: web.Request) -> web.Response:
        """A token with the scopes of the [[sandbox.credential]] whose user name and password came;
        without one in the settings, any will do."""
        async with self._bodies.arriving(request) as body:
            came = {**request.query, **_form(body)}
        missing = [name for name in _REQUEST["required"] if not came.get(name)]
        if missing:
            return _refused(400, "invalid_request", *(Misfit(name, NOT_NULL) for name in missing))
        if came["grant_type"] != GRANT:
            misfit = Misfit("grant_type", f"must be {GRANT}")
            return _refused(400, "unsupported_grant_type", misfit)
        scopes = self._credentials.scopes_of_user(came["client_id"], came["client_secret"])
        if scopes is None:
            return _refused(401, "invalid_client")
        token = self._tokens.issue(scopes)
        return answer(TokenResponse(token, int(VALID_FOR.total_seconds())))


def _form(body: bytes) -> dict[str, str]:
    """The parameters in a body; none if there are too many to be a request for a token."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=100))
    except ValueError:
        return {}


def _refused(status: int, error: str, *misfits: Misfit) -> web.Response:
    _, made = document("v1", "json", status, misfits=misfits)
    assert isinstance(made, ApiException)
    return answer(OAuthApiException(error, made.request_error), status)
