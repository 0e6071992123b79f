"""What all pages have in common: how one is rendered, what its headers say, how a form is taken.

A page is a method with `@page(...)`. It reads the request, asks the function that the API asks too,
and calls `Site.show`. What changes something is a form, posted to a method with `@form(...)`, which
answers with `Site.back_to`: so reloading a page repeats nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import wraps
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web
from jinja2 import Environment, PackageLoader, StrictUndefined
from yarl import URL

from dispatcher.service import Inside
from dispatcher.settings.settings import sources_of
from dispatcher.web import guides, shown
from receiver.answers import RETRY_AFTER_SECONDS, SERVER_NAME, BadQuery, Handler, NotTaken
from receiver.api.sessions import VISIT, new_visit
from receiver.api.tokens import token_of
from receiver.routes import Caller, Route, add_route
from receiver.settings.configuration import ConfigurationError
from receiver.store.base import AmbiguousMessage, StoreUnavailable

log = logging.getLogger("dlr.web")

NOTICE = "dlr_notice"
"""The cookie that carries a sentence to the next page."""

HEADERS = {
    # Nothing runs but our own files, whatever a report's text holds.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_NAVIGATION = (
    ("Inbox", "/"),
    ("Messages", "/messages"),
    ("Pushes", "/dispatches"),
    ("Endpoints", "/endpoints"),
    ("Replays", "/replays"),
    ("Quarantine", "/quarantine"),
    ("Overview", "/overview"),
    ("Sandbox", "/sandbox"),
    ("Simulate", "/simulate"),
    ("Rehearse", "/rehearse"),
    ("Help", "/docs"),
)


def page(path: str, name: str, *, caller: Caller = "page") -> Route:
    """Over a method that shows a page. `name` is for logs."""
    return Route("GET", path, name, "", {}, caller=caller)


def form(path: str, name: str, *, caller: Caller = "page") -> Route:
    """Over a method that takes a form. `name` is what the audit calls the change: that of the
    API's route that does the same."""
    return Route("POST", path, name, "", {}, caller=caller)


class BadForm(Exception):
    """What somebody has typed cannot be used; the page is shown again with the reasons."""


class Site:
    """Renders pages for one process."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self._environment = Environment(
            loader=PackageLoader("dispatcher.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.do"],
        )
        self._environment.filters |= {**shown.FILTERS, **guides.FILTERS}
        self._environment.globals |= {
            "static": {name: f"/static/{STATIC_VERSION}/{name}" for name in STATIC_NAMES}
        }

    # --- adding pages ----------------------------------------------------------------------------

    def add(self, app: web.Application, pages: object) -> None:
        """Add what this object has of pages and forms."""
        for name, method in vars(type(pages)).items():
            if (route := getattr(method, "route", None)) is not None:
                add_route(app, route, self._guarded(route, getattr(pages, name)))

    def show_wrong_paths(self, app: web.Application) -> None:
        """Tell a browser that asks for a page which is not there where the pages are. Programs get
        the API's answer, and what looks like a callback is noted as ever."""

        @web.middleware
        async def wrong_path(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPNotFound as error:
                wants_page = "text/html" in request.headers.get(hdrs.ACCEPT, "")
                if request.method != "GET" or not wants_page or request.path.startswith("/api/"):
                    raise
                unnamed = error.text in (None, "404: Not Found")
                words = f"There is no page {request.path}." if unnamed else str(error.text)
                response = self._of_error(request, 404, words)
                self._complete(response)
                return response

        app.middlewares.append(wrong_path)

    def _guarded(self, route: Route, handler: Handler) -> Handler:
        """With form tokens, with errors as pages, and with the headers of all pages."""

        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                _check_host(request)
                if route.method == "POST":
                    await self._check_form(request)
                response = await handler(request)
            except web.HTTPRedirection:
                raise
            except _FORESEEN as error:
                response = self._of_error(request, *_told(error))
            except Exception:
                log.exception("%s %s: internal error", request.method, request.path)
                response = self._of_error(request, 500, _A_DEFECT)
            if not response.prepared:
                self._complete(response)
            return response

        return guarded

    async def _check_form(self, request: web.Request) -> None:
        said = (await _form_of(request)).get("form_token")
        if not self.inside.sessions.is_ours(said, request.cookies.get(VISIT)):
            raise web.HTTPForbidden(
                text="This form is from an older page, or from another site. Nothing was changed."
                " Go back, reload the page and try again."
            )

    def _complete(self, response: web.StreamResponse) -> None:
        response.headers.update({k: v for k, v in HEADERS.items() if k not in response.headers})
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        response.headers[hdrs.SERVER] = SERVER_NAME
        if self.inside.is_crowded():
            response.force_close()  # idle pages must not take the places of callbacks

    def _of_error(self, request: web.Request, status: int, words: str) -> web.Response:
        response = self.show(
            request,
            "error.html.jinja",
            status=status,
            phrase=HTTPStatus(status).phrase,
            words=words,
        )
        if status == 503:
            response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER_SECONDS
        return response

    # --- answers ---------------------------------------------------------------------------------

    def show(
        self, request: web.Request, template: str, *, status: int = 200, **values: Any
    ) -> web.Response:
        """A page. `values` are for its template, beside those that every page has."""
        visit = request.cookies.get(VISIT)
        fresh = visit or new_visit()
        response = web.Response(
            text=self.render(template, **self._of_request(request, fresh), **values),
            content_type="text/html",
            status=status,
        )
        if visit is None:
            self.set_cookie(request, response, VISIT, fresh)
        if NOTICE in request.cookies:
            response.del_cookie(NOTICE)
        return response

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(**values)

    def _of_request(self, request: web.Request, visit: str) -> Mapping[str, Any]:
        token = token_of(request)
        sessions = self.inside.sessions
        return {
            "request": request,
            "navigation": [each for each in _NAVIGATION if self._has(each[1])],
            "here": request.path,
            "form_token": sessions.form_token(visit),
            "notice": sessions.read_notice(request.cookies.get(NOTICE)),
            "may_change": not sessions.needed or (token is not None and token.scope == "operate"),
            "signed_in": None if token is None else token.name,
            "now": self.now(),
            "speed": self.inside.clock.speed,
            "masks": self.inside.settings.web.mask_numbers,
        }

    def _has(self, path: str) -> bool:
        return path != "/sandbox" or self.inside.sandbox is not None

    def sources(self) -> list[str]:
        """Where reports can come from, in the order of the settings."""
        known = sources_of(self.inside.settings)
        return known if self.inside.sandbox is not None else known[:-1]

    def now(self) -> datetime:
        """The time of reports and attempts: that of the process's clock."""
        return self.inside.clock.now()

    def back_to(self, request: web.Request, path: str, notice: str) -> web.Response:
        """After a form: the page to look at, with a sentence that says what was done."""
        response = web.Response(status=303, headers={hdrs.LOCATION: path})
        self.set_cookie(request, response, NOTICE, self.inside.sessions.notice(notice), max_age=60)
        return response

    def set_cookie(
        self,
        request: web.Request,
        response: web.StreamResponse,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
    ) -> None:
        """One that no script can read and no other site has sent along with a form."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            httponly=True,
            samesite="Lax",
            secure=self.inside.is_secure(request),
        )


def _check_host(request: web.Request) -> None:
    """Raises HTTPBadRequest where no address can be made of what the request calls us; pages show
    commands with our address."""
    try:
        request.url.origin()
    except ValueError as error:
        raise web.HTTPBadRequest(text="Host: expected a name, with a port or without.") from error


async def _form_of(request: web.Request) -> Mapping[str, object]:
    """What a form holds; later `request.post()` gives the same. Only what our pages send is read:
    no files, and no other charset than theirs. Raises BadForm, HTTPUnsupportedMediaType."""
    is_ours = request.content_type == "application/x-www-form-urlencoded"
    if not is_ours or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPUnsupportedMediaType(
            text="A form must be sent as application/x-www-form-urlencoded in UTF-8. Nothing"
            " was changed. Programs should use the API: see Help."
        )
    try:
        return await request.post()
    except UnicodeDecodeError as error:
        raise BadForm("This form is not in UTF-8. Nothing was changed.") from error


def _told(error: Exception) -> tuple[int, str]:
    """The status of an error's page, and what it says."""
    match error:
        case BadQuery() | BadForm():
            return 400, str(error)
        case ConfigurationError():
            return 400, "; ".join(error.faults)
        case NotTaken():
            return error.status, str(error)
        case AmbiguousMessage():
            return 409, f"{error}; choose one of them"
        case StoreUnavailable():
            return 503, f"{_sentence(error)} Nothing was lost. Try again."
        case web.HTTPException():
            return error.status, error.text or error.reason
    raise AssertionError(error)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


_A_DEFECT = "This is a bug in dlr. The log has the details. Nothing was lost."

_FORESEEN = (
    BadQuery,
    BadForm,
    ConfigurationError,
    NotTaken,
    AmbiguousMessage,
    StoreUnavailable,
    web.HTTPException,
)


def local_path(text: str | None) -> str:
    """A path of this site that a link named; `/` for what leads elsewhere."""
    try:
        url = URL(text if text and text.isprintable() else "/")
    except ValueError:  # a host that is none
        return "/"
    if url.absolute or not url.raw_path.startswith("/") or url.raw_path.startswith("//"):
        return "/"
    return str(url)


class StaticFiles:
    """Style, scripts and the icon, in a folder whose name changes with their bytes: so browsers may
    keep them, and a script can import its neighbour."""

    @page("/static/{version}/{name}", "showStatic", caller="visitor")
    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in STATIC_NAMES:
            raise web.HTTPNotFound(text=f"not found: {request.path}")
        is_current = request.match_info["version"] == STATIC_VERSION
        return web.Response(
            body=(STATIC / name).read_bytes(),
            content_type=_TYPES[Path(name).suffix],
            charset="utf-8",
            headers={hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable"}
            if is_current
            else {},
        )


_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

STATIC = files("dispatcher.web") / "static"
STATIC_NAMES = sorted(each.name for each in STATIC.iterdir() if Path(each.name).suffix in _TYPES)
STATIC_VERSION = sha256(b"".join((STATIC / each).read_bytes() for each in STATIC_NAMES)).hexdigest()
