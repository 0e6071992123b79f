"""Signing in to the pages with an API token, and out again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_network

from aiohttp import web

from dispatcher.clocks.clock import wall_time
from dispatcher.flow.rate_limit import BURST, RateLimit
from dispatcher.web.site import Site, form, local_path, page
from receiver.api.sessions import SESSION, SESSION_AGE
from receiver.api.tokens import SIGN_IN
from receiver.callbacks.forwarded import HEADER, Address, proxies_of

log = logging.getLogger("dlr.web")

TRIES_A_SECOND = 1.0
"""From one address: nobody types faster. Who guesses keeps nobody at another address out."""

TRIES_IN_ALL = 20.0
"""A second, of all addresses: a token has at least 16 characters."""

ADDRESSES = 1_000
"""Addresses that are remembered, those of the last tries."""


class Tries:
    """Which tries to sign in are looked at."""

    def __init__(self, now: datetime) -> None:
        self._all = RateLimit.fresh(TRIES_IN_ALL, now - BURST)  # nobody has tried yet
        self._of: OrderedDict[str, RateLimit] = OrderedDict()

    def admit(self, address: Address | None, now: datetime) -> bool:
        """Whether a try from there may be made now. A network of IPv6, of which one machine has all
        addresses, counts as one."""
        place = str(address)
        if isinstance(address, IPv6Address):
            place = str(ip_network((address, 64), strict=False))
        of_place = self._of.pop(place, None) or RateLimit.fresh(TRIES_A_SECOND, now)
        of_place, of_all = of_place.at_instant(now), self._all.at_instant(now)
        free = of_place.free > 0 and of_all.free > 0
        self._of[place] = of_place.taken(1) if free else of_place
        self._all = of_all.taken(1) if free else of_all
        if len(self._of) > ADDRESSES:
            self._of.popitem(last=False)
        return free


class SignInPages:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._proxies = proxies_of(site.inside.settings.server)
        self._tries = Tries(wall_time())  # a clock that is moved or faster gives no more

    @page(SIGN_IN, "showSignIn", caller="visitor")
    async def sign_in(self, request: web.Request) -> web.Response:
        return self._form(request, local_path(request.query.get("to")))

    @form(SIGN_IN, "signIn", caller="visitor")
    async def signed_in(self, request: web.Request) -> web.Response:
        said = await request.post()
        to = local_path(str(said.get("to", "/")))
        client = self._proxies.client(request.remote, request.headers.getall(HEADER, []))
        if not self._tries.admit(client, wall_time()):
            words = "Too many attempts to sign in. Wait a moment and try again."
            return self._form(request, to, words, status=429)
        token = self._site.inside.tokens.token_of(f"Bearer {said.get('token', '')}")
        if token is None:
            log.warning("sign-in refused", extra={"facts": {"from": str(client)}})
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
