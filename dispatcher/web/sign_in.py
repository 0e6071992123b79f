"""Signing in to the pages with an API token, and out again."""

from __future__ import annotations

import logging
from datetime import timedelta

from aiohttp import web

from dispatcher.flow.rate_limit import RateLimit
from dispatcher.web.site import Site, form, local_path, page
from receiver.api.sessions import SESSION, SESSION_AGE
from receiver.api.tokens import SIGN_IN

log = logging.getLogger("dlr.web")

TRIES_A_SECOND = 1.0
"""Of all browsers together: a token has at least 16 characters, and nobody types faster."""


class SignInPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._tries = RateLimit.fresh(TRIES_A_SECOND, site.inside.clock.now())

    @page(SIGN_IN, "showSignIn", caller="visitor")
    async def sign_in(self, request: web.Request) -> web.Response:
        return self._form(request, local_path(request.query.get("to")))

    @form(SIGN_IN, "signIn", caller="visitor")
    async def signed_in(self, request: web.Request) -> web.Response:
        said = await request.post()
        to = local_path(str(said.get("to", "/")))
        if not self._may_try():
            words = "Too many tries in the last seconds. Wait a moment and try again."
            return self._form(request, to, words, status=429)
        token = self._site.inside.tokens.token_of(f"Bearer {said.get('token', '')}")
        if token is None:
            log.warning("sign-in refused", extra={"facts": {"from": request.remote}})
            words = "This is not one of the API tokens in the settings ([[api.token]])."
            return self._form(request, to, words, status=403)
        response = web.Response(status=303, headers={"Location": to})
        cookie = self._site.inside.sessions.begin(token)
        age = int(SESSION_AGE / timedelta(seconds=1))
        self._site.set_cookie(request, response, SESSION, cookie, max_age=age)
        return response

    @form("/sign-out", "signOut", caller="visitor")
    async def signed_out(self, _: web.Request) -> web.Response:
        response = web.Response(status=303, headers={"Location": SIGN_IN})
        response.del_cookie(SESSION)
        return response

    def _form(
        self, request: web.Request, to: str, fault: str | None = None, status: int = 200
    ) -> web.Response:
        return self._site.show(request, "sign_in.html.jinja", to=to, fault=fault, status=status)

    def _may_try(self) -> bool:
        tries = self._tries.at_instant(self._site.now())
        free = tries.free > 0
        self._tries = tries.taken(1) if free else tries
        return free
