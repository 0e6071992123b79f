"""A page in the operator's browser is not the operator.

A browser sends requests for any page that it shows. So a page of another site could have the API do
things, and one whose name resolves to this machine (DNS rebinding) could read everything. `judged`
decides what is refused, from what a request says of itself; `PageGuard` acts. curl and client
libraries send neither `Origin` nor `Sec-Fetch-Site`, and notice none of this.

Which rules hold for a route is told by whom it is for (receiver/routes.py, Caller).
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Collection, Mapping
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Middleware
from msgspec import Struct

from receiver.answers import Handler, fault_or_page
from receiver.api.tokens import READING
from receiver.faults import came, expected
from receiver.routes import Caller, routes_by_handler
from receiver.settings.settings import ServerSettings, is_loopback, is_wildcard

log = logging.getLogger("dlr.api")

_EXPOSED = "Retry-After"  # a page sees no header of a 429 or 503 that is not named
_PREFLIGHT_SECONDS = "600"  # how long a browser may remember what it was told


class Asked(Struct, frozen=True):
    """What a request says of itself. `None`: it has no such header."""

    method: str
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    content_type: str | None = None
    has_body: bool = False

    @property
    def by_a_browser(self) -> bool:
        return self.origin is not None or self.fetch_site is not None


class Hosts(Struct, frozen=True):
    """The names under which this server is called, beside those of the loopback. `any_address`: it
    listens on all addresses of the machine. Only a name can be made to resolve to this machine by
    others."""

    names: frozenset[str] = frozenset()
    any_address: bool = False

    def have(self, header: str | None) -> bool:
        """Whether a `Host` header names one of them, with any port or none."""
        name = _place_of(header)[0]
        if name is None:
            return False
        if name in self.names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or is_loopback(str(address))


class Rules(Struct, frozen=True):
    """What is asked of the requests to some routes.

    `hosts` None: any, because credentials protect. `origins` are those of pages that may do what
    our own may. `only_browsers`: a request without the marks of a browser is not looked at.
    `every_method`: GET has an effect too. `json`: a body must be JSON, which no page can send to
    another site without asking before.
    """

    hosts: Hosts | None
    origins: frozenset[str] = frozenset()
    only_browsers: bool = False
    every_method: bool = False
    json: bool = False


class Refused(Struct, frozen=True):
    """Why a request is refused, and how it can be allowed."""

    status: Literal[403, 415, 421]
    code: str
    text: str


def judged(asked: Asked, rules: Rules) -> Refused | None:
    """Why this request is refused; `None` when it is not."""
    if rules.only_browsers and not asked.by_a_browser:
        return None
    acts = rules.every_method or asked.method not in READING
    if acts and _is_foreign(asked, rules.origins):
        return _foreign(asked, rules)
    if rules.hosts is not None and not rules.hosts.have(asked.host):
        return _misdirected(asked.host)
    if acts and rules.json and asked.has_body and not _is_json(asked.content_type):
        return _not_json(asked.content_type)
    return None


def _misdirected(host: str | None) -> Refused:
    what = "a loopback name, the bound address, or a name listed in server.hosts"
    name = _place_of(host)[0] or "dlr.example.com"
    return Refused(
        421,
        "misdirected",
        f"Host: {expected(what, 'none' if host is None else came(host))}; to allow it, set"
        f' server.hosts = ["{name}"] or DLR_SERVER_HOSTS={name}, or ask for credentials:'
        " [[api.token]], for callbacks [source.…], for a sandbox's send API [[sandbox.credential]]",
    )


def _foreign(asked: Asked, rules: Rules) -> Refused:
    if asked.origin is not None:
        got = f"Origin: {expected('a page of this server', came(asked.origin))}"
    else:
        got = f"Sec-Fetch-Site: {expected('same-origin or none', came(asked.fetch_site))}"
    return Refused(
        403,
        "foreign_page",
        f"{got}; {_HOW_TO_ALLOW_CALLBACKS if rules.only_browsers else _HOW_TO_ALLOW_PAGES}",
    )


_HOW_TO_ALLOW_PAGES = (
    "a page of another site may do this only if server.cors_origins (in a sandbox:"
    " sandbox.cors_origins) lists its origin"
)
_HOW_TO_ALLOW_CALLBACKS = (
    "a page of another site may post callbacks only to a source that requires credentials"
)


def _not_json(content_type: str | None) -> Refused:
    got = "none" if content_type is None else came(content_type)
    return Refused(
        415,
        "unsupported_media_type",
        f"Content-Type: {expected('application/json', got)}; with curl: --json, or"
        " -H 'Content-Type: application/json'",
    )


def _is_foreign(asked: Asked, origins: Collection[str]) -> bool:
    """Whether a page of another origin asks. `Sec-Fetch-Site` is the browser's own word, and knows
    the origin that the browser sees, however a proxy has written `Host`; older browsers, and http
    on another machine, have `Origin` alone."""
    if asked.origin is not None and asked.origin in origins:
        return False
    if asked.fetch_site is not None:
        return asked.fetch_site not in ("same-origin", "none")
    return asked.origin is not None and not _is_ours(asked.origin, asked.host)


def _is_ours(origin: str, host: str | None) -> bool:
    """Whether an origin is the one that `Host` names. The scheme is the proxy's in front."""
    scheme, mark, place = origin.partition("://")
    default = {"http": 80, "https": 443}.get(scheme)
    if not mark or default is None:
        return False  # "null", which a page has that hides where it is from
    page, here = _place_of(place), _place_of(host)
    if page[0] is None or here[0] is None:
        return False
    return (page[0], page[1] or default) == (here[0], here[1] or default)


_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII)


def _place_of(text: str | None) -> tuple[str | None, int | None]:
    """Host and port, as `Host` has them: the host in lower case, without brackets and final dot.
    `None` for what is no host."""
    found = _PLACE.fullmatch(text or "")
    if found is None:
        return None, None
    host = (found[1] or found[2]).lower().removesuffix(".")
    return host or None, None if found[3] is None else int(found[3])


def _is_json(content_type: str | None) -> bool:
    media = (content_type or "").partition(";")[0].strip().lower()
    return media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )


def hosts_of(server: ServerSettings) -> Hosts:
    """The names under which a server with these settings is called."""
    named = (_place_of(_bracketed(each))[0] for each in (server.bind, *server.hosts))
    return Hosts(frozenset(name for name in named if name), is_wildcard(server.bind))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# --- acting --------------------------------------------------------------------------------------


def _caller_of(path: str) -> Caller:
    """For whom a path is that has no route for the method: its preflight is still answered."""
    match path.split("/", 2)[1:2]:
        case ["notify"]:
            return "platform"
        case ["healthz" | "readyz"]:
            return "probe"
        case ["sandbox"]:
            return "tester"
        case ["sms" | "ct" | "account" | "auth"]:
            return "app"
    return "operator"


class PageGuard:
    """Refuses what a page of another site has a browser send.

    `demanding` are the sources that demand credentials of their callbacks: those protect, and
    nothing is asked here.
    """

    def __init__(self, rules: Mapping[Caller, Rules], demanding: Collection[str]) -> None:
        self._rules = rules
        self._demanding = frozenset(demanding)

    def add_to(self, app: web.Application) -> None:
        """As the next inner middleware; where pages are allowed, with what browsers ask for."""
        app.middlewares.append(self._middleware(app))
        if any(each.origins for each in self._rules.values()):
            app.on_response_prepare.append(self._tell_browsers)

    def _middleware(self, app: web.Application) -> Middleware:
        routes = routes_by_handler(app)  # filled later, when routes are added

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            route = routes.get(request.match_info.handler)
            caller = _caller_of(request.path) if route is None else route.caller
            headers = request.headers
            if caller == "platform" and self._is_a_callback(request):
                return await handler(request)
            rules = self._rules.get(caller)
            if rules is None:
                return await handler(request)
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
                return self._preflight(request, rules)
            if route is None and request.method not in READING:
                return await handler(request)  # 404 or 405: a callback that missed its address
            refused = judged(_asked(request), rules)
            return await handler(request) if refused is None else _refuse(request, refused)

        return guard

    def _is_a_callback(self, request: web.Request) -> bool:
        """By a program, or to a source that protects itself. Nearly all are, so this is asked
        before all else."""
        headers = request.headers
        return ("Origin" not in headers and "Sec-Fetch-Site" not in headers) or (
            request.match_info.get("source", "default") in self._demanding
        )

    def _preflight(self, request: web.Request, rules: Rules) -> web.Response:
        """A browser asks whether a page of another site may send what it wants to send."""
        asked = _asked(request)
        if asked.origin not in rules.origins:
            return _refuse(request, _foreign(asked, rules))
        headers = {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
        wanted = request.headers.get("Access-Control-Request-Headers")
        if wanted is not None:
            headers["Access-Control-Allow-Headers"] = wanted
        return web.Response(status=204, headers=headers)

    async def _tell_browsers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let a page of an allowed origin read the answer. Never with cookies or a password that
        the browser remembers: there is no Access-Control-Allow-Credentials."""
        route = routes_by_handler(request.app).get(request.match_info.handler)
        caller = _caller_of(request.path) if route is None else route.caller
        rules = self._rules.get(caller)
        if rules is None or not rules.origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin is not None and origin in rules.origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED


def _asked(request: web.Request) -> Asked:
    headers = request.headers
    return Asked(
        method=request.method,
        host=headers.get("Host"),
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
        content_type=headers.get("Content-Type"),
        has_body=request.body_exists,
    )


def _refuse(request: web.Request, refused: Refused) -> web.Response:
    facts = {
        "reason": refused.code,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "from": request.remote,
    }
    log.warning("request refused", extra={"facts": facts})
    return fault_or_page(request, refused.status, refused.code, refused.text)
